# Prometheus: what is scraped, what raises an alert, and where alerts go.
#
# Settings in, two attribute sets out: `config` (prometheus.yml) and `rules` (a rule file). JSON is YAML, so `builtins.toJSON`
# makes the files.
{
  # { JOB = [ { name; address = "ADDRESS:PORT"; } ]; }, each JOB one of `metricsPaths`. Alerts go to those of `alertmanager`.
  targets,
  # PEM file with the certificate authorities of the certificates of cores and of Patroni; null where they speak plain HTTP.
  coreCa ? null,
  # Paths of the rule files, as Prometheus sees them.
  ruleFiles ? [ ],
  # Prometheus' own duration notation.
  scrapeInterval,
  probeInterval ? (import ./defaults.nix).monitoring.probe.interval,
  # Names of the hosts that make backups, and how old their newest may be.
  backedUp ? [ ],
  backupHours ? (import ./defaults.nix).backup.maxAgeHours,
  # Of rules/default.nix: the objectives of log-ins, and where the runbooks are.
  slo,
  runbooks,
}:
let
  metricsPaths = {
    alertmanager = "/metrics";
    auth-core = "/metrics";
    etcd = "/metrics";
    gateway = "/metrics";
    node-exporter = "/metrics";
    patroni = "/metrics";
    postgres-exporter = "/metrics";
    probe = "/metrics";
    prometheus = "/metrics";
    zipkin = "/prometheus";
  };

  scrape =
    job:
    scrapePlain job
    // (if (job == "auth-core" || job == "patroni") && coreCa != null then byTls else { })
    // (if job == "probe" then patient else { });
  # A log-in that waits for its turn takes seconds.
  patient = {
    scrape_interval = probeInterval;
    scrape_timeout = probeInterval;
  };
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

  rules = import ./rules {
    inherit
      backedUp
      backupHours
      slo
      runbooks
      ;
    gateways = builtins.length (targets.gateway or [ ]);
    clustered = targets.patroni or [ ] != [ ];
  };
}
