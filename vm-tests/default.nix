# The tests that run machines: { virtual = { NAME = test; }; containers = { NAME = test; }; }. A test that needs what containers lack
# (a power cut, a pulled cable, the whole of systemd's sandbox) says so by `onlyVirtual`.
{ pkgs }:
let
  inherit (pkgs) lib;

  files = {
    acme = ./acme.nix;
    backup = ./backup.nix;
    backup-postgresql = ./backup-postgresql.nix;
    cluster = ./cluster.nix;
    durability = ./durability.nix;
    failover = ./failover.nix;
    gateway = ./gateway.nix;
    hardening = ./hardening.nix;
    keys = ./keys.nix;
    late-address = ./late-address.nix;
    login = ./login.nix;
    limits = ./limits.nix;
    logs = ./logs.nix;
    observability = ./observability.nix;
    overload = ./overload.nix;
    pgbouncer = ./pgbouncer.nix;
    rate-limit = ./rate-limit.nix;
    rotation = ./rotation.nix;
    single-node = ./single-node.nix;
    tls = ./tls.nix;
    two-gateways = ./two-gateways.nix;
    upgrade = ./upgrade.nix;
  };

  run = import ./run.nix { inherit pkgs; };
  inContainers = lib.filterAttrs (
    _: file: !((lib.toFunction (import file) { inherit lib pkgs; }).onlyVirtual or false)
  ) files;
in
{
  virtual = lib.mapAttrs (name: file: run { inherit name file; }) files;
  containers = lib.mapAttrs (
    name: file:
    run {
      inherit name file;
      backend = "containers";
    }
  ) inContainers;
}
