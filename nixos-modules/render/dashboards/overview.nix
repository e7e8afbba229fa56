# Can people log in, and if not, where does it fail?
{
  panels,
  # As in ../defaults.nix.
  slo,
}:
let
  inherit (panels)
    areas
    by
    gauge
    lines
    linkedAlerts
    now
    quantile
    row
    stat
    table
    timeline
    ;
  number = builtins.toJSON;
  bound = number slo.logInLatency.seconds;
  good = objective: [
    [ "red" ]
    [
      "orange"
      (1 - 14.4 * (1 - objective))
    ]
    [
      "green"
      objective
    ]
  ];
  day = 86400;
  atLeastOne = [
    [ "red" ]
    [
      "green"
      1
    ]
  ];
  noneIsGood = [
    [ "green" ]
    [
      "red"
      1
    ]
  ];
  budget = [
    [ "red" ]
    [
      "orange"
      0.1
    ]
    [
      "green"
      0.5
    ]
  ];
  burn =
    name: objective: window:
    "authstack:${name}:ratio_rate${window} / (1 - ${number objective})";
in
panels.dashboard {
  title = "Authstack: overview";
  uid = "authstack";
  description = "Can people log in? What is left of the error budget, and which alerts fire.";
  rows = [
    (row 4 [
      (stat {
        title = "Log-ins that are answered";
        description = "Of the last five minutes: all but those that failed by the service's own fault. A wrong password is an answer.";
        unit = "percentunit";
        max = 1;
        thresholds = good slo.logInSuccess.objective;
        runbook = "LogInErrorBudgetBurn";
        queries = [ (by "answered" "1 - authstack:log_in_errors:ratio_rate5m") ];
      })
      (stat {
        title = "Log-ins within ${bound} s";
        description = "Of the last five minutes, in the core: the wait for a hash included.";
        unit = "percentunit";
        max = 1;
        thresholds = good slo.logInLatency.objective;
        runbook = "LogInLatencyBudgetBurn";
        queries = [ (by "in time" "1 - authstack:log_in_slow:ratio_rate5m") ];
      })
      (stat {
        title = "Nodes in rotation";
        description = "Cores that at least one gateway sends requests to.";
        thresholds = atLeastOne;
        runbook = "NoNodeLeft";
        queries = [
          (by "nodes" ''sum(max by (server) (haproxy_server_status{proxy="auth-core",state="UP"}))'')
        ];
      })
      (stat {
        title = "Gateways";
        description = "Those that answer Prometheus.";
        thresholds = atLeastOne;
        runbook = "NoGatewayLeft";
        queries = [ (by "gateways" ''sum(up{job="gateway"})'') ];
      })
      (stat {
        title = "Alerts";
        description = "That fire now; the table has them.";
        thresholds = noneIsGood;
        queries = [ (by "firing" ''count(ALERTS{alertstate="firing"}) or vector(0)'') ];
      })
      (stat {
        title = "Notices that failed";
        description = "In the last hour: Alertmanager could not tell its receivers.";
        thresholds = noneIsGood;
        queries = [ (by "failed" "sum(increase(alertmanager_notifications_failed_total[1h]))") ];
      })
    ])
    (row 4 [
      (stat {
        title = "Public name";
        description = "As a client outside sees it: 1 if the certificate is valid and the gateway answers. Empty where no probe is set up.";
        thresholds = atLeastOne;
        runbook = "PublicNameDown";
        queries = [
          (by "{{node}}" ''min by (node) (auth_probe_success{step=~"certificate|answer"})'')
        ];
      })
      (stat {
        title = "Canary logs in";
        description = "Whether an account that is for this alone can log in and out, from outside: 1 if it can. Empty without such an account.";
        thresholds = atLeastOne;
        runbook = "CanaryLogInFails";
        queries = [ (by "{{node}}" ''min by (node) (auth_probe_success{step="log_in"})'') ];
      })
      (stat {
        title = "Time to log in, from outside";
        description = "Of the canary: connection, log-in and log-out together.";
        unit = "s";
        runbook = "CanaryLogInFails";
        queries = [ (by "{{node}}" ''auth_probe_seconds{step="log_in"}'') ];
      })
      (stat {
        title = "Certificate";
        description = "How long the one that the public name shows is still valid.";
        unit = "s";
        min = null;
        thresholds = [
          [ "red" ]
          [
            "orange"
            (7 * day)
          ]
          [
            "green"
            (14 * day)
          ]
        ];
        runbook = "CertificateExpiring";
        queries = [
          (by "{{node}}" "auth_probe_certificate_expires_timestamp_seconds - time()")
        ];
      })
    ])
    (row 7 [
      (gauge {
        title = "Error budget left: log-ins that fail";
        description = "Of thirty days, or of all that Prometheus knows. Nothing is left: stop taking risks until something is.";
        unit = "percentunit";
        max = 1;
        thresholds = budget;
        runbook = "LogInErrorBudgetBurn";
        queries = [ (by "left" "authstack:log_in_errors:budget_left") ];
      })
      (gauge {
        title = "Error budget left: log-ins that are slow";
        description = "Of thirty days, or of all that Prometheus knows.";
        unit = "percentunit";
        max = 1;
        thresholds = budget;
        runbook = "LogInLatencyBudgetBurn";
        queries = [ (by "left" "authstack:log_in_slow:budget_left") ];
      })
      (table {
        title = "What fires";
        description = "Each name leads to its page, which says what to do.";
        columns = [
          "alertname"
          "severity"
          "node"
          "server"
          "job"
        ];
        overrides = linkedAlerts;
        queries = [ (now ''ALERTS{alertstate="firing"}'') ];
      })
    ])
    (row 8 [
      (timeline {
        title = "In rotation";
        description = "Whether each gateway sends requests to each core, by its health checks.";
        max = 1;
        runbook = "NodeOutOfRotation";
        queries = [
          (by "{{node}} → {{server}}" ''haproxy_server_status{proxy="auth-core",state="UP"}'')
        ];
      })
      (timeline {
        title = "Parts that answer Prometheus";
        description = "The scrapes of each part.";
        max = 1;
        runbook = "TargetDown";
        queries = [ (by "{{job}} {{node}}" "up") ];
      })
    ])
    (row 8 [
      (lines {
        title = "How fast the error budget is spent";
        description = "In multiples of what lasts for thirty days. Beyond 14.4 in an hour, or 6 in six, somebody is woken.";
        thresholds = [
          [ "green" ]
          [
            "orange"
            6
          ]
          [
            "red"
            14.4
          ]
        ];
        runbook = "LogInErrorBudgetBurn";
        queries = [
          (by "failed, 1 h" (burn "log_in_errors" slo.logInSuccess.objective "1h"))
          (by "failed, 6 h" (burn "log_in_errors" slo.logInSuccess.objective "6h"))
          (by "slow, 1 h" (burn "log_in_slow" slo.logInLatency.objective "1h"))
          (by "slow, 6 h" (burn "log_in_slow" slo.logInLatency.objective "6h"))
        ];
      })
      (areas {
        title = "Log-ins";
        description = "By what they came to.";
        unit = "reqps";
        queries = [
          (by "{{outcome}}" ''sum by (outcome) (rate(auth_requests_total{operation="logIn"}[$__rate_interval])) > 0'')
        ];
      })
      (lines {
        title = "Time to log in";
        description = "Half of all log-ins, and 99 of 100, are faster.";
        unit = "s";
        runbook = "LogInLatencyBudgetBurn";
        queries = [
          (by "half" (quantile "0.5" "" "auth_request_seconds" ''{operation="logIn"}''))
          (by "99 of 100" (quantile "0.99" "" "auth_request_seconds" ''{operation="logIn"}''))
        ];
      })
    ])
  ];
}
