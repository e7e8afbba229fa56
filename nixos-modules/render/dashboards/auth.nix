# What the cores do: log-ins, password hashes, tokens, sign-ups.
{ panels }:
let
  inherit (panels)
    areas
    by
    lines
    now
    quantile
    row
    stat
    table
    ;
  of = operation: ''auth_requests_total{operation="${operation}",node=~"$node"}'';
  alarming = colour: [
    [ "green" ]
    [
      colour
      1
    ]
  ];
in
panels.dashboard {
  title = "Authstack: auth";
  uid = "authstack-auth";
  description = "Log-ins by outcome, password hashes and their queue, tokens, sign-ups.";
  job = "auth-core";
  rows = [
    (row 4 [
      (stat {
        title = "Log-ins";
        description = "That succeed.";
        unit = "reqps";
        queries = [
          (by "ok" ''sum(rate(auth_requests_total{operation="logIn",outcome="ok",node=~"$node"}[$__rate_interval]))'')
        ];
      })
      (stat {
        title = "Sign-ups";
        description = "Accounts that were made in the last hour.";
        queries = [
          (by "ok" ''sum(increase(auth_requests_total{operation="signUp",outcome="ok",node=~"$node"}[1h]))'')
        ];
      })
      (stat {
        title = "Wait for a hash";
        description = "Log-ins and the like that wait for their turn now.";
        thresholds = [
          [ "green" ]
          [
            "orange"
            5
          ]
        ];
        runbook = "HashQueueSaturated";
        queries = [ (by "waiting" ''sum(auth_hashes_waiting{node=~"$node"})'') ];
      })
      (stat {
        title = "Hashes refused";
        description = "In the last hour, because the wait would have been too long: load shedding.";
        thresholds = alarming "orange";
        runbook = "HashQueueSaturated";
        queries = [ (by "refused" ''sum(increase(auth_hashes_refused_total{node=~"$node"}[1h]))'') ];
      })
      (stat {
        title = "Refresh tokens used twice";
        description = "In the last hour: stolen ones, or a client that is broken.";
        thresholds = alarming "red";
        queries = [
          (by "reused" ''sum(increase(auth_tokens_refused_total{reason="reused_refresh_token",node=~"$node"}[1h]))'')
        ];
      })
      (table {
        title = "Versions";
        description = "Which runs where.";
        columns = [
          "node"
          "version"
        ];
        queries = [ (now ''auth_build_info{node=~"$node"}'') ];
      })
    ])
    (row 8 [
      (areas {
        title = "Log-ins";
        description = "By what they came to.";
        unit = "reqps";
        runbook = "BruteForceWave";
        queries = [
          (by "{{outcome}}" "sum by (outcome) (rate(${of "logIn"}[$__rate_interval])) > 0")
        ];
      })
      (areas {
        title = "Sign-ups";
        description = "By what they came to.";
        unit = "reqps";
        queries = [
          (by "{{outcome}}" "sum by (outcome) (rate(${of "signUp"}[$__rate_interval])) > 0")
        ];
      })
      (areas {
        title = "Operations";
        description = "What clients ask for.";
        unit = "reqps";
        queries = [
          (by "{{operation}}" ''sum by (operation) (rate(auth_requests_total{node=~"$node"}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Hashes at work";
        description = "At `password.concurrent_hashes` for long, log-ins queue.";
        queries = [ (by "{{node}}" ''auth_hashes_in_flight{node=~"$node"}'') ];
      })
      (lines {
        title = "Queue for hashes";
        description = "Log-ins that wait, and those that were refused because the wait would have been too long.";
        runbook = "HashQueueSaturated";
        queries = [
          (by "{{node}} waiting" ''auth_hashes_waiting{node=~"$node"}'')
          (by "{{node}} refused per second" ''rate(auth_hashes_refused_total{node=~"$node"}[$__rate_interval])'')
        ];
      })
      (lines {
        title = "Time to hash";
        description = "99 of 100 wait less, and take less. Log-ins can be no faster than this.";
        unit = "s";
        queries = [
          (by "wait" (quantile "0.99" "" "auth_hash_queue_seconds" ''{node=~"$node"}''))
          (by "hash" (quantile "0.99" "" "auth_hash_seconds" ''{node=~"$node"}''))
        ];
      })
      (lines {
        title = "Hashes";
        description = "Started per second, whatever they came to.";
        unit = "ops";
        queries = [ (by "{{node}}" ''rate(auth_hashes_total{node=~"$node"}[$__rate_interval])'') ];
      })
    ])
    (row 8 [
      (lines {
        title = "Time to answer";
        description = "In the core; 99 of 100 are faster.";
        unit = "s";
        queries = [
          (by "{{operation}}" (quantile "0.99" ", operation" "auth_request_seconds" ''{node=~"$node"}''))
        ];
      })
      (areas {
        title = "Tokens refused";
        description = "By reason.";
        unit = "reqps";
        queries = [
          (by "{{reason}}" ''sum by (reason) (rate(auth_tokens_refused_total{node=~"$node"}[$__rate_interval]))'')
        ];
      })
      (lines {
        title = "Tokens issued";
        description = "Sessions that began or were carried on.";
        unit = "reqps";
        queries = [
          (by "{{node}}" ''sum by (node) (rate(auth_tokens_issued_total{node=~"$node"}[$__rate_interval]))'')
        ];
      })
      (lines {
        title = "The service's own faults";
        description = "Of all operations: they count against the error budget where they are log-ins.";
        unit = "reqps";
        runbook = "LogInErrorBudgetBurn";
        queries = [
          (by "{{outcome}}" ''sum by (outcome) (rate(auth_requests_total{outcome=~"internal|overloaded|unavailable",node=~"$node"}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Memory";
        description = "Of the process. Each hash takes 128·N·r bytes while it runs.";
        unit = "bytes";
        queries = [ (by "{{node}}" ''process_resident_memory_bytes{job="auth-core",node=~"$node"}'') ];
      })
      (lines {
        title = "Processors";
        description = "As many as the process keeps busy.";
        queries = [
          (by "{{node}}" ''rate(process_cpu_seconds_total{job="auth-core",node=~"$node"}[$__rate_interval])'')
        ];
      })
      (lines {
        title = "Open files";
        description = "Connections included; the limit is dashed.";
        queries = [
          (by "{{node}}" ''process_open_fds{job="auth-core",node=~"$node"}'')
          (by "limit" ''min(process_max_fds{job="auth-core",node=~"$node"})'')
        ];
        overrides = [
          {
            matcher = {
              id = "byName";
              options = "limit";
            };
            properties = [
              {
                id = "custom.lineStyle";
                value = {
                  fill = "dash";
                  dash = [
                    10
                    10
                  ];
                };
              }
            ];
          }
        ];
      })
      (stat {
        title = "Runs since";
        description = "When each process was started.";
        unit = "dateTimeFromNow";
        min = null;
        queries = [
          (by "{{node}}" ''process_start_time_seconds{job="auth-core",node=~"$node"} * 1000'')
        ];
      })
    ])
  ];
}
