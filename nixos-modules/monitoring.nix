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
  defaults = (import ./render/defaults.nix).monitoring;
  watched = stack.nodes ? ${stack.host} && monitors != { };

  prometheus = import ./render/prometheus.nix {
    inherit (cfg) scrapeInterval;
    coreCa = stack.internalTls.ca;
    targets = {
      auth-core = fleet.targets stack.ports.core (fleet.withRole "core");
      gateway = fleet.targets stack.ports.gatewayMetrics (fleet.withRole "gateway");
      node-exporter = fleet.targets config.services.prometheus.exporters.node.port stack.nodes;
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
    ./nodes.nix
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
          webhook_configs = [ { url = "http://127.0.0.1:5001/"; } ];
        }
      ];
      description = ''
        Receivers of alerts, in Alertmanager's notation; the first one gets all. By default alerts are only shown on
        Alertmanager's page. Keep secrets in files, and name those here (`url_file`, `auth_password_file`).
      '';
    };
  };

  config = lib.mkMerge [
    (lib.mkIf watched {
      services.prometheus.exporters.node = {
        enable = true;
        listenAddress = fleet.bracketed fleet.self.address;
      };
      systemd.services.prometheus-node-exporter = fleet.waitingForAddress { };
      networking.firewall = lib.mkIf stack.openFirewall (
        fleet.reachableFrom (fleet.addresses monitors) config.services.prometheus.exporters.node.port
      );
    })

    (lib.mkIf cfg.enable {
      services.prometheus = {
        enable = true;
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
