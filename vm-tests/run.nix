# Makes a NixOS test of a file of this folder: the machines that it names, and what its script knows of them.
{ pkgs }:
let
  inherit (pkgs) lib;
  topology = import ./topology.nix { inherit lib; };
in
{
  name,
  # { machines; settings ? { MACHINE = module; }; hashCost; timeout; upgradeFrom; testScript; }, or a function of lib and pkgs to that.
  # It may have `fleet` and `modules`, as below, in the place of `machines`. The script may be a function of the fleet's settings,
  # services.authstack, as a gateway has them.
  file,
  # Where machines run: "nodes" is QEMU, "containers" are systemd's.
  backend ? "nodes",
  # Somebody else's fleet instead of ours, with modules that all its hosts have.
  fleet ? null,
  modules ? [ ],
  # A flake like this one, whose version the machines begin with. Scripts know the systems of both as SYSTEMS["before"][HOST] and SYSTEMS["after"][HOST].
  upgradeFrom ? null,
}:
let
  test = lib.toFunction (import file) { inherit lib pkgs; };
  running = if upgradeFrom != null then upgradeFrom else test.upgradeFrom or null;
  theFleet = if fleet != null then fleet else test.fleet or null;
  ofFleet = lib.optionalAttrs (theFleet != null) { fleet = theFleet; };
  known = ofFleet // {
    names = if theFleet == null then test.machines else lib.attrNames theFleet ++ [ "client" ];
  };

  machinesOf =
    authstack:
    lib.mapAttrs
      (machine: module: {
        imports = [
          module
          (test.settings.${machine} or { })
        ]
        ++ lib.optional (backend == "nodes") (topology.sizeOf (ofFleet // { name = machine; }))
        # Machines of tests cannot be switched otherwise.
        ++ lib.optional (running != null) { system.switch.enable = true; };
      })
      (
        topology.machinesOf (
          known
          // {
            inherit authstack;
            modules = modules ++ test.modules or [ ];
          }
          // lib.intersectAttrs { hashCost = null; } test
        )
      );
  runsOn =
    machines: testScript:
    pkgs.testers.runNixOSTest {
      inherit name testScript;
      globalTimeout = test.timeout or 900;
      # The helpers take any kind of machine.
      skipTypeCheck = true;
      ${backend} = machines;
    };

  # The program is the one that servers have, as their flake builds it.
  before = {
    imports = [ running.nixosModules.default ];
    services.authstack.auth-core.package =
      lib.mkOverride 900
        running.packages.${pkgs.stdenv.hostPlatform.system}.auth-core;
  };
  # The machines of another test have the same names and addresses.
  after = runsOn (machinesOf ../nixos-modules) "";
in
runsOn (machinesOf (if running == null then ../nixos-modules else before)) (
  {
    nodes ? { },
    containers ? { },
    ...
  }:
  let
    machines = nodes // containers;
    inherit (machines.${topology.frontOf known}.services) authstack;
    systemsOf = from: lib.mapAttrs (host: _: from.${host}.system.build.toplevel) authstack.nodes;
    systems = lib.optionalAttrs (running != null) {
      before = systemsOf machines;
      after = systemsOf after.nodes;
    };
  in
  ''
    ${builtins.readFile ./helpers.py}
    ${topology.namesInScripts known}
    SYSTEMS = ${builtins.toJSON systems}
    ${lib.toFunction test.testScript authstack}
  ''
)
