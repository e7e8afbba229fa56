# What the gateway does unless somebody decides otherwise: for the options of NixOS and for the lab, the only place of it.
{
  # What one client address may do before it is told to wait. A person comes nowhere near it.
  limits = {
    requests = {
      count = 600;
      seconds = 60;
    };
    # Each costs a node 128 MiB and a good part of a second of one core.
    hashes = {
      count = 60;
      seconds = 60;
    };
    failedLogIns = {
      count = 20;
      seconds = 60;
    };
  };
}
