{
  # OWNER is who hosts the repository.
  inputs.authstack.url = "github:OWNER/authstack";
  inputs.nixpkgs.follows = "authstack/nixpkgs";
  # What the servers run, once they do: for the scenario "upgrade", as docs/how-to/test-my-configuration.md tells.
  # inputs.authstack-running.url = "github:OWNER/authstack/COMMIT";

  outputs =
    { nixpkgs, authstack, ... }@inputs:
    let
      system = "x86_64-linux";
      fleet = import ./fleet.nix;
      server =
        name:
        nixpkgs.lib.nixosSystem {
          inherit system;
          modules = [
            authstack.nixosModules.default
            ./server.nix
            {
              networking.hostName = name;
              services.authstack = { inherit (fleet) nodes; };
            }
            # What `nixos-generate-config` made on the host.
            ./hardware/${name}.nix
          ];
        };
    in
    {
      nixosConfigurations = builtins.mapAttrs (name: _: server name) fleet.nodes;

      # `nix flake check` runs these machines, and breaks them.
      checks.${system} = authstack.lib.testStack {
        pkgs = nixpkgs.legacyPackages.${system};
        inherit (fleet) nodes scenarios;
        # upgradeFrom = inputs.authstack-running;
      };
    };
}
