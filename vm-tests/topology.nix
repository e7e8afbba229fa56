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
    # Members of a cluster, where a test has one.
    database1.roles = [ "database" ];
    database2.roles = [ "database" ];
    database3.roles = [ "database" ];
  };

  # Keys that come from outside in real life. Nothing that these tests protect.
  throwawaySecrets =
    { config, pkgs, ... }:
    pkgs.runCommand "throwaway-secrets"
      { nativeBuildInputs = [ config.services.authstack.auth-core.package ]; }
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

  # A host of a database that is on three machines, and what it takes to be one.
  clustered =
    { config, pkgs, ... }:
    let
      stack = config.services.authstack;
    in
    {
      environment.etc = {
        "throwaway-certificates".source = import ./certificates.nix {
          inherit pkgs;
          inherit (stack) nodes;
        };
        "throwaway-superuser-password".text = "throwaway-superuser";
        "throwaway-replication-password".text = "throwaway-replication";
      };
      services.authstack = {
        database.cluster = {
          enable = true;
          readReplicas = true;
          superuserPasswordFile = lib.mkForce "/etc/throwaway-superuser-password";
          replicationPasswordFile = lib.mkForce "/etc/throwaway-replication-password";
        };
        internalTls = {
          ca = lib.mkForce "/etc/throwaway-certificates/ca.pem";
          certificate = lib.mkForce "/etc/throwaway-certificates/${stack.host}.pem";
          key = lib.mkForce "/etc/throwaway-certificates/${stack.host}-key.pem";
        };
      };
    };

  # A core that shares its accounts with others shares its keys, too.
  sharing =
    { config, pkgs, ... }@host:
    let
      secrets = throwawaySecrets host;
    in
    {
      environment.etc."throwaway-secrets".source = secrets;
      # A copy, since keys are rotated by what is done to their folder.
      systemd.tmpfiles.rules = [
        "C /var/lib/throwaway-keys 0700 root root - ${secrets}/keys"
        # Everybody can read what is in the store.
        "Z /var/lib/throwaway-keys ~0700 root root"
      ];
      services.authstack.auth-core = {
        keys.directory = lib.mkForce "/var/lib/throwaway-keys";
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
      # What makes a host part of the fleet: of this version, or of another.
      authstack ? ../nixos-modules,
      modules ? [ ],
      # Of the cost of a hash, the logarithm of N: a cheap one, but for tests that are about it.
      hashCost ? 10,
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
      withCluster = !withDatabase && lib.any (node: lib.elem "database" node.roles) (lib.attrValues nodes);
      inFleet = name: {
        imports = [
          authstack
        ]
        ++ modules
        ++ lib.optional (withDatabase && lib.elem "core" nodes.${name}.roles) sharing
        ++ lib.optionals withCluster [
          sharing
          clustered
        ];
        services.authstack = {
          domain = lib.mkForce domain;
          host = name;
          openFirewall = true;
          nodes = lib.mkForce (lib.mapAttrs (name: node: node // { address = address name; }) nodes);
          auth-core = {
            settings.password.scrypt = lib.mkForce {
              log_n = hashCost;
              r = 8;
              p = 1;
            };
            database = lib.mkIf withDatabase {
              type = lib.mkForce "postgresql";
              url = lib.mkForce "postgres://auth-core@${address "database"}:5432/auth-core";
            };
          };
          # Somebody's own would have `database` for a member.
          database.cluster = lib.mkIf withDatabase {
            enable = lib.mkForce false;
            pgbouncer.enable = lib.mkForce false;
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

  # The first gateway.
  frontOf =
    {
      names,
      fleet ? ourFleet,
    }:
    lib.findFirst (name: lib.elem "gateway" (fleet.${name}.roles or [ ])) null (
      lib.sort lib.lessThan names
    );

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
      databases = [${lib.concatStringsSep ", " (variables "database")}]
      monitors = [${lib.concatStringsSep ", " (variables "monitor")}]
    '';
}
