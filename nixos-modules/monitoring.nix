# `services.authstack.monitoring`: Prometheus, Alertmanager, Grafana and Zipkin on the monitor, node-exporter on every host.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.monitoring;
  fleet = import ./fleet.nix { inherit config lib; };
  monitors = fleet.withRole "monitor";
  databases = fleet.withRole "database";
  defaults = (import ./render/defaults.nix).monitoring;
  # Each objective must leave a budget that the fastest of the alerts can see being spent.
  objective = types.numbers.between 0.95 0.99999;
  # A monitor may import its part alone.
  clustered = lib.optionalAttrs (stack.database.cluster.enable or false) databases;
  watched = stack.nodes ? ${stack.host} && monitors != { };

  prometheus = import ./render/prometheus.nix {
    inherit (cfg) scrapeInterval slo runbooks;
    backedUp = lib.optionals stack.backup.enable (
      lib.attrNames (if databases != { } then databases else fleet.withRole "core")
    );
    backupHours = stack.backup.maxAgeHours;
    coreCa = stack.internalTls.ca;
    targets = {
      auth-core = fleet.targets stack.ports.core (fleet.withRole "core");
      gateway = fleet.targets stack.ports.gatewayMetrics (fleet.withRole "gateway");
      node-exporter = fleet.targets config.services.prometheus.exporters.node.port stack.nodes;
      patroni = fleet.targets stack.ports.databaseApi clustered;
      etcd = fleet.targets stack.ports.etcdMetrics clustered;
      postgres-exporter = fleet.targets config.services.prometheus.exporters.postgres.port databases;
      probe = lib.optional cfg.probe.enable {
        name = stack.host;
        address = defaults.probe.listen;
      };
      zipkin = fleet.targets stack.ports.zipkin monitors;
      prometheus = [ (here config.services.prometheus.port) ];
      alertmanager = [ (here config.services.prometheus.alertmanager.port) ];
    };
  };
  here = port: {
    name = stack.host;
    address = "127.0.0.1:${toString port}";
  };

  grafana = import ./render/grafana.nix {
    inherit (cfg) slo runbooks;
    clustered = clustered != { };
    prometheusUrl = "http://127.0.0.1:${toString config.services.prometheus.port}";
    folder = pkgs.linkFarm "authstack-dashboards" (
      lib.mapAttrsToList (name: dashboard: {
        inherit name;
        path = pkgs.writeText name (builtins.toJSON dashboard);
      }) grafana.dashboards
    );
  };
  grafanaSecrets = "/var/lib/authstack/grafana";
