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
  files = {
    login = ./login.nix;
    failover = ./failover.nix;
  };
in
lib.genAttrs scenarios (
  scenario:
  import ./run.nix { inherit pkgs; } {
    name = "stack-${scenario}";
    file = files.${scenario};
    inherit modules;
    fleet = lib.mapAttrs (_: node: removeAttrs node [ "address" ]) nodes // {
      database.roles = [ "database" ];
    };
  }
)
