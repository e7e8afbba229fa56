# `services.authstack.nodes`: which hosts there are, where they are reached, and what each is for.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.services.authstack;
  defaults = import ./render/defaults.nix;
in
{
  options.services.authstack = {
    domain = mkOption {
      type = types.str;
      example = "auth.example.org";
      description = ''
        Domain name of the gateway: in the clients' URLs, in its certificate, and, as `https://DOMAIN`, the issuer of tokens.
      '';
    };

    nodes = mkOption {
      default = { };
      example = {
        auth1 = {
          address = "10.0.0.1";
          roles = [
            "core"
            "gateway"
          ];
        };
        auth2 = {
          address = "10.0.0.2";
          roles = [ "core" ];
          weight = 50;
        };
        watch.address = "10.0.0.9";
        watch.roles = [ "monitor" ];
      };
      description = ''
        The fleet: each host by its name. All hosts import the same value, and each does what its own entry says.
        On the only host of a fleet of one, `services.authstack.nodes.HOSTNAME = { };` is all.
      '';
      type = types.attrsOf (
        types.submodule {
          options = {
            address = mkOption {
              type = types.strMatching "[0-9a-fA-F.:]+";
              default = "127.0.0.1";
              example = "10.0.0.1";
              description = ''
                IP address at which the other hosts of the fleet reach this one, on a network that is theirs alone: what
                they say to each other is not encrypted, but for what {option}`services.authstack.internalTls` is for.
              '';
            };
            roles = mkOption {
              type = types.listOf (
                types.enum [
                  "core"
                  "gateway"
                  "monitor"
                  "database"
                ]
              );
              default = defaults.roles;
              description = ''
                What the host runs: `core` is auth-core, which answers the API; `gateway` is HAProxy, between clients and
                cores; `monitor` is Prometheus, Alertmanager, Grafana and Zipkin. `database` is a member of
                {option}`services.authstack.database.cluster`, or has PostgreSQL measured, which {option}`services.postgresql` or another
                module of yours runs there: by a user `postgres-exporter`, who may read
                statistics (`pg_monitor`) and logs in by the Unix socket, without a password. With {option}`services.postgresql` it
                is made; elsewhere make it. A host without a role is only monitored.
              '';
            };
            weight = mkOption {
              type = types.ints.between 0 256;
              default = 100;
              description = "Load-balancing weight of a core: its share of the requests, in proportion to the other cores' weights; 0 for none.";
            };
          };
        }
      );
    };

    internalTls =
      lib.mapAttrs
        (
          name: description:
          mkOption {
            type = types.nullOr (types.strMatching "/.*");
            default = null;
            example = "/run/secrets/authstack-${name}.pem";
            inherit description;
          }
        )
        {
          ca = ''
            PEM file with the certificate authority of the cores' certificates. With it, gateways and monitors speak to cores by TLS
            alone. Every host of the fleet needs the same; HAProxy and Prometheus read it.
          '';
          certificate = ''
            PEM file with the certificate of this host, on cores and on members of {option}`services.authstack.database.cluster`: for the
            host's name in {option}`services.authstack.nodes` (DNS) and for its address (IP). Root reads it and its key, at start and at each `systemctl reload auth-core`. With
            {option}`services.authstack.monitoring.logs.enable` all hosts need one, which is a client's and a server's; there it
            is read at start.
          '';
          key = "PEM file with the private key of that certificate.";
        };

    openFirewall = lib.mkEnableOption "" // {
      description = ''
        Whether the fleet's hosts, and nobody else, reach those ports of this host that are meant for them: the core's for
        gateways and monitors, metrics for monitors, Zipkin's for cores, logs for all; and what gateways tell each other: counts of
        clients' requests, and, with {option}`gateway.virtualAddresses`, VRRP.
      '';
    };

    ports =
      lib.mapAttrs
        (
          name: of:
          mkOption {
            type = types.port;
            default = defaults.ports.${name};
            description = "TCP port of ${of}, on the address of its host in the fleet.";
          }
        )
        {
          core = "each core";
          databaseApi = "Patroni's API, on each member of {option}`services.authstack.database.cluster`";
          etcdClients = "etcd, on each member of the database's cluster";
          etcdMetrics = "etcd's metrics";
          etcdPeers = "etcd, for its other members";
          gatewayMetrics = "each gateway's metrics and statistics page";
          gatewayPeers = "each gateway's counts of clients' requests, for the other gateways";
          pgbouncer = "PgBouncer, on each member of the database's cluster";
          postgresqlReplicas = "each core's way to the replicas of the database's cluster, on 127.0.0.1";
          postgresql = "each core's way to the database's cluster, on 127.0.0.1, and of PostgreSQL itself";
          zipkin = "each monitor's Zipkin";
        };

    host = mkOption {
      type = types.str;
      default = config.networking.hostName;
      defaultText = lib.literalExpression "config.networking.hostName";
      description = "The entry of {option}`services.authstack.nodes` that is this host's.";
    };
  };

  config.assertions = lib.optional (cfg.nodes != { }) {
    assertion = cfg.nodes ? ${cfg.host};
    message = ''
      services.authstack.nodes has no entry for this host, `${cfg.host}`; it has ${toString (lib.attrNames cfg.nodes)}.
      Add one, or set services.authstack.host to the entry that is meant.
    '';
  };
}
