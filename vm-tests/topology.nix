# The machines of all tests, described once. A test names those it needs; the fleet consists of these.
{ lib }:
let
  domain = "auth.example.org";

  ourFleet = {
    gateway.roles = [ "gateway" ];
    gateway2.roles = [ "gateway" ];
    core1.roles = [ "core" ];
    core2.roles = [ "core" ];
    monitor.roles = [ "monitor" ];
    single.roles = [
      "core"
      "gateway"
      "monitor"
    ];
    database.roles = [ "database" ];
  };

  # Keys that come from outside in real life. Nothing that these tests protect.
  throwawaySecrets =
    pkgs:
    pkgs.runCommand "throwaway-secrets"
      { nativeBuildInputs = [ (pkgs.callPackage ../auth-core/package.nix { }) ]; }
      ''
        mkdir $out
        auth-core keys generate --set tokens.key_directory=$out/keys
        chmod -R a+rX,o-rX $out/keys
        echo throwaway > $out/database-password
      '';

  machines = {
    database =
      { pkgs, ... }:
      {
        services.postgresql = {
          enable = true;
          enableTCPIP = true;
          authentication = "host auth-core auth-core 192.168.1.0/24 scram-sha-256";
          initialScript = pkgs.writeText "accounts.sql" ''
            CREATE ROLE "auth-core" LOGIN PASSWORD 'throwaway';
            CREATE DATABASE "auth-core" OWNER "auth-core";
          '';
        };
        networking.firewall.allowedTCPPorts = [ 5432 ];
      };

    # Outside of the fleet: what it sees is what a user sees.
    client =
      { pkgs, ... }:
      {
        environment.systemPackages = [
          pkgs.curl
          pkgs.netcat
          pkgs.openssl
          (pkgs.callPackage ../loadtests/package.nix { })
        ];
      };
  };

  # A core that shares its accounts with others shares its keys, too.
  sharing =
    { pkgs, ... }:
    {
      environment.etc."throwaway-secrets".source = throwawaySecrets pkgs;
      services.authstack.auth-core = {
        keys.directory = lib.mkForce "/etc/throwaway-secrets/keys";
        database.passwordFile = lib.mkForce "/etc/throwaway-secrets/database-password";
      };
    };
in
{
  inherit domain;

  # { MACHINE = NixOS module; } of the named machines, those of the fleet with their entries in `nodes`.
  machinesOf =
    {
      names,
      fleet ? ourFleet,
      modules ? [ ],
    }:
    let
      nodes = lib.filterAttrs (name: _: lib.elem name names) fleet;
      # As the test framework numbers them.
      number =
        name: 1 + lib.lists.findFirstIndex (other: other == name) null (lib.sort lib.lessThan names);
      address = name: "192.168.1.${toString (number name)}";
      gateways = lib.attrNames (lib.filterAttrs (_: node: lib.elem "gateway" node.roles) nodes);
      virtual = "192.168.1.250";
      several = lib.length gateways > 1;
      withDatabase = lib.elem "database" names;
      inFleet = name: {
        imports = [
          ../nixos-modules
        ]
        ++ modules
        ++ lib.optional (withDatabase && lib.elem "core" nodes.${name}.roles) sharing;
        services.authstack = {
          domain = lib.mkForce domain;
          host = name;
          openFirewall = true;
          nodes = lib.mkForce (lib.mapAttrs (name: node: node // { address = address name; }) nodes);
          auth-core = {
            # A cheap hash: these tests are not about its cost.
            settings.password.scrypt = lib.mkForce {
              log_n = 10;
              r = 8;
              p = 1;
            };
            settings.drain_seconds = lib.mkDefault 2;
            database = lib.mkIf withDatabase {
              type = lib.mkForce "postgresql";
              url = lib.mkForce "postgres://auth-core@${address "database"}:5432/auth-core";
            };
          };
          gateway = {
            tls.source = lib.mkForce "internal-ca";
            tls.file = lib.mkForce null;
            virtualAddresses = lib.mkForce (
              lib.optional several {
                address = "${virtual}/24";
                interface = "eth1";
              }
            );
            openFirewall = true;
          };
          monitoring.scrapeInterval = lib.mkForce "1s";
        };
      };
    in
    lib.genAttrs names (name: {
      imports = lib.optional (nodes ? ${name}) (inFleet name) ++ [ machines.${name} or { } ];
      networking.extraHosts = "${if several then virtual else address (lib.head gateways)} ${domain}";
    });

  # How large a virtual machine is. A monitor has a Java VM, Grafana and Prometheus to run.
  sizeOf =
    {
      name,
      fleet ? ourFleet,
    }:
    let
      isMonitor = lib.elem "monitor" (fleet.${name}.roles or [ ]);
    in
    {
      virtualisation.memorySize = lib.mkDefault (if isMonitor then 2048 else 1024);
      virtualisation.cores = lib.mkDefault (if isMonitor then 2 else 1);
    };

  # Lines of Python that give the machines the names by which scripts know them.
  namesInScripts =
    {
      names,
      fleet ? ourFleet,
    }:
    let
      known = lib.filterAttrs (name: _: lib.elem name names) fleet;
      variables =
        role:
        map (lib.replaceStrings [ "-" ] [ "_" ]) (
          lib.attrNames (lib.filterAttrs (_: node: lib.elem role node.roles) known)
        );
    in
    ''
      DOMAIN = "${domain}"
      gateways = [${lib.concatStringsSep ", " (variables "gateway")}]
      front = gateways[0]
      cores = [${lib.concatStringsSep ", " (variables "core")}]
    '';
}
