# What the lab runs, as it can be compared with what else is made of the same settings: { NAME = text; }. Builtins only.
let
  pretty = import ./pretty.nix;
  inherit (builtins) fromJSON fromTOML;
  partsOf =
    topology:
    (import ../../../lab/topology.nix {
      settings = builtins.toJSON {
        inherit topology;
        network = "127.77.0";
        directory = "/lab";
        scratch = "/scratch";
        programs = builtins.listToAttrs (
          map
            (name: {
              inherit name;
              value = "/bin/${name}";
            })
            [
              "auth-core"
              "etcd"
              "grafana"
              "haproxy"
              "initdb"
              "java"
              "patroni"
              "pg_isready"
              "pg_rewind"
              "postgres"
              "prometheus"
              "prometheus-alertmanager"
              "prometheus-node-exporter"
              "prometheus-postgres-exporter"
              "sample-service"
            ]
        );
        zipkinServer = "/zipkin.jar";
        tlsProfile = null;
        internalTls = false;
        gateway = null;
        scrypt = null;
        parts = null;
      };
    }).parts;
  partOf =
    topology:
    let
      parts = partsOf topology;
    in
    name: builtins.head (builtins.filter (part: part.name == name) parts);
  part = partOf "cluster";
in
{
  "alertmanager.json" = pretty (fromJSON (part "alertmanager").files."alertmanager.json");
  "auth-core.json" = pretty (fromTOML (part "auth1").files."auth-core.toml");
  "datasources.json" = pretty (
    fromJSON (part "grafana").files."provisioning/datasources/authstack.yaml"
  );
  # Where files are is no matter.
  "haproxy.cfg" =
    builtins.replaceStrings
      [
        (toString ../haproxy/ask-core.lua)
        (toString ../haproxy/retry-budget.lua)
        (toString ../haproxy/wait-for-node.lua)
        "/lab/parts/gateway/keys"
        "/lab/parts/gateway/spans.sock"
      ]
      [
        "/ask-core.lua"
        "/retry-budget.lua"
        "/wait-for-node.lua"
        "/keys"
        "/spans.sock"
      ]
      (part "gateway").files."haproxy.cfg";
  "prometheus.json" = pretty (fromJSON (part "prometheus").files."prometheus.json");
  "rules.json" = pretty (fromJSON (part "prometheus").files."rules.json");
  # Where the database is a cluster.
  "rules-ha.json" = pretty (fromJSON (partOf "ha" "prometheus").files."rules.json");
  "zipkin" = builtins.concatStringsSep "\n" (builtins.tail (part "zipkin").command) + "\n";
}
