# `lib.testStack`: our scenarios against somebody else's fleet, in that fleet's own checks.
#
# The machines have the roles and weights of `nodes` and the settings of `modules`. What a test cannot have is replaced: addresses by those of
# the test's network, the certificate by an internal authority's, keys and the database by throwaway ones, the cost of hashes by a low one.
{
  # nixpkgs for the system that runs the test.
  pkgs,
  # As services.authstack.nodes.
  nodes,
  # NixOS modules that all hosts have.
  modules ? [ ],
  # "login", and "failover" where there are two cores or more.
  scenarios ? [ "login" ],
}:
let
  inherit (pkgs) lib;
  topology = import ./topology.nix { inherit lib; };
  fleet = lib.mapAttrs (_: node: removeAttrs node [ "address" ]) nodes // {
    database.roles = [ ];
  };
  names = lib.attrNames fleet ++ [ "client" ];
  files = {
    login = ./login.nix;
    failover = ./failover.nix;
  };

  run =
    scenario:
    let
      test = lib.toFunction (import files.${scenario}) { inherit lib pkgs; };
    in
    pkgs.testers.runNixOSTest {
      name = "stack-${scenario}";
      skipTypeCheck = true;
      nodes = lib.mapAttrs (machine: module: {
        imports = [
          module
          (topology.sizeOf {
            name = machine;
            inherit fleet;
          })
        ];
      }) (topology.machinesOf { inherit names fleet modules; });
      testScript = ''
        ${builtins.readFile ./helpers.py}
        ${topology.namesInScripts { inherit names fleet; }}
        ${test.testScript}
      '';
    };
in
lib.genAttrs scenarios run
