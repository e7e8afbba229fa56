# What one client address may do before it is told to wait, unless somebody decides otherwise. A person comes nowhere near it.
{
  requests = {
    count = 600;
    seconds = 60;
  };
  failedLogIns = {
    count = 20;
    seconds = 60;
  };
}
