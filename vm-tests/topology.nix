# The machines of all tests, described once. A test names those it needs; the fleet consists of these.
{ lib }:
let
  domain = "auth.example.org";

  roles = {
    gateway = [ "gateway" ];
    core1 = [ "core" ];
    core2 = [ "core" ];
    monitor = [ "monitor" ];
    single = [
      "core"
      "gateway"
      "monitor"
    ];
    # Only watched.
    database = [ ];
  };

  # Keys that come from outside in real life. Nothing that these tests protect.
  throwawaySecrets =
    pkgs:
    pkgs.runCommand "throwaway-secrets" { nativeBuildInputs = [ pkgs.openssl ]; } ''
      mkdir $out
      openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $out/signing-key.pem
      echo throwaway > $out/database-password
    '';

  machines = {
    gateway = { };

    core1 = core;
    core2 = core;

    monitor = { };

    single = { };

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
          pkgs.authstack.loadtests
        ];
      };
  };

  core =
    { pkgs, ... }:
    {
      environment.etc."throwaway-secrets".source = throwawaySecrets pkgs;
      services.authstack.auth-core.keys.signingFile = "/etc/throwaway-secrets/signing-key.pem";
    };
in
{
  inherit domain;

  # { MACHINE = NixOS module; } of the named machines.
  machinesOf =
    names:
    let
      # As the test framework numbers them.
      number = name: 1 + lib.lists.findFirstIndex (other: other == name) null (lib.sort lib.lessThan names);
      address = name: "192.168.1.${toString (number name)}";
      front = if lib.elem "single" names then "single" else "gateway";
      withDatabase = lib.elem "database" names;
      common = name: {
        imports = [ ../nixos-modules ];
        networking.extraHosts = "${address front} ${domain}";
        services.authstack = lib.mkIf (roles ? ${name}) {
          inherit domain;
          openFirewall = true;
          nodes = lib.genAttrs (lib.filter (name: roles ? ${name}) names) (name: {
            address = address name;
            roles = roles.${name};
          });
          auth-core = {
            # A cheap hash: these tests are not about its cost.
            settings.password.scrypt = {
              log_n = 10;
              r = 8;
              p = 1;
            };
            settings.drain_seconds = 2;
            database = lib.mkIf withDatabase {
              type = "postgresql";
              url = "postgres://auth-core@${address "database"}:5432/auth-core";
              passwordFile = "/etc/throwaway-secrets/database-password";
            };
          };
          gateway = {
            tls.source = "internal-ca";
            openFirewall = true;
          };
          monitoring.scrapeInterval = "1s";
        };
      };
    in
    lib.genAttrs names (name: {
      imports = [
        (common name)
        machines.${name}
      ];
    });
}
