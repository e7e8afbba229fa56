# `services.authstack.database.cluster.pgbouncer`: cores share few of PostgreSQL's connections, by a PgBouncer on each member.
{
  config,
  lib,
  ...
}:
let
  stack = config.services.authstack;
  cfg = stack.database.cluster;
  fleet = import ./fleet.nix { inherit config lib; };
  defaults = (import ./render/defaults.nix).databaseCluster;
  inherit (stack) internalTls ports;

  cores = fleet.withRole "core";
  credential = name: "/run/credentials/pgbouncer.service/${name}";
  database = "auth-core";
  users = "/run/pgbouncer/users";
in
{
  options.services.authstack.database.cluster.pgbouncer.enable = lib.mkEnableOption "" // {
    description = ''
      Whether the cores share ${toString defaults.pooled} connections to PostgreSQL, however many they are, by a PgBouncer on each host of the database
      ({option}`services.pgbouncer`, in transaction mode). It is for fleets whose cores have more connections than PostgreSQL should have: ten each, by
      `services.authstack.auth-core.settings.database.max_connections`. Set it on all hosts alike; `docs/how-to/database-cluster.md` tells the rest.
    '';
  };

  config = lib.mkMerge [
    {
      assertions = [
        {
          assertion = cfg.pgbouncer.enable -> cfg.enable;
          message = ''
            services.authstack.database.cluster.pgbouncer.enable: PgBouncer is for the database that the hosts with the role `database` have
            together, and there is none. Set services.authstack.database.cluster.enable, or leave it out.
          '';
        }
      ];
    }
    (lib.mkIf (cfg.enable && cfg.pgbouncer.enable && fleet.has "database") {
      services.pgbouncer = {
        enable = true;
        settings = import ./render/database/pgbouncer.nix {
          inherit (fleet.self) address;
          port = ports.pgbouncer;
          tls = {
            certificate = credential "certificate.pem";
            key = credential "key.pem";
          };
          # All that their ways to the database let through.
          clients = defaults.connections * lib.length (lib.attrNames cores);
          inherit database users;
          sockets = "/run/postgresql";
          postgresql = ports.postgresql;
        };
      };
      systemd.services.pgbouncer =
        let
          unit = fleet.waitingForAddress { };
        in
        unit
        // {
          # In PgBouncer's own form, and not by the arguments of a process.
          preStart = ''
            password=$(< ${credential "accounts-password"})
            printf '"%s" "%s"\n' ${database} "''${password//\"/\"\"}" > ${users}
          '';
          serviceConfig =
            import ./hardening.nix
            // unit.serviceConfig
            // {
              Restart = "always";
              LoadCredential = [
                "accounts-password:${toString stack.auth-core.database.passwordFile}"
                "certificate.pem:${toString internalTls.certificate}"
                "key.pem:${toString internalTls.key}"
              ];
              IPAddressDeny = "any";
              IPAddressAllow = [ "localhost" ] ++ fleet.addresses cores;
            };
        };

      services.patroni.settings.postgresql = {
        pg_hba = [ "local ${database} ${database} peer map=local" ];
        pg_ident = [ "local pgbouncer ${database}" ];
      };

      networking.firewall = lib.mkIf stack.openFirewall (
        fleet.reachableFrom (fleet.addresses cores) ports.pgbouncer
      );
    })
  ];
}
