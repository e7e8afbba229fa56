# Prometheus: what is scraped, what raises an alert, and where alerts go.
#
# Settings in, two attribute sets out: `config` (prometheus.yml) and `rules` (a rule file). JSON is YAML, so `builtins.toJSON`
# makes the files.
{
  # { JOB = [ { name; address = "ADDRESS:PORT"; } ]; }, each JOB one of `metricsPaths`. Alerts go to those of `alertmanager`.
  targets,
  # PEM file with the certificate authorities of the cores' certificates; null where they speak plain HTTP.
  coreCa ? null,
  # Paths of the rule files, as Prometheus sees them.
  ruleFiles ? [ ],
  # Prometheus' own duration notation.
  scrapeInterval,
}:
let
  metricsPaths = {
    alertmanager = "/metrics";
    auth-core = "/metrics";
    gateway = "/metrics";
    node-exporter = "/metrics";
    prometheus = "/metrics";
    zipkin = "/prometheus";
  };

  scrape = job: scrapePlain job // (if job == "auth-core" && coreCa != null then byTls else { });
  byTls = {
    scheme = "https";
    tls_config.ca_file = coreCa;
  };
  scrapePlain = job: {
    job_name = job;
    metrics_path = metricsPaths.${job};
    static_configs = map (target: {
      targets = [ target.address ];
      labels.node = target.name;
    }) targets.${job};
  };

  alert = name: severity: wait: expr: summary: {
    alert = name;
    inherit expr;
    for = wait;
    labels = { inherit severity; };
    annotations = { inherit summary; };
  };
in
{
  config = {
    global = {
      scrape_interval = scrapeInterval;
      evaluation_interval = scrapeInterval;
    };
    rule_files = ruleFiles;
    scrape_configs = map scrape (
      builtins.filter (job: targets.${job} != [ ]) (builtins.attrNames targets)
    );
    alerting.alertmanagers = [
      { static_configs = [ { targets = map (target: target.address) (targets.alertmanager or [ ]); } ]; }
    ];
  };

  rules.groups = [
    {
      name = "authstack";
      rules = [
        (alert "TargetDown" "warning" "30s" "up == 0"
          "{{ $labels.job }} on {{ $labels.node }} does not answer its scrapes"
        )
        (alert "NodeOutOfRotation" "warning" "30s"
          ''haproxy_server_status{proxy="auth-core",state="UP"} == 0''
          "The gateway sends nothing to {{ $labels.server }}: its health check fails"
        )
        (alert "NoNodeLeft" "critical" "5s" ''haproxy_backend_active_servers{proxy="auth-core"} == 0''
          "No auth-core node is in rotation: every request is refused"
        )
      ];
    }
  ];
}
