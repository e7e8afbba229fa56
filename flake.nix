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
        inherit (pkgs.authstack)
          auth-core
          lab
          loadtests
          options-doc
          sample-service
          zipkin-server
          ;
        default = pkgs.authstack.auth-core;
      });

      apps = forEachSystem (pkgs: {
        lab = {
          type = "app";
          program = lib.getExe pkgs.authstack.lab;
          meta.description = "Run the whole stack on this machine";
        };
        authload = {
          type = "app";
          program = lib.getExe pkgs.authstack.loadtests;
          meta.description = "Put load on a service, and judge it";
        };
      });

      # By path within each, so that a part that is imported twice is there once.
      nixosModules = {
        default.imports = [ ./nixos-modules ];
        auth-core.imports = [ ./nixos-modules/auth-core.nix ];
        gateway.imports = [ ./nixos-modules/gateway.nix ];
        monitoring.imports = [ ./nixos-modules/monitoring.nix ];
      };

      lib.testStack = import ./vm-tests/stack.nix;

      templates.default = {
        path = ./templates/server;
        description = "A server that runs authstack, and a test of it";
      };

      devShells = forEachSystem (pkgs: {
        default = import ./nix/dev-shell.nix { inherit pkgs; };
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-tree);

      # The tests of machines that can run in containers do. They are no checks, since a Nix daemon refuses them as it comes:
      # docs/how-to/test-my-configuration.md tells its settings.
      legacyPackages = forEachSystem (pkgs: {
        container-tests = (import ./vm-tests { inherit pkgs; }).containers;
      });

      checks = forEachSystem (
        pkgs:
        import ./nixos-modules/tests { inherit pkgs; }
        // (import ./vm-tests { inherit pkgs; }).virtual
        // {
          inherit (pkgs.authstack) auth-core loadtests lab;
          examples = import ./examples/check.nix { inherit pkgs; };
          # What a server must fetch and keep for the core, the C library included.
          closure =
            pkgs.runCommand "auth-core-closure"
              {
                exportReferencesGraph = [
                  "references"
                  pkgs.authstack.auth-core
                ];
              }
              ''
                paths=$(grep '^/nix/store/' references | sort -u)
                bytes=$(du --summarize --bytes --total $paths | tail -n 1 | cut -f 1)
                printf 'auth-core and all it needs take %s MB:\n%s\n' $((bytes / 1000000)) "$paths" | tee $out
                [ $bytes -le 80000000 ] || { echo 'that is more than 80 MB' >&2; exit 1; }
              '';
          options-doc = pkgs.runCommand "options-doc-check" { } ''
            if ! diff -u ${./docs/reference/options.md} ${pkgs.authstack.options-doc}; then
              echo 'The reference is not what the modules say: cp $(nix build --print-out-paths .#options-doc) docs/reference/options.md' >&2
              exit 1
            fi
            touch $out
          '';
        }
        # The template's fleet, tested as its user would test it.
        // lib.mapAttrs' (name: lib.nameValuePair "template-${name}") (
          self.lib.testStack (import ./templates/server/fleet.nix // { inherit pkgs; })
        )
      );
    };
}
