# `services.authstack.database.cluster`: a PostgreSQL that survives its machine. Patroni and etcd on hosts with the role `database`, and on
# each core a HAProxy that knows who the primary is.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.database.cluster;
  fleet = import ./fleet.nix { inherit config lib; };
  defaults = (import ./render/defaults.nix).databaseCluster;
  inherit (stack) internalTls ports;
  inherit (stack.auth-core.database) passwordFile;

  members = fleet.withRole "database";
  cores = fleet.withRole "core";
  monitors = fleet.addresses (fleet.withRole "monitor");
  isMember = cfg.enable && fleet.has "database";
  isCore = cfg.enable && stack.auth-core.enable;
  here = fleet.endpoint fleet.self.address;

  # Certificates and passwords belong to root. systemd hands them out, at start.
  credential = unit: name: "/run/credentials/${unit}.service/${name}";
  load = lib.mapAttrsToList (name: file: "${name}:${toString file}");
  certificates = {
    "ca.pem" = internalTls.ca;
    "certificate.pem" = internalTls.certificate;
    "key.pem" = internalTls.key;
  };
  tlsOf = unit: {
    ca = credential unit "ca.pem";
    certificate = credential unit "certificate.pem";
    key = credential unit "key.pem";
  };

  # The user and the database that the cores have.
  database = "auth-core";
  networks =
    nodes:
    map (address: if lib.hasInfix ":" address then "${address}/128" else "${address}/32") (
      fleet.addresses nodes
    );
  sockets = "/run/postgresql";
  patroni = import ./render/database/patroni.nix {
    name = stack.host;
    postgresql = here ports.postgresql;
    api = here ports.databaseApi;
    etcd = map (target: target.address) (fleet.targets ports.etcdClients members);
    tls = tlsOf "patroni";
    members = networks members;
    clients = networks cores;
    inherit database;
    afterBootstrap = "${pkgs.runtimeShell} ${./render/database/after-bootstrap.sh}";
    dataDirectory = config.services.patroni.postgresqlDataDir;
    passwordFile = "${config.services.patroni.dataDir}/pgpass";
    programs = "${cfg.postgresqlPackage}/bin";
  };

  proxy = pkgs.writeText "authstack-database-proxy.cfg" (
    import ./render/database/haproxy.nix {
      listen = "127.0.0.1:${toString ports.postgresql}";
      listenReplicas =
        if cfg.readReplicas then "127.0.0.1:${toString ports.postgresqlReplicas}" else null;
      members = lib.mapAttrsToList (name: node: {
        inherit name;
        postgresql = fleet.endpoint node.address (
          if cfg.pgbouncer.enable then ports.pgbouncer else ports.postgresql
        );
        api = fleet.endpoint node.address ports.databaseApi;
      }) members;
      ca = credential "authstack-database-proxy" "ca.pem";
      inherit (defaults) connections;
    }
  );

  # A member's certificate is for another address than this one, so it is its authority that counts.
  throughProxy =
    port:
    "postgres://${database}@127.0.0.1:${toString port}/${database}"
    + "?sslmode=verify-ca&sslrootcert=${credential "auth-core" "database-ca"}";

  # For root, with what it takes to be let in. Upstream's own names are taken by upstream's packages.
  tools = [
    (pkgs.writeShellScriptBin "authstack-patronictl" ''
      PATRONI_RESTAPI_PASSWORD=$(< ${credential "patroni" "replication-password"}) || exit
      export PATRONI_RESTAPI_PASSWORD
      exec ${pkgs.patroni}/bin/patronictl --config-file ${config.environment.sessionVariables.PATRONICTL_CONFIG_FILE} "$@"
    '')
    (pkgs.writeShellScriptBin "authstack-etcdctl" ''
      exec ${config.services.etcd.package}/bin/etcdctl --endpoints=https://${here ports.etcdClients} \
        --cacert=${credential "etcd" "ca.pem"} --cert=${credential "etcd" "certificate.pem"} --key=${credential "etcd" "key.pem"} "$@"
    '')
  ];
