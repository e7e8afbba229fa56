# What Prometheus asks, and what the monitor sees of the public name: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
[
  {
    alert = "TargetDown";
    data.${up "auth-core" "auth2"} = still 0;
    labels = {
      job = "auth-core";
      node = "auth2";
    };
    fires.warning = "auth-core on auth2 does not answer its scrapes";
  }
  {
    alert = "TargetDown";
    data.${postgres "pg_up"} = still 0;
    labels = {
      job = "postgres-exporter";
      node = "data";
    };
    fires.warning = "postgres-exporter on data does not answer its scrapes";
  }
  {
    alert = "PrometheusNotScraping";
    data.${up "auth-core" "auth1"} = still 0;
    data.${up "auth-core" "auth2"} = still 0;
    data.${up "gateway" "gate1"} = still 0;
    data.${up "gateway" "gate2"} = still 0;
    data.${up "patroni" "data1"} = still 0;
    data.${up "patroni" "data2"} = still 0;
    data.${up "patroni" "data3"} = still 0;
    fires.critical = "Prometheus reaches only 46.15% of its targets: whatever else is wrong, it may not know";
  }
  {
    alert = "PublicNameDown";
    data.${probed "answer"} = still 0;
    labels.node = "watch";
    fires.critical = "As watch sees it, clients get no answer at the public name, or no valid certificate";
  }
  {
    alert = "PublicNameDown";
    data.${probed "certificate"} = still 0;
    labels.node = "watch";
    fires.critical = "As watch sees it, clients get no answer at the public name, or no valid certificate";
  }
  {
    # There is another alert for it.
    alert = "PublicNameDown";
    data.${probed "log_in"} = still 0;
  }
  {
    alert = "CanaryLogInFails";
    data.${probed "log_in"} = still 0;
    labels = {
      job = "probe";
      node = "watch";
      step = "log_in";
    };
    fires.critical = "As watch sees it, the public name answers and the canary cannot log in";
  }
  {
    # Nothing answers: there is another alert for it.
    alert = "CanaryLogInFails";
    data.${probed "answer"} = still 0;
    data.${probed "log_in"} = still 0;
  }
  {
    alert = "CertificateExpiring";
    # 14 days less twenty minutes, an hour later.
    data.${expires} = still 1212000;
    within = 60;
    labels = {
      job = "probe";
      node = "watch";
    };
    fires.warning = "The certificate of the public name expires in 13d 23h 40m 0s";
  }
  {
    # A minute more than that.
    alert = "CertificateExpiring";
    data.${expires} = still 1213260;
  }
  {
    alert = "ZipkinDropsSpans";
    data.${dropped "spans"} = growing 1;
    labels.node = "watch";
    fires.warning = "Zipkin on watch drops what it gets: traces have gaps";
  }
  {
    alert = "SpansLost";
    data.${''auth_spans_dropped_total{job="auth-core",node="auth1",reason="export_failed"}''} =
      growing 60;
    within = 7;
    labels = {
      node = "auth1";
      reason = "export_failed";
    };
    fires.warning = "Spans of auth1 do not reach Zipkin (export_failed): traces have gaps";
  }
  {
    alert = "SpansLost";
    data.${''auth_spans_dropped_total{job="auth-core",node="auth1",reason="export_failed"}''} =
      still 60;
  }
  {
    alert = "SpansLost";
    data.${''haproxy_process_dropped_logs_total{job="gateway",node="gate1"}''} = growing 60;
    within = 7;
    labels = {
      node = "gate1";
      reason = "log_dropped";
    };
    fires.warning = "Spans of gate1 do not reach Zipkin (log_dropped): traces have gaps";
  }
  {
    alert = "SpansLost";
    data.${''haproxy_process_dropped_logs_total{job="gateway",node="gate1"}''} = still 60;
  }
]
