# A service to stand behind the gateway, for the tests of machines: a second program of the crate `lab`.
{ callPackage }:
callPackage ../nix/workspace-crate.nix { } {
  crate = "lab";
  program = "sample-service";
  morePrograms = [ "src/bin/sample-service.rs" ];
  members = [ "loadtests" ];
  # As in package.nix, so that both have the same dependencies.
  tests = [
    "--lib"
    "--bins"
  ];
  meta.description = "A service that says what reached it, and misbehaves when it is told to";
}
