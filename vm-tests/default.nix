# The tests that run machines: { virtual = { NAME = test; }; containers = { NAME = test; }; }. A test that needs what containers lack
# (a power cut, a pulled cable, the whole of systemd's sandbox) says so by `onlyVirtual`.
{ pkgs }:
let
  inherit (pkgs) lib;
  topology = import ./topology.nix { inherit lib; };

  files = {
    acme = ./acme.nix;
    durability = ./durability.nix;
    failover = ./failover.nix;
    hardening = ./hardening.nix;
    keys = ./keys.nix;
    late-address = ./late-address.nix;
    login = ./login.nix;
    observability = ./observability.nix;
    rate-limit = ./rate-limit.nix;
    single-node = ./single-node.nix;
    tls = ./tls.nix;
  };

  run =
    backend: name: test:
    pkgs.testers.runNixOSTest {
      inherit name;
      globalTimeout = 900;
      # The helpers take any kind of machine.
      skipTypeCheck = true;
      ${backend} = lib.mapAttrs (machine: module: {
        imports = [
          module
          (test.settings.${machine} or { })
        ]
        ++ lib.optional (backend == "nodes") (topology.sizeOf { name = machine; });
      }) (topology.machinesOf { names = test.machines; });
      testScript = ''
        ${builtins.readFile ./helpers.py}
        ${topology.namesInScripts { names = test.machines; }}
        ${test.testScript}
      '';
    };

  tests = lib.mapAttrs (_: file: lib.toFunction (import file) { inherit lib pkgs; }) files;
in
{
  virtual = lib.mapAttrs (run "nodes") tests;
  containers = lib.mapAttrs (run "containers") (lib.filterAttrs (_: test: !(test.onlyVirtual or false)) tests);
}
