# What the modules make of options, found out by evaluation alone: quick, and nothing is built but the verdict.
{ pkgs }:
let
  inherit (pkgs) lib;
  evaluate =
    module:
    (pkgs.nixos [
      ../.
      {
        networking.hostName = lib.mkDefault "auth1";
        services.authstack.domain = "auth.example.org";
        system.stateVersion = "26.05";
      }
      module
    ]).config;
in
{
  # Not `lab`, which is its package.
  lab-is-nixos = import ./lab.nix { inherit pkgs evaluate; };
  alone = import ./alone.nix { inherit pkgs; };
  options = import ./refusals.nix { inherit pkgs evaluate; };
  rendered = import ./rendered.nix { inherit pkgs evaluate; };
}
