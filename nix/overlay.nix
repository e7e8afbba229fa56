# The packages of this project, under one name so that they collide with nothing.
final: _: {
  authstack = {
    auth-core = final.callPackage ../auth-core/package.nix { };
    loadtests = final.callPackage ../loadtests/package.nix { };
    lab = final.callPackage ../lab/package.nix { };
    sample-service = final.callPackage ../lab/sample-service.nix { };
    zipkin-server = final.callPackage ./zipkin-server.nix { };
    options-doc = import ../nixos-modules/options-doc.nix { pkgs = final; };
  };
}