in
{
  imports = [
    ./backup.nix
    ./logs.nix
    ./nodes.nix
    ./postgres-exporter.nix
    ./probe.nix
    ./zipkin.nix
  ];

  options.services.authstack.monitoring = {
    enable = lib.mkEnableOption "Prometheus, Alertmanager, Grafana and Zipkin, on this host" // {
      default = fleet.has "monitor";
      defaultText = lib.literalMD "whether this host's roles have `monitor`";
    };

    scrapeInterval = mkOption {
      type = types.strMatching "[0-9]+(ms|s|m|h)";
      default = defaults.scrapeInterval;
      description = "How often Prometheus scrapes its targets, as a duration in Prometheus' notation.";
    };

    receivers = mkOption {
      type = types.nonEmptyListOf (types.attrsOf types.anything);
      default = defaults.receivers;
      example = [
        {
          name = "operators";
          slack_configs = [
            {
              api_url_file = "/run/credentials/alertmanager.service/slack-url";
              channel = "#operators";
              send_resolved = true;
            }
          ];
          webhook_configs = [ { url = "http://127.0.0.1:5001/"; } ];
        }
      ];
      description = ''
        Receivers of alerts, in Alertmanager's notation; the first one gets all. By default nobody is told: alerts are only shown
        on Alertmanager's page, and NixOS warns of that. Keep secrets in files, and name those here (`api_url_file`,
        `auth_password_file`, `credentials_file`): what stands here itself is readable by every user of the host.
        `docs/how-to/be-told-of-alerts.md` has examples of a webhook, Slack and e-mail.
      '';
    };

    slo = {
      logInSuccess.objective = mkOption {
        type = objective;
        default = defaults.slo.logInSuccess.objective;
        description = ''
          Share of log-ins, of thirty days, that shall not fail by the service's own fault: `INTERNAL`, `OVERLOADED`, `UNAVAILABLE`, or no
          answer of a node. A wrong password is no failure. Alerts tell when failures spend what is left to one too fast.
        '';
      };
      logInLatency.objective = mkOption {
        type = objective;
        default = defaults.slo.logInLatency.objective;
        description = "Share of log-ins, of thirty days, that shall take no longer than {option}`slo.logInLatency.seconds`.";
      };
      logInLatency.seconds = mkOption {
        # The bounds of the core's histogram.
        type =
          types.addCheck types.number (
            seconds:
            lib.elem seconds [
              0.1
              0.25
              0.5
              1
              2.5
              5
              10
            ]
          )
          // {
            description = "0.1, 0.25, 0.5, 1, 2.5, 5 or 10";
          };
        default = defaults.slo.logInLatency.seconds;
        description = "How long a log-in may take, in the core, the wait for a hash included.";
      };
    };

    runbooks = mkOption {
      type = types.strMatching "https?://.+[^/]";
      default = defaults.runbooks;
      example = "https://wiki.example.org/authstack";
      description = ''
        URL of the folder of runbooks: alerts and dashboards link to `NAME.md` in it. They are in `docs/runbooks/` of the
        repository, whose owner the default cannot know.
      '';
    };
  };

  config = lib.mkMerge [
    (lib.mkIf watched {
      services.prometheus.exporters.node = {
        enable = true;
        listenAddress = fleet.bracketed fleet.self.address;
        # Which units have failed, and how often each was started again; of services alone, for there are many others.
        enabledCollectors = [ "systemd" ];
        extraFlags = [
          "--collector.systemd.unit-include=.+[.]service"
          "--collector.systemd.enable-restarts-metrics"
        ];
      };
      systemd.services.prometheus-node-exporter = fleet.waitingForAddress { };
      networking.firewall = lib.mkIf stack.openFirewall (
        fleet.reachableFrom (fleet.addresses monitors) config.services.prometheus.exporters.node.port
      );
    })

    (lib.mkIf cfg.enable {
      # A receiver without any integration is a name alone.
      warnings =
        lib.optional (!lib.any (lib.hasSuffix "_configs") (lib.attrNames (lib.head cfg.receivers)))
          ''
            Nobody is told of alerts of authstack: they are only shown on Alertmanager's page. Set services.authstack.monitoring.receivers,
            as docs/how-to/be-told-of-alerts.md tells.
          '';

      services.prometheus = {
        enable = true;
        # The error budget is of thirty days.
        retentionTime = lib.mkDefault "32d";
        listenAddress = "127.0.0.1";
        globalConfig = prometheus.config.global;
        scrapeConfigs = prometheus.config.scrape_configs;
        alertmanagers = prometheus.config.alerting.alertmanagers;
        ruleFiles = [ (pkgs.writeText "authstack-alerts.json" (builtins.toJSON prometheus.rules)) ];

        alertmanager = {
          enable = true;
          listenAddress = "127.0.0.1";
          configuration = import ./render/alertmanager.nix { inherit (cfg) receivers; };
          # One of them has nobody to gossip with.
          extraFlags = [ "--cluster.listen-address=" ];
        };
      };

      services.grafana = {
        enable = true;
        settings = grafana.settings // {
          server.http_addr = "127.0.0.1";
          security = {
            secret_key = "$__file{/run/credentials/grafana.service/secret-key}";
            admin_password = "$__file{/run/credentials/grafana.service/admin-password}";
          };
        };
        provision = {
          enable = true;
          datasources.settings = grafana.datasources;
          dashboards.settings = grafana.providers;
        };
      };
      systemd.services.grafana = {
        requires = [ "authstack-grafana-secrets.service" ];
        after = [ "authstack-grafana-secrets.service" ];
        serviceConfig.LoadCredential = [
          "secret-key:${grafanaSecrets}/secret-key"
          "admin-password:${grafanaSecrets}/admin-password"
        ];
      };
      systemd.services.authstack-grafana-secrets = {
        description = "Make Grafana's secret key and its first password, once";
        path = [ pkgs.openssl ];
        script = ''
          cd "$STATE_DIRECTORY"
          for secret in secret-key admin-password; do
            if [ ! -s $secret ]; then
              openssl rand -hex 16 | tr -d '\n' > $secret.new
              mv $secret.new $secret
            fi
          done
        '';
        serviceConfig = import ./hardening.nix // {
          Type = "oneshot";
          RemainAfterExit = true;
          StateDirectory = "authstack/grafana";
          StateDirectoryMode = "0700";
          PrivateNetwork = true;
        };
      };
    })
  ];
}
