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

      # Of a checkout with changes nobody knows what it is.
      withCommit =
        pkgs: package:
        if self ? rev then
          pkgs.callPackage ./nix/with-commit.nix { } {
            inherit package;
            inherit (self) rev;
          }
        else
          package;
      # The commit is in what servers get from here, and in no check.
      core = {
        # There once, where it is imported twice.
        key = "authstack-auth-core";
        imports = [
          ./nixos-modules/auth-core.nix
          (
            { pkgs, ... }:
            {
              services.authstack.auth-core.package = lib.mkDefault (
                withCommit pkgs (pkgs.callPackage ./auth-core/package.nix { })
              );
            }
          )
        ];
      };
    in
    {
      overlays.default = import ./nix/overlay.nix;

      packages = forEachSystem (pkgs: {
        inherit (pkgs.authstack)
          lab
          loadtests
          options-doc
          sample-service
          zipkin-server
          ;
        auth-core = withCommit pkgs pkgs.authstack.auth-core;
        default = withCommit pkgs pkgs.authstack.auth-core;
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
        default.imports = [
          ./nixos-modules
          core
        ];
        auth-core = core;
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
          commit =
            let
              core = pkgs.callPackage ./nix/with-commit.nix { } {
                package = pkgs.authstack.auth-core;
                rev = "0123456789abcdef0123456789abcdef01234567";
              };
            in
            pkgs.runCommand "auth-core-commit" { } ''
              said=$(${lib.getExe core} --version | tee $out)
              [ "$said" = 'auth-core ${core.version} (commit 0123456789ab)' ] || { echo "$said" >&2; exit 1; }
            '';
          options-doc = pkgs.runCommand "options-doc-check" { } ''
            if ! diff -u ${./docs/reference/options.md} ${pkgs.authstack.options-doc}; then
              echo 'The reference is not what the modules say: cp $(nix build --print-out-paths .#options-doc) docs/reference/options.md' >&2
              exit 1
            fi
            touch $out
          '';
        }
        # The template's fleet, tested as its user would test it, once it runs.
        // lib.mapAttrs' (name: lib.nameValuePair "template-${name}") (
          let
            fleet = import ./templates/server/fleet.nix;
          in
          self.lib.testStack {
            inherit pkgs;
            inherit (fleet) nodes;
            scenarios = fleet.scenarios ++ [ "upgrade" ];
            upgradeFrom = import ./vm-tests/other-commit.nix { inherit pkgs; };
          }
        )
      );
    };
}
