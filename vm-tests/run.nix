# Makes a NixOS test of a file of this folder: the machines that it names, and what its script knows of them.
{ pkgs }:
let
  inherit (pkgs) lib;
  topology = import ./topology.nix { inherit lib; };
in
{
  name,
  # { machines; settings ? { MACHINE = module; }; testScript; }, or a function of lib and pkgs to that.
  file,
  # Where machines run: "nodes" is QEMU, "containers" are systemd's.
  backend ? "nodes",
  # Somebody else's fleet instead of ours, with modules that all its hosts have.
  fleet ? null,
  modules ? [ ],
}:
let
  test = lib.toFunction (import file) { inherit lib pkgs; };
  ofFleet = lib.optionalAttrs (fleet != null) { inherit fleet; };
  known = ofFleet // {
    names = if fleet == null then test.machines else lib.attrNames fleet ++ [ "client" ];
  };
in
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
    ++ lib.optional (backend == "nodes") (topology.sizeOf (ofFleet // { name = machine; }));
  }) (topology.machinesOf (known // { inherit modules; }));
  testScript = ''
    ${builtins.readFile ./helpers.py}
    ${topology.namesInScripts known}
    ${test.testScript}
  '';
}