in
{
  imports = [
    ./auth-core.nix
    ./database-pgbouncer.nix
    ./nodes.nix
  ];

  options.services.authstack.database.cluster = {
    enable = lib.mkEnableOption "" // {
      description = ''
        Whether the hosts with the role `database`, three or more and an odd number, have one PostgreSQL together, of which a copy takes over
        when the machine of the primary is lost. They run etcd and Patroni, by {option}`services.etcd` and {option}`services.patroni`. Each core
        has a small HAProxy of its own, which knows who the primary is. Set it on all hosts alike; `docs/how-to/database-cluster.md` tells the rest.
        Members, and cores to them, speak by TLS alone: it takes {option}`services.authstack.internalTls`. The password of the cores,
        {option}`services.authstack.auth-core.database.passwordFile`, is needed on hosts of the database, too.
      '';
    };
    superuserPasswordFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/authstack-database-superuser";
      description = "File with the password of PostgreSQL's user `postgres`, the same on each host of the database. Read by systemd.";
    };
    replicationPasswordFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/authstack-database-replication";
      description = ''
        File with the password by which the members know each other, when they copy the database and ask for changes by Patroni's API; the same on
        each host of the database. Read by systemd.
      '';
    };
    readReplicas = lib.mkEnableOption "" // {
      description = ''
        Whether `me` reads from the copies, too, as {option}`services.authstack.auth-core.database.replicaUrl` has it: a session may
        seem to last for some seconds after a log-out has ended it.
      '';
    };
    postgresqlPackage = mkOption {
      type = types.package;
      default = pkgs.postgresql_17;
      defaultText = lib.literalExpression "pkgs.postgresql_17";
      example = lib.literalExpression "pkgs.postgresql_18";
      description = ''
        PostgreSQL. Another major version does not read the data of this one: `docs/how-to/database-cluster.md` tells how to change it.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        assertions = [
          {
            assertion =
              let
                count = lib.length (lib.attrNames members);
              in
              count >= 3 && lib.mod count 2 == 1;
            message = ''
              services.authstack.database.cluster.enable: ${
                if members == { } then "no host" else toString (lib.attrNames members)
              } of services.authstack.nodes ${
                if lib.length (lib.attrNames members) > 1 then "have" else "has"
              } the role `database`. More than half
              of the members decide who the primary is, so three of them bear the loss of one, five that of two, and an even number bears no more than
              one less. Give the role to three hosts or to five.
            '';
          }
        ]
        ++ lib.optionals (isMember || isCore) [
          {
            assertion = !lib.elem null (lib.attrValues internalTls);
            message = ''
              services.authstack.database.cluster.enable: members and cores know each other by certificates. Set
              services.authstack.internalTls.{ca,certificate,key} on ${stack.host}; docs/how-to/database-cluster.md tells how to make them.
            '';
          }
          {
            assertion = passwordFile != null;
            message = ''
              services.authstack.database.cluster.enable: ${stack.host} must know the password of the cores' user. Set
              services.authstack.auth-core.database.passwordFile, on hosts of the database, too.
            '';
          }
        ];
      }

      (lib.mkIf isMember {
        assertions = [
          {
            assertion = cfg.superuserPasswordFile != null && cfg.replicationPasswordFile != null;
            message = ''
              services.authstack.database.cluster: set superuserPasswordFile and replicationPasswordFile, to files that are the same on each
              host of the database: `openssl rand -hex 32` makes what is to be in them.
            '';
          }
          {
            assertion = !config.services.postgresql.enable;
            message = ''
              services.authstack.database.cluster.enable: Patroni runs PostgreSQL on ${stack.host}, and services.postgresql would run another one on
              the same data. Leave services.postgresql.enable out.
            '';
          }
          (fleet.notInStore "services.authstack.database.cluster.superuserPasswordFile"
            cfg.superuserPasswordFile
            ""
          )
          (fleet.notInStore "services.authstack.database.cluster.replicationPasswordFile"
            cfg.replicationPasswordFile
            ""
          )
        ]
        # A core says so itself.
        ++ lib.optionals (!stack.auth-core.enable) [
          (fleet.notInStore "services.authstack.internalTls.key" internalTls.key "")
          (fleet.notInStore "services.authstack.auth-core.database.passwordFile" passwordFile "")
        ];

        services.etcd =
          let
            tls = tlsOf "etcd";
            peer = node: "https://${fleet.endpoint node.address ports.etcdPeers}";
          in
          {
            enable = true;
            name = stack.host;
            listenClientUrls = [ "https://${here ports.etcdClients}" ];
            listenPeerUrls = [ (peer fleet.self) ];
            initialCluster = lib.mapAttrsToList (name: node: "${name}=${peer node}") members;
            initialClusterToken = "authstack";
            certFile = tls.certificate;
            keyFile = tls.key;
            trustedCaFile = tls.ca;
            clientCertAuth = true;
            peerClientCertAuth = true;
            extraConf = {
              # As what the other exporters tell: no secrets, and for monitors alone.
              LISTEN_METRICS_URLS = "http://${here ports.etcdMetrics}";
              AUTO_COMPACTION_RETENTION = defaults.etcdHistory;
            };
          };
        systemd.services.etcd =
          let
            unit = fleet.waitingForAddress { };
          in
          unit
          // {
            serviceConfig =
              import ./hardening.nix
              // unit.serviceConfig
              // {
                RestartSec = lib.mkForce unit.serviceConfig.RestartSec;
                StateDirectory = "etcd";
                StateDirectoryMode = "0700";
                LoadCredential = load certificates;
                IPAddressDeny = "any";
                IPAddressAllow = [ "localhost" ] ++ fleet.addresses members ++ monitors;
              };
          };

        services.patroni = {
          enable = true;
          inherit (cfg) postgresqlPackage;
          inherit (patroni) scope name;
          nodeIp = fleet.bracketed fleet.self.address;
          otherNodesIps = map fleet.bracketed (fleet.addresses (removeAttrs members [ stack.host ]));
          postgresqlPort = ports.postgresql;
          restApiPort = ports.databaseApi;
          settings = lib.mkMerge [
            patroni
            {
              restapi.authentication.username = "patroni";
              postgresql = {
                # For who is on this host and known to its system: backups, and what measures.
                parameters.unix_socket_directories = sockets;
                # Its code would be written and run, which the unit may not.
                parameters.jit = "off";
                pg_hba = [
                  "local all postgres peer map=local"
                  "local all postgres-exporter peer map=local"
                ];
                pg_ident = [
                  "local patroni postgres"
                  "local postgres-exporter postgres-exporter"
                ];
              };
            }
          ];
          environmentFiles =
            let
              replication = credential "patroni" "replication-password";
            in
            {
              PATRONI_SUPERUSER_PASSWORD = credential "patroni" "superuser-password";
              PATRONI_REPLICATION_PASSWORD = replication;
              PATRONI_REWIND_PASSWORD = replication;
              PATRONI_RESTAPI_PASSWORD = replication;
            };
        };
        systemd.services.patroni = fleet.waitingForAddress {
          # For what is run when the database has been made.
          path = [ cfg.postgresqlPackage ];
          environment = {
            AUTHSTACK_DATABASE = database;
            AUTHSTACK_DATABASE_PASSWORD_FILE = credential "patroni" "accounts-password";
            AUTHSTACK_DATABASE_MONITOR = "postgres-exporter";
          };
          serviceConfig =
            import ./hardening.nix
            // {
              Restart = lib.mkForce "always";
              RuntimeDirectory = "postgresql";
              RuntimeDirectoryMode = "0755";
              # PostgreSQL outlives a Patroni that crashed, and so must what it shares and where it is reached.
              RuntimeDirectoryPreserve = "restart";
              RemoveIPC = false;
              # PostgreSQL is told who is at the other end of its socket.
              PrivateUsers = false;
              # Patroni reads from /proc when the machine was started, to know its PostgreSQL again.
              ProcSubset = "all";
              LoadCredential = load (
                certificates
                // {
                  "superuser-password" = cfg.superuserPasswordFile;
                  "replication-password" = cfg.replicationPasswordFile;
                  "accounts-password" = passwordFile;
                }
              );
              IPAddressDeny = "any";
              IPAddressAllow = [ "localhost" ] ++ fleet.addresses (members // cores) ++ monitors;
            }
            // lib.optionalAttrs config.services.patroni.softwareWatchdog {
              PrivateDevices = false;
              DeviceAllow = "/dev/watchdog rw";
            };
        };

        environment.systemPackages = tools;

        networking.firewall = lib.mkIf stack.openFirewall (
          lib.mkMerge [
            (fleet.reachableFrom (fleet.addresses members) ports.etcdClients)
            (fleet.reachableFrom (fleet.addresses members) ports.etcdPeers)
            (fleet.reachableFrom monitors ports.etcdMetrics)
            (fleet.reachableFrom (fleet.addresses (members // cores)) ports.postgresql)
            (fleet.reachableFrom (lib.unique (
              fleet.addresses (members // cores) ++ monitors
            )) ports.databaseApi)
          ]
        );
      })

      (lib.mkIf isCore {
        services.authstack.auth-core.database = {
          type = lib.mkDefault "postgresql";
          url = lib.mkDefault (throughProxy ports.postgresql);
          replicaUrl = lib.mkIf cfg.readReplicas (lib.mkDefault (throughProxy ports.postgresqlReplicas));
        };
        systemd.services.auth-core = {
          wants = [ "authstack-database-proxy.service" ];
          after = [ "authstack-database-proxy.service" ];
          serviceConfig.LoadCredential = [ "database-ca:${toString internalTls.ca}" ];
        };
        systemd.services.authstack-database-proxy = {
          description = "The way to the primary of the database";
          wantedBy = [ "multi-user.target" ];
          startLimitIntervalSec = 0;
          serviceConfig = import ./hardening.nix // {
            Type = "notify";
            ExecStart = "${lib.getExe pkgs.haproxy} -Ws -f ${proxy}";
            Restart = "always";
            RestartSec = 1;
            # HAProxy's own sign of an ordered end.
            SuccessExitStatus = 143;
            DynamicUser = true;
            LoadCredential = [ "ca.pem:${toString internalTls.ca}" ];
            LimitNOFILE = 4096;
            IPAddressDeny = "any";
            IPAddressAllow = [ "localhost" ] ++ fleet.addresses members;
          };
        };
      })
    ]
  );
}
