# The text that render/ makes of given settings, a golden file each. Builtins only, as render/ itself.
let
  defaults = import ../defaults.nix;
  inherit (defaults) route;
  haproxy = settings: import ../haproxy.nix (defaults.gateway // settings);
  prometheus = import ../prometheus.nix;
  grafana = import ../grafana.nix {
    prometheusUrl = "http://127.0.0.1:9090";
    folder = "/dashboards";
    inherit (defaults.monitoring) runbooks slo;
    clustered = true;
  };
  pretty = import ./pretty.nix;
  zipkin =
    storage:
    builtins.concatStringsSep "\n"
      (import ../zipkin.nix {
        ip = "10.0.0.9";
        port = 9411;
        inherit (defaults.monitoring) maxSpans;
        inherit storage;
      }).arguments
    + "\n";

  smallestGateway = {
    listen = "127.0.0.1:8443";
    statsListen = "127.0.0.1:8404";
    certificate = "/keys/gateway.pem";
    lua = name: "/${name}";
    hosts = [ "auth.example.org" ];
    nodes = [
      {
        name = "auth1";
        address = "127.0.0.1:8080";
      }
    ];
  };

  fleet = prometheus {
    targets = {
      auth-core = [
        {
          name = "auth1";
          address = "10.0.0.1:8080";
        }
        {
          name = "auth2";
          address = "10.0.0.2:8080";
        }
      ];
      zipkin = [
        {
          name = "monitor";
          address = "10.0.0.9:9411";
        }
      ];
      alertmanager = [
        {
          name = "monitor";
          address = "10.0.0.9:9093";
        }
      ];
      node-exporter = [ ];
      patroni = [
        {
          name = "data1";
          address = "10.0.0.3:8008";
        }
      ];
      etcd = [
        {
          name = "data1";
          address = "10.0.0.3:2381";
        }
      ];
    };
    coreCa = "/keys/cores-ca.pem";
    backedUp = [
      "auth1"
      "auth2"
    ];
    ruleFiles = [ "/etc/rules.json" ];
    scrapeInterval = "5s";
    inherit (defaults.monitoring) runbooks slo;
  };
in
{
  "haproxy-smallest.cfg" = haproxy smallestGateway;

  "haproxy-everything.cfg" = haproxy (
    smallestGateway
    // {
      nodes = [
        {
          name = "auth1";
          address = "10.0.0.1:8080";
        }
        {
          name = "canary";
          address = "10.0.0.2:8080";
          weight = 5;
        }
      ];
      log = "10.0.0.9:514 local0";
      spans = "/run/spans.sock";
      extraGlobal = [ "stats socket /run/admin.sock mode 600 level admin" ];
      hosts = [
        "auth.example.org"
        "10.0.0.9"
      ];
      connections = {
        clients = 10;
        perAddress = 3;
        requestsPerAddress = 2;
        redirected = 5;
        inside = 2;
        perNode = 6;
        idlePerNode = 4;
        queueSeconds = 1;
      };
      gateways = {
        self = "gate2";
        all = [
          {
            name = "gate1";
            address = "10.0.0.11:8405";
          }
          {
            name = "gate2";
            address = "10.0.0.12:8405";
          }
          {
            name = "gate3";
            address = "10.0.0.13:8405";
          }
        ];
      };
      listenPlain = "0.0.0.0:80";
      acmeChallenge = [
        {
          name = "gate1";
          address = "10.0.0.11:1360";
        }
        {
          name = "gate2";
          address = "10.0.0.12:1360";
        }
      ];
      tlsProfile = "modern";
      clientCa = "/keys/clients-ca.pem";
      coreCa = "/keys/cores-ca.pem";
      hstsSeconds = 0;
      answerSeconds = 4;
      addresses.orders1 = "10.0.0.7";
      routes = {
        "/orders" = route // {
          servers."orders1:9000" = { };
        };
        "/orders/new" = route // {
          servers."[fd00::7]:9000".weight = 5;
          requireToken = true;
          apiKeys = true;
          stripPrefix = true;
        };
        "/machines" = route // {
          servers."10.0.0.9:9000" = { };
          apiKeys = true;
          requireClientCertificate = true;
        };
        "shop.example.org/" = route // {
          servers."10.0.0.8:9000" = { };
          requireToken = "live";
          roles = [
            "admin"
            "user"
          ];
          bodyBytes = null;
        };
      };
      edge = {
        issuer = "https://auth.example.org";
        keyDirectory = "/run/keys";
        askCore = "/ask-core.lua";
        askSocket = "/run/ask-core.sock";
        runtimeSocket = "/run/keys.sock";
      };
      limits = {
        requests = {
          count = 100;
          seconds = 10;
        };
        hashes = {
          count = 50;
          seconds = 30;
        };
        failedLogIns = {
          count = 5;
          seconds = 60;
        };
      };
    }
  );

  "haproxy-requests-limited.cfg" = haproxy (
    smallestGateway
    // {
      limits.requests = {
        count = 100;
        seconds = 10;
      };
    }
  );

  "prometheus.json" = pretty fleet.config;
  "prometheus-rules.json" = pretty fleet.rules;
  "prometheus-nothing-to-scrape.json" =
    pretty
      (prometheus {
        targets = { };
        inherit (defaults.monitoring) runbooks scrapeInterval slo;
      }).config;

  "zipkin-elasticsearch" = zipkin {
    type = "elasticsearch";
    hosts = [
      "http://10.0.0.7:9200"
      "https://search.example.org"
    ];
  };
  "zipkin-cassandra" = zipkin {
    type = "cassandra";
    hosts = [
      "10.0.0.7"
      "10.0.0.8:9042"
    ];
  };

  "alertmanager.json" = pretty (
    import ../alertmanager.nix { inherit (defaults.monitoring) receivers; }
  );
  "alertmanager-webhook.json" = pretty (
    import ../alertmanager.nix {
      receivers = [
        {
          name = "operators";
          webhook_configs = [ { url = "http://127.0.0.1:5001/"; } ];
        }
      ];
      groupWait = "1s";
    }
  );

  "grafana-datasources.json" = pretty grafana.datasources;
  # What each panel of each dashboard asks, and one dashboard in full: Grafana's notation is long.
  "grafana-queries.json" = pretty (import ./queries.nix { clustered = true; });
  "grafana-database.json" = pretty grafana.dashboards."database.json";
}
