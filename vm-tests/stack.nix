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
  # "login", "limits", "overload", "rotation", "upgrade", and "failover" where there are two cores or more.
  scenarios ? [ "login" ],
  # For "upgrade": the flake of the version that runs now.
  upgradeFrom ? null,
}:
let
  inherit (pkgs) lib;
  defaults = import ../nixos-modules/render/defaults.nix;
  files = {
    login = ./login.nix;
    failover = ./failover.nix;
    limits = ./limits.nix;
    overload = ./overload.nix;
    rotation = ./rotation.nix;
    upgrade = ./upgrade.nix;
  };
in
lib.genAttrs scenarios (
  scenario:
  import ./run.nix { inherit pkgs; } {
    name = "stack-${scenario}";
    file =
      files.${scenario}
        or (throw "testStack has no scenario ${scenario}; it has ${lib.concatStringsSep ", " (lib.attrNames files)}");
    inherit modules;
    upgradeFrom =
      if scenario != "upgrade" then
        null
      else if upgradeFrom == null then
        throw "testStack: from which version is the upgrade? Set upgradeFrom, as docs/how-to/test-my-configuration.md tells"
      else
        upgradeFrom;
    fleet =
      lib.mapAttrs (_: node: { inherit (defaults) roles; } // removeAttrs node [ "address" ]) nodes
      // {
        database.roles = [ "database" ];
      };
  }
)
