# Configurations that cannot be meant are refused, with the way out.
{ pkgs, evaluate }:
let
  inherit (pkgs) lib;
  fleetOfOne.services.authstack = {
    nodes.auth1 = { };
    gateway.tls.source = "internal-ca";
  };
  twoCores = {
    auth1.address = "10.0.0.1";
    auth2.address = "10.0.0.2";
    auth2.roles = [ "core" ];
  };
  twoGateways = {
    auth1.address = "10.0.0.1";
    auth2.address = "10.0.0.2";
    auth2.roles = [ "gateway" ];
  };
  virtualAddresses = [
    {
      address = "192.0.2.10/24";
      interface = "eth0";
    }
  ];
  postgresql = {
    type = "postgresql";
    url = "postgres://auth-core@10.0.0.5/auth-core";
  };
  backup = {
    enable = true;
    recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
  };
  internalTls = {
    ca = "/run/secrets/ca.pem";
    certificate = "/run/secrets/auth1.pem";
    key = "/run/secrets/auth1-key.pem";
  };
  also = settings: {
    imports = [
      fleetOfOne
      { services.authstack = settings; }
    ];
  };

  clusterOf =
    count: settings:
    lib.recursiveUpdate {
      nodes = lib.listToAttrs (
        lib.genList (
          number:
          lib.nameValuePair "auth${toString (number + 1)}" {
            address = "10.0.0.${toString (number + 1)}";
            roles = [
              "core"
              "gateway"
              "monitor"
              "database"
            ];
          }
        ) count
      );
      auth-core.keys.directory = "/run/secrets/keys";
      auth-core.database.passwordFile = "/run/secrets/database";
      gateway.virtualAddresses = lib.optionals (count > 1) virtualAddresses;
      gateway.vrrpInterface = "eth1";
      database.cluster = {
        enable = true;
        superuserPasswordFile = "/run/secrets/superuser";
        replicationPasswordFile = "/run/secrets/replication";
      };
      inherit internalTls;
    } settings;

  toOrders.servers."10.0.0.7:9000" = { };
  route = prefix: settings: also { gateway.routes.${prefix} = settings; };

  # { WHAT = { config; says; }; }: exactly one complaint, with this in it. `null` for none. `warns` is the same for warnings.
  cases = {
    "a fleet of one" = {
      config = fleetOfOne;
      says = null;
    };
    "alerts of which nobody is told" = {
      config = fleetOfOne;
      warns = "Nobody is told of alerts of authstack";
    };
    "alerts of which somebody is told" = {
      config = also {
        monitoring.receivers = [
          {
            name = "operators";
            webhook_configs = [ { url = "http://127.0.0.1:5001/"; } ];
          }
        ];
      };
      warns = null;
    };
    "logs that are to be sent by a host without a certificate" = {
      config = also { monitoring.logs.enable = true; };
      says = "Set\nservices.authstack.internalTls.{ca,certificate,key} on auth1, too";
    };
    "logs that are sent to the first of two monitors, with certificates" = {
      config = also {
        nodes.watch.address = "10.0.0.9";
        nodes.watch.roles = [ "monitor" ];
        monitoring.logs.enable = true;
        inherit internalTls;
      };
      says = null;
    };
    "backups that nobody could read" = {
      config = also { backup.enable = true; };
      says = "nobody could read the backups";
    };
    "backups of SQLite" = {
      config = also { inherit backup; };
      says = null;
    };
    "backups of a PostgreSQL that is not the fleet's" = {
      config = also {
        inherit backup;
        auth-core.database = postgresql;
      };
      says = "the accounts are in a PostgreSQL that no host of services.authstack.nodes has";
    };
    "backups of a PostgreSQL that is not NixOS'" = {
      config = also {
        inherit backup;
        auth-core.database = postgresql;
        nodes.auth1.roles = [
          "core"
          "gateway"
          "monitor"
          "database"
        ];
      };
      says = "its PostgreSQL is not that of services.postgresql";
    };
    "backups of a database on three machines" = {
      config = also (clusterOf 3 { inherit backup; });
      says = null;
    };
    "a database on three machines" = {
      config = also (clusterOf 3 { });
      says = null;
    };
    "a database on four machines" = {
      config = also (clusterOf 4 { });
      says = "auth1 auth2 auth3 auth4 of services.authstack.nodes have the role `database`";
    };
    "a database on one machine that is to survive it" = {
      config = also (clusterOf 1 { });
      says = "auth1 of services.authstack.nodes has the role `database`";
    };
    "a database on three machines that know each other by nothing" = {
      config = also (clusterOf 3 { internalTls = lib.genAttrs (lib.attrNames internalTls) (_: null); });
      says = "services.authstack.internalTls.{ca,certificate,key} on auth1; docs/how-to/database-cluster.md";
    };
    "a database on three machines without the cores' password" = {
      config = also (clusterOf 3 { auth-core.database.passwordFile = null; });
      says = "auth1 must know the password of the cores' user";
    };
    "a database on three machines without passwords of its own" = {
      config = also (clusterOf 3 { database.cluster.superuserPasswordFile = null; });
      says = "set superuserPasswordFile and replicationPasswordFile";
    };
    "a database's superuser whose password is in the store" = {
      config = also (clusterOf 3 { database.cluster.superuserPasswordFile = "/nix/store/superuser"; });
      says = "superuserPasswordFile is /nix/store/superuser";
    };
    "a database whose members' password is in the store" = {
      config = also (
        clusterOf 3 { database.cluster.replicationPasswordFile = "/nix/store/replication"; }
      );
      says = "replicationPasswordFile is /nix/store/replication";
    };
    "a database on three machines behind PgBouncer" = {
      config = also (clusterOf 3 { database.cluster.pgbouncer.enable = true; });
      says = null;
    };
    "PgBouncer before no database" = {
      config = also { database.cluster.pgbouncer.enable = true; };
      says = "Set services.authstack.database.cluster.enable, or leave it out";
    };
    "a database on three machines beside another" = {
      config = {
        imports = [ (also (clusterOf 3 { })) ];
        services.postgresql.enable = true;
      };
      says = "services.postgresql would run another one";
    };
    "a canary without its password" = {
      config = also {
        monitoring.probe.enable = true;
        monitoring.probe.account.email = "canary@example.org";
      };
      says = "a canary needs both `email` and `passwordFile`";
    };
    "a canary's password in the store" = {
      config = also {
        monitoring.probe.enable = true;
        monitoring.probe.account.email = "canary@example.org";
        monitoring.probe.account.passwordFile = "/nix/store/canary";
      };
      says = "services.authstack.monitoring.probe.account.passwordFile is /nix/store/canary";
    };
    "a canary" = {
      config = also {
        monitoring.probe.enable = true;
        monitoring.probe.account.email = "canary@example.org";
        monitoring.probe.account.passwordFile = "/run/secrets/canary";
        monitoring.probe.caFile = "/run/secrets/ca.pem";
      };
      says = null;
    };
    "a probe that no Prometheus asks" = {
      config = also {
        monitoring.enable = false;
        monitoring.probe.enable = true;
      };
      says = "auth1 is no monitor, so nobody asks the probe";
    };
    "spans in Elasticsearch" = {
      config = also {
        monitoring.zipkin.storage = {
          type = "elasticsearch";
          hosts = [ "https://search.example.org:9200" ];
          environmentFile = "/run/secrets/zipkin.env";
        };
      };
      says = null;
    };
    "spans in Cassandra" = {
      config = also {
        monitoring.zipkin.storage.type = "cassandra";
        monitoring.zipkin.storage.hosts = [ "10.0.0.7:9042" ];
      };
      says = null;
    };
    "spans in an Elasticsearch that is nowhere" = {
      config = also { monitoring.zipkin.storage.type = "elasticsearch"; };
      says = "where is elasticsearch? Set `hosts`";
    };
    "spans in memory that has hosts" = {
      config = also { monitoring.zipkin.storage.hosts = [ "https://search.example.org:9200" ]; };
      says = "spans are kept in memory, which has no `hosts`";
    };
    "an Elasticsearch that is no URL" = {
      config = also {
        monitoring.zipkin.storage.type = "elasticsearch";
        monitoring.zipkin.storage.hosts = [ "search.example.org:9200" ];
      };
      says = "Elasticsearch's are URLs";
    };
    "an Elasticsearch with a password in its URL" = {
      config = also {
        monitoring.zipkin.storage.type = "elasticsearch";
        monitoring.zipkin.storage.hosts = [ "https://zipkin:secret@search.example.org" ];
      };
      says = "those belong into `environmentFile`";
    };
    "a Cassandra that is a URL" = {
      config = also {
        monitoring.zipkin.storage.type = "cassandra";
        monitoring.zipkin.storage.hosts = [ "http://10.0.0.7:9042" ];
      };
      says = "Cassandra's are HOST or HOST:PORT";
    };
    "the password of Zipkin's storage in the store" = {
      config = also {
        monitoring.zipkin.storage = {
          type = "elasticsearch";
          hosts = [ "https://search.example.org:9200" ];
          environmentFile = "/nix/store/zipkin.env";
        };
      };
      says = "services.authstack.monitoring.zipkin.storage.environmentFile is /nix/store/zipkin.env";
    };
    "logs that nobody takes" = {
      config = also {
        nodes.auth1.roles = [
          "core"
          "gateway"
        ];
        monitoring.logs.enable = true;
        inherit internalTls;
      };
      says = "no host of services.authstack.nodes has the role `monitor`";
    };
    "a host that is not in the fleet" = {
      config = also { host = "auth3"; };
      says = "no entry for this host, `auth3`; it has auth1";
    };
    "signing keys in the store" = {
      config = also { auth-core.keys.directory = pkgs.emptyDirectory; };
      says = "auth-core.keys.directory is /nix/store/";
    };
    "a database password in the store" = {
      config = also {
        auth-core.database = postgresql // {
          passwordFile = pkgs.writeText "password" "secret";
        };
      };
      says = "auth-core.database.passwordFile is /nix/store/";
    };
    "a certificate's key in the store" = {
      config = also {
        gateway.tls.source = lib.mkForce "file";
        gateway.tls.file = pkgs.writeText "pem" "secret";
      };
      says = "gateway.tls.file is /nix/store/";
    };
    "a secret elsewhere" = {
      config = also { auth-core.keys.directory = "/run/secrets/keys"; };
      says = null;
    };
    "cores with a key each" = {
      config = also {
        nodes = twoCores;
        auth-core.database = postgresql;
      };
      says = "auth1 auth2 must sign tokens with the same keys";
    };
    "cores with a database file each" = {
      config = also {
        nodes = twoCores;
        auth-core.keys.directory = "/run/secrets/keys";
      };
      says = "auth1 auth2 would each have accounts of their own";
    };
    "cores that share both" = {
      config = also {
        nodes = twoCores;
        auth-core.keys.directory = "/run/secrets/keys";
        auth-core.database = postgresql;
      };
      says = null;
    };
    "PostgreSQL, but nowhere" = {
      config = also { auth-core.database.type = "postgresql"; };
      says = "Set database.url to a server, or";
    };
    "PostgreSQL's settings for SQLite" = {
      config = also { auth-core.database.createLocally = true; };
      says = ''set database.type = "postgresql"'';
    };
    "a certificate from a file that is not named" = {
      config = also { gateway.tls.source = lib.mkForce "file"; };
      says = "tls.file is not set";
    };
    "a certificate's file that nobody reads" = {
      config = also { gateway.tls.file = "/run/secrets/gateway.pem"; };
      says = ''Set tls.source to "file"'';
    };
    "an address that no second gateway could take" = {
      config = also { gateway.virtualAddresses = virtualAddresses; };
      says = "has no use with a single gateway";
    };
    "two gateways on an unknown interface" = {
      config = also {
        nodes = twoGateways;
        gateway.virtualAddresses = virtualAddresses;
      };
      says = "none of networking.interfaces has 10.0.0.1";
    };
    "two gateways that cannot tell each other of the address" = {
      config = also {
        nodes = twoGateways;
        gateway.vrrpInterface = "eth1";
        gateway.virtualAddresses = [
          {
            address = "2001:db8::10/64";
            interface = "eth0";
          }
        ];
      };
      says = "must have an address of the same version of IP as 10.0.0.1";
    };
    "two gateways with an address" = {
      config = also {
        nodes = twoGateways;
        gateway.vrrpInterface = "eth1";
        gateway.virtualAddresses = virtualAddresses;
      };
      says = null;
    };
    "a gateway to nowhere" = {
      config = also { nodes.auth1.roles = lib.mkForce [ "gateway" ]; };
      says = "has nobody to send requests to";
    };
    "a route to a host of the fleet and to an address" = {
      config = route "shop.example.org/orders/v2.1" {
        servers."auth1:9000" = { };
        servers."[fd00::7]:9000".weight = 5;
        requireToken = "live";
        roles = [ "admin" ];
      };
      says = null;
    };
    "a route that is no path" = {
      config = route "orders" toOrders;
      says = ''gateway.routes."orders": a route is a path such as "/orders"'';
    };
    "a route that ends with a slash" = {
      config = route "/orders/" toOrders;
      says = "without a `/` at the end";
    };
    "a route with text for HAProxy" = {
      config = route "/orders\n  http-request deny" toOrders;
      says = "of letters, digits";
    };
    "a route over segments that are none" = {
      config = route "/orders/../graphql" toOrders;
      says = "of letters, digits";
    };
    "a route in the core's place" = {
      config = route "/graphql" toOrders;
      says = "this path is auth-core's own";
    };
    "a route to nowhere" = {
      config = route "/orders" { servers = { }; };
      says = ''routes."/orders".servers is empty'';
    };
    "a route to a host that nobody knows" = {
      config = route "/orders" { servers."orders1:9000" = { }; };
      says = "orders1 is neither an IP address nor a host of services.authstack.nodes; those are auth1";
    };
    "a route to a server without a port" = {
      config = route "/orders" { servers."auth1" = { }; };
      says = ''"auth1" is not ADDRESS:PORT'';
    };
    "a route with roles that nobody can have" = {
      config = route "/orders" (toOrders // { roles = [ "admin" ]; });
      says = "Set requireToken = true";
    };
    "a role with text for HAProxy" = {
      config = route "/orders" (
        toOrders
        // {
          requireToken = true;
          roles = [ "admin }" ];
        }
      );
      says = ''"admin }" is no name of a role'';
    };
  };

  complaints =
    config:
    lib.filter (lib.hasInfix "authstack") (
      map (entry: entry.message) (lib.filter (entry: !entry.assertion) (evaluate config).assertions)
    );
  warnings = config: lib.filter (lib.hasInfix "authstack") (evaluate config).warnings;
  problems = lib.concatLists (
    lib.mapAttrsToList (
      what: case:
      let
        found = (if case ? warns then warnings else complaints) case.config;
        says = case.warns or case.says;
        asExpected =
          if says == null then found == [ ] else lib.length found == 1 && lib.hasInfix says (lib.head found);
      in
      lib.optional (!asExpected) ''
        ${what}
          should be ${if says == null then "accepted" else "refused with: ${says}"}
          complaints: ${if found == [ ] then "none" else lib.concatStringsSep "\n" found}
      ''
    ) cases
  );
in
pkgs.runCommand "authstack-options"
  { problems = builtins.unsafeDiscardStringContext (lib.concatStrings problems); }
  ''
    if [ -n "$problems" ]; then
      printf '%s' "$problems" >&2
      exit 1
    fi
    echo '${toString (lib.length (lib.attrNames cases))} configurations are accepted or refused as they should be' | tee $out
  ''
