# What render/ makes of the defaults with the lab's addresses: { NAME = text; }, as lab.nix. Builtins only.
let
  defaults = import ../defaults.nix;
  pretty = import ./pretty.nix;
  target = name: address: { inherit name address; };
  cores = [
    (target "auth1" "127.77.0.11:8080")
    (target "auth2" "127.77.0.12:8080")
    (target "auth3" "127.77.0.13:8080")
  ];
  prometheusOf =
    databases:
    import ../prometheus.nix {
      inherit (defaults.monitoring) runbooks scrapeInterval slo;
      ruleFiles = [ "/lab/parts/prometheus/rules.json" ];
      targets = targets // databases;
    };
  prometheus = prometheusOf { };
  targets = {
    alertmanager = [ (target "alertmanager" "127.77.0.22:9093") ];
    auth-core = cores;
    gateway = [
      (target "gateway" "127.77.0.1:8404")
      (target "gateway2" "127.77.0.2:8404")
    ];
    node-exporter = [ (target "node-exporter" "127.77.0.23:9100") ];
    postgres-exporter = [ (target "postgres-exporter" "127.77.0.26:9187") ];
    probe = [ (target "probe" "127.77.0.27:9412") ];
    prometheus = [ (target "prometheus" "127.77.0.21:9090") ];
    zipkin = [ (target "zipkin" "127.77.0.24:9411") ];
  };
  zipkin = import ../zipkin.nix {
    ip = "127.77.0.24";
    port = 9411;
    inherit (defaults.monitoring) maxSpans;
  };
in
{
  "alertmanager.json" = pretty (
    import ../alertmanager.nix { inherit (defaults.monitoring) receivers; }
  );
  "auth-core.json" = pretty (
    import ../auth-core.nix {
      node = "auth1";
      listen = "127.77.0.11:8080";
      inherit (defaults.core) maxConnections;
      tls = null;
      issuer = "https://127.77.0.1:8443";
      keyDirectory = "/lab/keys/ring";
      generateFirstKey = false;
      database.url = "postgres://authcore@127.77.0.20:5432/postgres";
      database.password_file = "/lab/keys/postgres-password";
      zipkin = "127.77.0.24:9411";
    }
  );
  "datasources.json" =
    pretty
      (import ../grafana.nix {
        prometheusUrl = "http://127.77.0.21:9090";
        folder = "/dashboards";
        inherit (defaults.monitoring) runbooks slo;
      }).datasources;
  "haproxy.cfg" = import ../haproxy.nix (
    defaults.gateway
    // {
      listen = "127.77.0.1:8443";
      statsListen = "127.77.0.1:8404";
      certificate = "/lab/keys/gateway.pem";
      lua = name: "/${name}";
      spans = "/spans.sock";
      hosts = [ "127.77.0.1" ];
      nodes = cores;
      # The lab's own services.
      routes =
        let
          servers."sample1:8080".weight = 90;
          servers."sample2:8080".weight = 10;
          to = settings: defaults.route // { inherit servers; } // settings;
        in
        {
          "/sample" = to { };
          "/members" = to { requireToken = true; };
          "/staff" = to {
            requireToken = true;
            roles = [ "admin" ];
          };
          "/machines" = to { apiKeys = true; };
          "/live" = to { requireToken = "live"; };
        };
      addresses.sample1 = "127.77.0.31";
      addresses.sample2 = "127.77.0.32";
      edge = {
        issuer = "https://127.77.0.1:8443";
        keyDirectory = "/keys";
        askCore = "/ask-core.lua";
        askSocket = "/ask-core.sock";
        runtimeSocket = "/keys.sock";
      };
      gateways = {
        self = "gateway";
        all = [
          (target "gateway" "127.77.0.1:8405")
          (target "gateway2" "127.77.0.2:8405")
        ];
      };
    }
  );
  "prometheus.json" = pretty prometheus.config;
  "rules.json" = pretty prometheus.rules;
  "rules-ha.json" =
    pretty
      (prometheusOf { patroni = [ (target "postgres1" "127.77.0.51:8008") ]; }).rules;
  "zipkin" = builtins.concatStringsSep "\n" (zipkin.java ++ zipkin.arguments) + "\n";
}
