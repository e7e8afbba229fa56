{
  description = "An authentication service to import into NixOS, together with the proof that it holds";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forEachSystem =
        make:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
          system:
          make (
            import nixpkgs {
              inherit system;
              overlays = [ self.overlays.default ];
            }
          )
        );
    in
    {
      overlays.default = import ./nix/overlay.nix;

      packages = forEachSystem (pkgs: {
        inherit (pkgs.authstack) auth-core loadtests zipkin-server;
        default = pkgs.authstack.auth-core;
      });

      nixosModules = {
        default = ./nixos-modules;
        auth-core = ./nixos-modules/auth-core.nix;
        gateway = ./nixos-modules/gateway.nix;
        monitoring = ./nixos-modules/monitoring.nix;
      };

      checks = forEachSystem (
        pkgs: import ./nixos-modules/tests { inherit pkgs; } // import ./vm-tests { inherit pkgs; }
      );
    };
}
