{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "loadtests";
  program = "authload";
  meta.description = "Load scenarios for authstack, with a verdict";
}
