# The lab runs what NixOS deploys: of the same settings both make the same, but for the lines of lab.diff.
{ pkgs, evaluate }:
let
  inherit (pkgs) lib;
  pretty = import ../render/tests/pretty.nix;
  lab = import ../render/tests/lab.nix;

  # The lab's cluster, its addresses included. There each program of the monitor has one of its own.
  on = host: evaluate (fleet host);
  fleet = host: {
    networking.hostName = host;
    services.authstack = {
      domain = lib.mkForce "127.77.0.1";
      nodes = {
        auth1.address = "127.77.0.11";
        auth1.roles = [ "core" ];
        auth2.address = "127.77.0.12";
        auth2.roles = [ "core" ];
        auth3.address = "127.77.0.13";
        auth3.roles = [ "core" ];
        gateway.address = "127.77.0.1";
        gateway.roles = [ "gateway" ];
        gateway2.address = "127.77.0.2";
        gateway2.roles = [ "gateway" ];
        postgres.address = "127.77.0.20";
        postgres.roles = [ "database" ];
        zipkin.address = "127.77.0.24";
        zipkin.roles = [ "monitor" ];
      };
      auth-core = {
        keys.directory = "/run/secrets/keys";
        database.type = "postgresql";
        database.url = "postgres://authcore@127.77.0.20:5432/postgres";
        database.passwordFile = "/run/secrets/database";
      };
      gateway.listenAddresses = [ "127.77.0.1" ];
      gateway.routes =
        let
          servers."127.77.0.31:8080".weight = 90;
          servers."127.77.0.32:8080".weight = 10;
        in
        {
          "/sample" = { inherit servers; };
          "/members" = {
            inherit servers;
            requireToken = true;
          };
          "/machines" = {
            inherit servers;
            apiKeys = true;
          };
          "/staff" = {
            inherit servers;
            requireToken = true;
            roles = [ "admin" ];
          };
          "/live" = {
            inherit servers;
            requireToken = "live";
          };
        };
      gateway.tls.source = "internal-ca";
      monitoring.probe.enable = host == "zipkin";
    };
  };
  monitor = on "zipkin";
  # The lab's database that survives its machine.
  monitorOfCluster = evaluate {
    imports = [ (fleet "zipkin") ];
    services.authstack = {
      nodes.postgres2.address = "127.77.0.52";
      nodes.postgres2.roles = [ "database" ];
      nodes.postgres3.address = "127.77.0.53";
      nodes.postgres3.roles = [ "database" ];
      database.cluster.enable = true;
    };
  };
  rulesOf = machine: pretty (builtins.fromJSON (lib.head machine.services.prometheus.ruleFiles).text);
  prometheus = monitor.services.prometheus;
  ourDatasource =
    lib.head
      (import ../render/grafana.nix {
        prometheusUrl = null;
        folder = null;
        slo = null;
        runbooks = null;
      }).datasources.datasources;
  datasources = monitor.services.grafana.provision.datasources.settings;
  zipkin = monitor.systemd.services.zipkin;

  # Options that nobody set are null.
  withoutNull =
    value:
    if lib.isAttrs value then
      lib.mapAttrs (_: withoutNull) (lib.filterAttrs (_: item: item != null) value)
    else if lib.isList value then
      map withoutNull value
    else
      value;

  nixos = {
    "alertmanager.json" = pretty prometheus.alertmanager.configuration;
    "auth-core.json" = pretty (on "auth1").services.authstack.auth-core.settings;
    # What NixOS' module adds to it is its own.
    "datasources.json" = pretty {
      inherit (datasources) apiVersion;
      datasources = map (lib.intersectAttrs ourDatasource) datasources.datasources;
    };
    # Where files are is no matter.
    "haproxy.cfg" =
      lib.replaceStrings
        [
          "${../render/haproxy/ask-core.lua}"
          "${../render/haproxy/retry-budget.lua}"
          "${../render/haproxy/wait-for-node.lua}"
          "/run/authstack-edge-keys"
          "/run/authstack-gateway-spans/log.sock"
        ]
        [
          "/ask-core.lua"
          "/retry-budget.lua"
          "/wait-for-node.lua"
          "/keys"
          "/spans.sock"
        ]
        (on "gateway").services.haproxy.config;
    "prometheus.json" = pretty (withoutNull {
      global = prometheus.globalConfig;
      alerting.alertmanagers = prometheus.alertmanagers;
      scrape_configs = prometheus.scrapeConfigs;
      # Its path in the store has a hash.
      rule_files = [ "/lab/parts/prometheus/rules.json" ];
    });
    "rules.json" = rulesOf monitor;
    "rules-ha.json" = rulesOf monitorOfCluster;
    "zipkin" =
      lib.concatStringsSep "\n" (
        lib.splitString " " zipkin.environment.JDK_JAVA_OPTIONS
        ++ lib.tail (lib.splitString " " (lib.replaceStrings [ "'" ] [ "" ] zipkin.serviceConfig.ExecStart))
      )
      + "\n";
  };
  folder =
    name: texts:
    pkgs.linkFarm name (
      lib.mapAttrsToList (name: text: {
        inherit name;
        path = pkgs.writeText name (builtins.unsafeDiscardStringContext text);
      }) texts
    );
  made = pkgs.runCommand "lab.diff" { } ''
    sh ${../render/tests/differences} ${folder "nixos" nixos} ${folder "lab" lab} > $out
  '';
in
pkgs.runCommand "authstack-lab-check" { passthru = { inherit made; }; } ''
  if ! diff -u ${./lab.diff} ${made}; then
    echo 'In other lines than before the lab (+) differs from NixOS (-). If that is meant:'
    echo '  cp --no-preserve=mode ${made} nixos-modules/tests/lab.diff'
    exit 1
  fi >&2
  touch $out
''
