# `services.authstack`: the whole stack. Each host of a fleet imports it with the same `nodes`; what runs there follows.
{
  imports = [
    ./auth-core.nix
    ./database-cluster.nix
    ./gateway.nix
    ./monitoring.nix
  ];
}
