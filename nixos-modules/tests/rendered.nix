# What becomes of options: the texts in golden/ show all of it that is ours, for a fleet of one and for each host of a larger one.
{ pkgs, evaluate }:
let
  inherit (pkgs) lib;
  pretty = import ../render/tests/pretty.nix;

  fleet = fleetWith { url = "postgres://auth-core@10.0.0.5:5432/auth-core"; };
  fleetWith = database: host: {
    networking.hostName = host;
    services.authstack = {
      openFirewall = true;
      nodes = {
        auth1.address = "10.0.0.1";
        auth1.roles = [
          "core"
          "gateway"
        ];
        auth2.address = "fd00::2";
        auth2.roles = [ "core" ];
        auth2.weight = 50;
        watch.address = "10.0.0.9";
        watch.roles = [ "monitor" ];
        database.address = "10.0.0.5";
        database.roles = [ "database" ];
      };
      auth-core = {
        keys.directory = "/run/secrets/keys";
        database = database // {
          type = "postgresql";
          passwordFile = "/run/secrets/database";
        };
      };
      backup.enable = true;
      backup.recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
      gateway.openFirewall = true;
      gateway.routes = {
        "/orders".servers."database:9000" = { };
        "/orders".requireToken = true;
        "shop.example.org/" = {
          servers."watch:9000".weight = 50;
          servers."[fd00::7]:9000" = { };
          requireToken = "live";
          roles = [ "admin" ];
          stripPrefix = true;
          bodyBytes = null;
        };
      };
      gateway.tls.source = "file";
      gateway.tls.file = "/run/secrets/gateway.pem";
    };
  };

  # The same with three databases instead of the one.
  clustered = host: {
    imports = [ (fleetWith { } host) ];
    services.authstack = {
      nodes = {
        database2.address = "10.0.0.6";
        database2.roles = [ "database" ];
        database3.address = "fd00::7";
        database3.roles = [ "database" ];
      };
      database.cluster = {
        enable = true;
        superuserPasswordFile = "/run/secrets/superuser";
        replicationPasswordFile = "/run/secrets/replication";
      };
      internalTls = {
        ca = "/run/secrets/ca.pem";
        certificate = "/run/secrets/${host}.pem";
        key = "/run/secrets/${host}-key.pem";
      };
    };
  };

  # The same with PgBouncer.
  pooled = host: {
    imports = [ (clustered host) ];
    services.authstack.database.cluster.pgbouncer.enable = true;
  };

  ours =
    config:
    let
      units = lib.filterAttrs (
        name: _: lib.hasPrefix "auth" name || name == "zipkin"
      ) config.systemd.services;
      service = config.systemd.services.auth-core.serviceConfig;
    in
    {
      units = lib.attrNames units;
      firewall = {
        everybody = config.networking.firewall.allowedTCPPorts;
        fleet = lib.filter (lib.hasInfix "nixos-fw-accept") (
          lib.splitString "\n" config.networking.firewall.extraCommands
        );
      };
    }
    // lib.optionalAttrs config.services.authstack.auth-core.enable {
      auth-core = config.services.authstack.auth-core.settings;
      auth-core-credentials = service.LoadCredential;
      auth-core-reaches = service.IPAddressAllow or "everybody";
    }
    // lib.optionalAttrs config.services.etcd.enable {
      etcd = lib.filterAttrs (
        name: _: lib.hasPrefix "ETCD" name
      ) config.systemd.services.etcd.environment;
      etcd-reaches = config.systemd.services.etcd.serviceConfig.IPAddressAllow;
      patroni = config.services.patroni.settings // {
        bootstrap = removeAttrs config.services.patroni.settings.bootstrap [ "post_bootstrap" ];
        postgresql = removeAttrs config.services.patroni.settings.postgresql [ "bin_dir" ];
      };
      patroni-credentials = config.systemd.services.patroni.serviceConfig.LoadCredential;
      patroni-reaches = config.systemd.services.patroni.serviceConfig.IPAddressAllow;
    }
    // lib.optionalAttrs config.services.pgbouncer.enable {
      pgbouncer = { inherit (config.services.pgbouncer.settings) databases pgbouncer; };
      pgbouncer-credentials = config.systemd.services.pgbouncer.serviceConfig.LoadCredential;
      pgbouncer-reaches = config.systemd.services.pgbouncer.serviceConfig.IPAddressAllow;
    }
    // lib.optionalAttrs config.services.keepalived.enable {
      vrrp = {
        inherit (config.services.keepalived.vrrpInstances.authstack)
          extraConfig
          interface
          noPreempt
          priority
          trackInterfaces
          unicastPeers
          unicastSrcIp
          ;
        virtualIps = map (
          ip: "${ip.addr} at ${ip.dev}"
        ) config.services.keepalived.vrrpInstances.authstack.virtualIps;
      };
    }
    // lib.optionalAttrs config.services.authstack.monitoring.enable {
      scraped = lib.listToAttrs (
        map (
          job: lib.nameValuePair job.job_name (lib.concatMap (static: static.targets) job.static_configs)
        ) config.services.prometheus.scrapeConfigs
      );
    };

  plain = text: builtins.unsafeDiscardStringContext text;
  rendered =
    lib.concatMapAttrs
      (
        name: config:
        {
          "${name}.json" = plain (pretty (ours config));
        }
        // lib.optionalAttrs (config.systemd.services ? authstack-database-proxy) {
          "${name}-database-proxy.cfg" = builtins.readFile (
            lib.last (
              lib.splitString " " config.systemd.services.authstack-database-proxy.serviceConfig.ExecStart
            )
          );
        }
        // lib.optionalAttrs config.services.authstack.gateway.enable {
          "${name}-haproxy.cfg" = plain (
            lib.replaceStrings
              [
                "${../render/haproxy/ask-core.lua}"
                "${../render/haproxy/retry-budget.lua}"
                "${../render/haproxy/wait-for-node.lua}"
              ]
              [
                "/ask-core.lua"
                "/retry-budget.lua"
                "/wait-for-node.lua"
              ]
              config.services.haproxy.config
          );
        }
      )
      {
        only = evaluate {
          services.authstack.nodes.auth1 = { };
          services.authstack.gateway.tls.source = "internal-ca";
        };
        auth1 = evaluate (fleet "auth1");
        auth2 = evaluate (fleet "auth2");
        watch = evaluate (fleet "watch");
        database = evaluate (fleet "database");
        clustered-auth2 = evaluate (clustered "auth2");
        clustered-watch = evaluate (clustered "watch");
        clustered-database3 = evaluate (clustered "database3");
        pooled-auth2 = evaluate (pooled "auth2");
        pooled-database3 = evaluate (pooled "database3");
        # The second of two gateways that have one address.
        gate2 = evaluate {
          imports = [ (fleet "gate2") ];
          networking.interfaces.eth1.ipv4.addresses = [
            {
              address = "10.0.0.12";
              prefixLength = 24;
            }
          ];
          security.acme.acceptTerms = true;
          security.acme.defaults.email = "operator@example.org";
          services.authstack = {
            nodes.gate2.address = "10.0.0.12";
            nodes.gate2.roles = [ "gateway" ];
            gateway.tls.source = lib.mkForce "acme";
            gateway.tls.file = lib.mkForce null;
            gateway.virtualAddresses = [
              {
                address = "192.0.2.10/24";
                interface = "eth0";
              }
              {
                address = "2001:db8::10/64";
                interface = "eth0";
              }
            ];
          };
        };
      };
  made = pkgs.linkFarm "authstack-rendered" (
    lib.mapAttrsToList (name: text: {
      inherit name;
      path = pkgs.writeText name text;
    }) rendered
  );
in
pkgs.runCommand "authstack-rendered-check" { passthru = { inherit made; }; } ''
  if ! diff -ruN ${./golden} ${made}; then
    echo 'The lines with + are what the modules make now. If they are right:'
    echo '  rm -r nixos-modules/tests/golden; cp -rL --no-preserve=mode ${made} nixos-modules/tests/golden'
    exit 1
  fi >&2
  touch $out
''
