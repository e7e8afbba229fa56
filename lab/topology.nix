# The lab's stack: which processes run, on which loopback address, with which configuration.
#
# Evaluated by `lab` with builtins alone; every configuration comes from nixos-modules/render, so that what runs here is what
# NixOS deploys. Answers { parts = [ … ]; leftOut = [ … ]; missing = [ … ]; defaults; }, which lab/src/topology.rs describes.
#
# `settings` is JSON text:
#   topology   "single" (two nodes on one SQLite file) or "cluster" (two gateways, three nodes on PostgreSQL)
#   network    the first three bytes of the loopback network that is the stack's own, such as "127.77.0"
#   directory  where state and configuration live; made, and filled with keys and certificates, by `lab`
#   scratch    an empty directory outside of it for PostgreSQL, which does not run as root
#   programs   { NAME = PATH; } of every program that was found
#   zipkinJar  path of Zipkin's server; null where there is none
#   tlsProfile the gateway's profile of TLS; null for the default
#   gateway    settings of the gateway in the place of the lab's own, as nixos-modules/render/haproxy.nix takes them; null for none
#   scrypt     scrypt's cost for new passwords, { log_n, r, p }; null for auth-core's own default
#   parts      the names of the parts to run; null for all
{ settings }:
let
  lab = builtins.fromJSON settings;
  inherit (lab) directory scratch;
  programs =
    lab.programs // (if lab.zipkinJar == null then { } else { "zipkin.jar" = lab.zipkinJar; });
  render = ../nixos-modules/render;
  defaults = import (render + "/defaults.nix");
  port = builtins.mapAttrs (_: toString) defaults.ports;

  address = {
    gateway = "${lab.network}.1";
    gateway2 = "${lab.network}.2";
    auth = number: "${lab.network}.${toString (10 + number)}";
    postgres = "${lab.network}.20";
    prometheus = "${lab.network}.21";
    alertmanager = "${lab.network}.22";
    node-exporter = "${lab.network}.23";
    zipkin = "${lab.network}.24";
    grafana = "${lab.network}.25";
    sample1 = "${lab.network}.31";
    sample2 = "${lab.network}.32";
  };

  onPostgres = lab.topology == "cluster";
  nodes =
    map
      (number: {
        name = "auth${toString number}";
        address = "${address.auth number}:${port.core}";
      })
      (
        if onPostgres then
          [
            1
            2
            3
          ]
        else
          [
            1
            2
          ]
      );

  requested = name: lab.parts == null || builtins.elem name lab.parts;
  # A part that is not run is not scraped either, nor sent anything.
  wanted = name: requested name && builtins.all (part: part.name != name) leftOut;
  runningNodes = builtins.filter (node: wanted node.name) nodes;
  optionals = condition: list: if condition then list else [ ];

  own = name: "${directory}/parts/${name}";
  http = url: {
    kind = "http";
    inherit url;
  };

  # A service in two versions behind the gateway: for everybody, for who is logged in, for administrators, and where a log-out is
  # seen within a second.
  sample = name: version: {
    inherit name;
    kind = "sample-service";
    url = "http://${address.${name}}:8080";
    listens = [ "${address.${name}}:8080" ];
    files = { };
    needs = [ "sample-service" ];
    command = [
      programs.sample-service
      "${address.${name}}:8080"
      version
    ];
    ready = http "http://${address.${name}}:8080/";
  };
  labRoutes =
    let
      servers = {
        "sample1:8080" = {
          weight = 90;
        };
        "sample2:8080" = {
          weight = 10;
        };
      };
    in
    {
      "/sample" = { inherit servers; };
      "/members" = {
        inherit servers;
        requireToken = true;
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
  # What leads nowhere is left out, as with all else that is not run.
  isRun =
    server:
    let
      host = builtins.head (builtins.split ":" server);
    in
    !(address ? ${host}) || wanted host;
  routesTo =
    routes:
    builtins.listToAttrs (
      builtins.filter (route: route.value.servers != { }) (
        map (prefix: {
          name = prefix;
          value =
            defaults.route
            // routes.${prefix}
            // {
              servers = builtins.listToAttrs (
                map (server: {
                  name = server;
                  value = routes.${prefix}.servers.${server};
                }) (builtins.filter isRun (builtins.attrNames routes.${prefix}.servers))
              );
            };
        }) (builtins.attrNames routes)
      )
    );
  changed = if lab.gateway == null then { } else lab.gateway;

  gateways = [ "gateway" ] ++ optionals onPostgres [ "gateway2" ];
  runningGateways = builtins.filter wanted gateways;
  issuer = "https://${address.gateway}:8443";

  # What brings the keys to a gateway. HAProxy reads them at its start, and at each reload.
  edgeKeys = gateway: {
    name = "${gateway}-keys";
    kind = "auth-core";
    url = "file://${own gateway}/keys/kids.map";
    listens = [ ];
    files = { };
    command = [
      programs.auth-core
      "keys"
      "follow"
      "--to"
      "${own gateway}/keys"
    ]
    # No patience in the lab.
    ++ [
      "--slots"
      (toString defaults.edge.keySlots)
      "--every"
      "1"
    ]
    ++ map (node: "http://${node.address}/.well-known/jwks.json") runningNodes
    ++ [
      "--"
      "sh"
      "-c"
      "pid=$(cat ${own gateway}/haproxy.pid) && grep -qs haproxy /proc/$pid/comm && kill -USR2 $pid || true"
    ];
    ready = {
      kind = "command";
      command = [
        "grep"
        "-q"
        "ES256"
        "${own gateway}/keys/kids.map"
      ];
    };
    # Before the gateway, which so has them from the beginning: HAProxy loses a signal that comes while it starts.
    after = map (node: node.name) runningNodes;
    needs = [ "auth-core" ];
  };
  # Until there are some: any key will do, as none is in the map.
  noKeys = {
    "keys/kids.map" = "";
  }
  // builtins.listToAttrs (
    builtins.genList (number: {
      name = "keys/${toString (number + 1)}.pem";
      value = builtins.readFile (render + "/haproxy/no-key.pem");
    }) defaults.edge.keySlots
  );

  gateway = name: rec {
    inherit name;
    kind = "haproxy";
    url = "https://${address.${name}}:8443";
    pages = {
      "statistics" = "http://${address.${name}}:${port.gatewayMetrics}/stats";
    };
    listens = [
      "${address.${name}}:8443"
      "${address.${name}}:${port.gatewayMetrics}"
    ];
    files = noKeys // {
      "haproxy.cfg" = import (render + "/haproxy.nix") (
        defaults.gateway
        // {
          listen = "${address.${name}}:8443";
          statsListen = "${address.${name}}:${port.gatewayMetrics}";
          certificate = "${directory}/keys/gateway.pem";
          hosts = [
            address.${name}
            "localhost"
          ];
          nodes = runningNodes;
          gateways =
            if builtins.length runningGateways > 1 then
              {
                self = name;
                all = map (name: {
                  inherit name;
                  address = "${address.${name}}:${port.gatewayPeers}";
                }) runningGateways;
              }
            else
              null;
          extraGlobal = [ "stats socket ${own name}/admin.sock mode 600 level admin expose-fd listeners" ];
          routes = routesTo (changed.routes or labRoutes);
          addresses = { inherit (address) sample1 sample2; };
          edge = {
            inherit issuer;
            keyDirectory = "${own name}/keys";
            askCore = toString (render + "/haproxy/ask-core.lua");
            askSocket = "${own name}/ask.sock";
          };
        }
        // removeAttrs changed [ "routes" ]
        // (if lab.tlsProfile == null then { } else { inherit (lab) tlsProfile; })
      );
    };
    # HAProxy takes a node for healthy until its first check has failed: it had better not begin before them.
    after = map (node: node.name) runningNodes ++ optionals (wanted "${name}-keys") [ "${name}-keys" ];
    # With a master, which takes up new keys by SIGUSR2 without dropping a connection, as NixOS' HAProxy does.
    needs = [ "haproxy" ];
    command = [
      programs.haproxy
      "-W"
      "-db"
      "-p"
      "${own name}/haproxy.pid"
      "-f"
      "${own name}/haproxy.cfg"
    ];
    ready = http "${url}/healthz";
  };

  authNode = node: {
    inherit (node) name;
    kind = "auth-core";
    url = "http://${node.address}";
    listens = [ node.address ];
    files."auth-core.toml" = toml (
      import (render + "/auth-core.nix") {
        node = node.name;
        listen = node.address;
        inherit (defaults.core) maxConnections;
        inherit issuer;
        keyDirectory = "${directory}/keys/ring";
        generateFirstKey = false;
        database =
          if onPostgres then
            {
              url = "postgres://authcore@${address.postgres}:5432/postgres";
              password_file = "${directory}/keys/postgres-password";
            }
          else
            { url = "sqlite:${directory}/data/auth.db"; };
        zipkin = if wanted "zipkin" then "${address.zipkin}:${port.zipkin}" else null;
      }
      // {
        # Who breaks a node on purpose does not want to wait for it.
        drain_seconds = 2;
      }
      // (if lab.scrypt == null then { } else { password.scrypt = lab.scrypt; })
    );
    after = optionals onPostgres [ "postgres" ];
    needs = [ "auth-core" ];
    command = [
      programs.auth-core
      "serve"
      "--config"
      "${own node.name}/auth-core.toml"
    ];
    ready = http "http://${node.address}/readyz";
  };

  # Written out by hand as builtins has no toTOML: `key = value`, with nested sets as inline tables, in which JSON's values are TOML's.
  toml =
    let
      value =
        v:
        if builtins.isAttrs v then
          "{ ${builtins.concatStringsSep ", " (builtins.attrValues (builtins.mapAttrs pair v))} }"
        else
          builtins.toJSON v;
      pair = key: v: "${key} = ${value v}";
    in
    set: builtins.concatStringsSep "\n" (builtins.attrValues (builtins.mapAttrs pair set)) + "\n";

  postgres = {
    name = "postgres";
    kind = "postgres";
    url = "postgres://authcore@${address.postgres}:5432/postgres";
    listens = [ "${address.postgres}:5432" ];
    files = { };
    unprivileged = true;
    # SIGINT ends it at once; SIGTERM would wait for its clients to go.
    stop_signal = "int";
    needs = [
      "initdb"
      "postgres"
      "pg_isready"
    ];
    prepare = {
      creates = "${scratch}/data/PG_VERSION";
      command = [
        programs.initdb
        "--pgdata=${scratch}/data"
        "--username=authcore"
        "--pwfile=${scratch}/password"
        "--auth=scram-sha-256"
        "--encoding=UTF8"
        "--locale=C"
        "--no-sync"
      ];
    };
    command = [
      programs.postgres
      "-D"
      "${scratch}/data"
      "-c"
      "listen_addresses=${address.postgres}"
      "-c"
      "port=5432"
      "-c"
      "unix_socket_directories="
      "-c"
      "max_connections=60"
    ];
    ready = {
      kind = "command";
      command = [
        programs.pg_isready
        "--quiet"
        "--host=${address.postgres}"
        "--port=5432"
      ];
    };
  };

  target =
    name: port:
    optionals (wanted name) [
      {
        inherit name;
        address = "${address.${name}}:${port}";
      }
    ];
  prometheusConfig = import (render + "/prometheus.nix") {
    # No patience in the lab.
    scrapeInterval = "1s";
    ruleFiles = [ "${own "prometheus"}/rules.json" ];
    targets = {
      auth-core = runningNodes;
      gateway = builtins.concatMap (name: target name port.gatewayMetrics) gateways;
      prometheus = target "prometheus" "9090";
      alertmanager = target "alertmanager" "9093";
      node-exporter = target "node-exporter" "9100";
      zipkin = target "zipkin" port.zipkin;
    };
  };

  prometheus = {
    name = "prometheus";
    kind = "prometheus";
    url = "http://${address.prometheus}:9090";
    listens = [ "${address.prometheus}:9090" ];
    files = {
      "prometheus.json" = builtins.toJSON prometheusConfig.config;
      "rules.json" = builtins.toJSON prometheusConfig.rules;
    };
    optional = true;
    needs = [ "prometheus" ];
    command = [
      programs.prometheus
      "--config.file=${own "prometheus"}/prometheus.json"
      "--storage.tsdb.path=${own "prometheus"}/data"
      "--web.listen-address=${address.prometheus}:9090"
    ];
    ready = http "http://${address.prometheus}:9090/-/ready";
  };

  alertmanager = {
    name = "alertmanager";
    kind = "alertmanager";
    url = "http://${address.alertmanager}:9093";
    listens = [ "${address.alertmanager}:9093" ];
    files."alertmanager.json" = builtins.toJSON (
      import (render + "/alertmanager.nix") {
        inherit (defaults.monitoring) receivers;
        groupWait = "1s";
      }
    );
    optional = true;
    needs = [ "prometheus-alertmanager" ];
    command = [
      programs.prometheus-alertmanager
      "--config.file=${own "alertmanager"}/alertmanager.json"
      "--storage.path=${own "alertmanager"}/data"
      "--web.listen-address=${address.alertmanager}:9093"
      "--cluster.listen-address="
    ];
    ready = http "http://${address.alertmanager}:9093/-/ready";
  };

  node-exporter = {
    name = "node-exporter";
    kind = "node-exporter";
    url = "http://${address.node-exporter}:9100";
    listens = [ "${address.node-exporter}:9100" ];
    files = { };
    optional = true;
    needs = [ "prometheus-node-exporter" ];
    command = [
      programs.prometheus-node-exporter
      "--web.listen-address=${address.node-exporter}:9100"
    ];
    ready = http "http://${address.node-exporter}:9100/";
  };

  zipkinServer = import (render + "/zipkin.nix") {
    ip = address.zipkin;
    port = defaults.ports.zipkin;
    inherit (defaults.monitoring) maxSpans;
  };
  zipkin = {
    name = "zipkin";
    kind = "zipkin";
    url = "http://${address.zipkin}:${port.zipkin}/zipkin";
    listens = [ "${address.zipkin}:${port.zipkin}" ];
    files = { };
    optional = true;
    needs = [
      "java"
      "zipkin.jar"
    ];
    # A quick start and little memory count for more here than peak speed.
    command = [
      programs.java
    ]
    ++ zipkinServer.java
    ++ [
      "-Xmx256m"
      "-XX:TieredStopAtLevel=1"
      "-XX:+UseSerialGC"
      "-jar"
      programs."zipkin.jar"
    ]
    ++ zipkinServer.arguments;
    ready = http "http://${address.zipkin}:${port.zipkin}/health";
  };

  grafanaFiles = import (render + "/grafana.nix") {
    prometheusUrl = prometheus.url;
    folder = "${own "grafana"}/dashboards";
  };
  grafana = {
    name = "grafana";
    kind = "grafana";
    url = "http://${address.grafana}:3000";
    listens = [ "${address.grafana}:3000" ];
    files = {
      "provisioning/datasources/authstack.yaml" = builtins.toJSON grafanaFiles.datasources;
      "provisioning/dashboards/authstack.yaml" = builtins.toJSON grafanaFiles.providers;
    }
    // builtins.listToAttrs (
      map (name: {
        name = "dashboards/${name}";
        value = builtins.toJSON grafanaFiles.dashboards.${name};
      }) (builtins.attrNames grafanaFiles.dashboards)
    );
    needs = [ "grafana" ];
    # Its own files are in PREFIX/share/grafana when its program is in PREFIX/bin or PREFIX/sbin.
    command = [
      programs.grafana
      "server"
      "--homepath=${dirOf (dirOf programs.grafana)}/share/grafana"
      "cfg:server.http_addr=${address.grafana}"
      "cfg:server.http_port=3000"
      "cfg:paths.data=${own "grafana"}/data"
      "cfg:paths.logs=${own "grafana"}/data"
      "cfg:paths.provisioning=${own "grafana"}/provisioning"
      "cfg:auth.anonymous.enabled=true"
    ]
    ++ builtins.concatLists (
      builtins.attrValues (
        builtins.mapAttrs (
          section: settings:
          builtins.attrValues (
            builtins.mapAttrs (key: value: "cfg:${section}.${key}=${builtins.toJSON value}") settings
          )
        ) grafanaFiles.settings
      )
    );
    ready = http "http://${address.grafana}:3000/api/health";
  };

  all =
    optionals onPostgres [ postgres ]
    ++ map authNode nodes
    ++ [
      (sample "sample1" "v1")
      (sample "sample2" "v2")
    ]
    ++ map edgeKeys gateways
    ++ map gateway gateways
    ++ [
      prometheus
      alertmanager
      node-exporter
      zipkin
    ]
    # Debian has no package of it: it is there where somebody installed it.
    ++ optionals (programs ? grafana) [ grafana ];

  missing = part: builtins.filter (program: !(programs ? ${program})) part.needs;
  # Users are served without these.
  leftOut = builtins.filter (
    part: requested part.name && part.optional or false && missing part != [ ]
  ) all;
  running = builtins.filter (part: wanted part.name) all;
  missingPrograms = builtins.foldl' (
    found: program: if builtins.elem program found then found else found ++ [ program ]
  ) [ ] (builtins.concatMap missing running);
in
{
  inherit defaults;
  leftOut = map (part: {
    inherit (part) name;
    missing = missing part;
  }) leftOut;
  # What the others cannot be started without; there are no parts then.
  missing = missingPrograms;
  parts = optionals (missingPrograms == [ ]) running;
}
