# What watches the others: Prometheus, Alertmanager, node-exporter, Zipkin and Grafana.
stack:
let
  inherit (stack)
    address
    coreCa
    databasePart
    databaseUrl
    defaults
    directory
    gateways
    http
    onPostgres
    optionals
    own
    port
    programs
    render
    runningGateways
    runningNodes
    scratch
    wanted
    ;

  target =
    name: port:
    optionals (wanted name) [
      {
        inherit name;
        address = "${address.${name}}:${port}";
      }
    ];
  databaseTargets =
    let
      three =
        name: address: port:
        builtins.concatMap
          (
            number:
            optionals (wanted "${name}${number}") [
              {
                name = "${name}${number}";
                address = "${address number}:${port}";
              }
            ]
          )
          [
            "1"
            "2"
            "3"
          ];
    in
    {
      etcd = three "etcd" address.etcd port.etcdClients;
      patroni = three "postgres" address.member port.databaseApi;
    };
  prometheusConfig = import (render + "/prometheus.nix") {
    # No patience in the lab.
    scrapeInterval = "1s";
    probeInterval = "5s";
    inherit coreCa;
    ruleFiles = [ "${own "prometheus"}/rules.json" ];
    inherit (defaults.monitoring) runbooks slo;
    targets = {
      auth-core = runningNodes;
      gateway = builtins.concatMap (name: target name port.gatewayMetrics) gateways;
      prometheus = target "prometheus" "9090";
      alertmanager = target "alertmanager" "9093";
      node-exporter = target "node-exporter" "9100";
      postgres-exporter = optionals onPostgres (target "postgres-exporter" "9187");
      probe = target "probe" "9412";
      zipkin = target "zipkin" port.zipkin;
    }
    // (if databasePart == "database" then databaseTargets else { });
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
        groupInterval = "1s";
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
    # The lab makes no backups of itself; a test does, and is measured like any host.
    files."textfile/README" = "Metrics of what is no server: *.prom\n";
    optional = true;
    needs = [ "prometheus-node-exporter" ];
    command = [
      programs.prometheus-node-exporter
      "--web.listen-address=${address.node-exporter}:9100"
      "--collector.textfile.directory=${own "node-exporter"}/textfile"
    ];
    ready = http "http://${address.node-exporter}:9100/";
  };

  postgres-exporter = {
    name = "postgres-exporter";
    kind = "postgres-exporter";
    url = "http://${address.postgres-exporter}:9187";
    listens = [ "${address.postgres-exporter}:9187" ];
    files = { };
    optional = true;
    needs = [ "prometheus-postgres-exporter" ];
    uselessWithout = databasePart;
    command = [
      "env"
      "DATA_SOURCE_URI=${address.postgres}:5432/${baseNameOf databaseUrl}?sslmode=disable"
      "DATA_SOURCE_USER=authcore"
      "DATA_SOURCE_PASS_FILE=${directory}/keys/postgres-password"
      programs.prometheus-postgres-exporter
      "--web.listen-address=${address.postgres-exporter}:9187"
    ];
    ready = http "http://${address.postgres-exporter}:9187/";
  };

  # The first node's configuration tells where accounts are.
  probe =
    let
      email = "canary@example.com";
      passwordFile = "${directory}/keys/canary-password";
      # As long as the accounts.
      creates = if onPostgres then "${scratch}/canary" else "${directory}/data/canary";
    in
    {
      name = "probe";
      kind = "probe";
      url = "http://${address.probe}:9412";
      listens = [ "${address.probe}:9412" ];
      files = { };
      needs = [ "auth-core" ];
      uselessWithout = "prometheus";
      prepare = {
        inherit creates;
        command = [
          "sh"
          "-c"
          "'${programs.auth-core}' user add ${email} --password-file '${passwordFile}' --config '${own "auth1"}/auth-core.toml' && : >'${creates}'"
        ];
      };
      command = [
        programs.auth-core
        "probe"
        "https://${address.gateway}:8443"
        "--listen"
        "${address.probe}:9412"
        "--ca"
        "${directory}/keys/ca.pem"
        "--email"
        email
        "--password-file"
        passwordFile
      ];
      after = map (node: node.name) runningNodes ++ runningGateways;
      # What is at /metrics would log in each time.
      ready = http "http://${address.probe}:9412/";
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
      "zipkin-server"
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
      # Else it leaves libraries in /tmp when it is killed.
      "-Djava.io.tmpdir=${own "zipkin"}"
    ]
    ++ (
      let
        server = programs.zipkin-server;
        unpacked = builtins.pathExists "${server}/BOOT-INF";
      in
      if unpacked then
        [
          "-cp"
          "${server}/BOOT-INF/classes:${server}/BOOT-INF/lib/*"
          "zipkin.server.ZipkinServer"
        ]
      else
        [
          "-jar"
          server
        ]
    )
    ++ zipkinServer.arguments;
    ready = http "http://${address.zipkin}:${port.zipkin}/health";
  };

  grafanaFiles = import (render + "/grafana.nix") {
    prometheusUrl = prometheus.url;
    folder = "${own "grafana"}/dashboards";
    clustered = databasePart == "database";
    inherit (defaults.monitoring) runbooks slo;
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
in
[
  prometheus
  alertmanager
  node-exporter
]
++ optionals onPostgres [ postgres-exporter ]
++ [
  zipkin
  probe
]
# Debian has no package of it: it is there where somebody installed it.
++ optionals (programs ? grafana) [ grafana ]
