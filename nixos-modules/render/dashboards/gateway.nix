# What the gateways do: requests, answers, servers, queues, retries, connections.
{ panels }:
let
  inherit (panels)
    areas
    by
    gauge
    lines
    row
    stat
    timeline
    ;
  rate = metric: labels: ''rate(${metric}{${labels},node=~"$node"}[$__rate_interval])'';
  own =
    code: "sum(${rate "haproxy_frontend_http_responses_total" ''proxy="gateway",code="${code}"''})";
  # The backends that have servers, whose answers those are.
  servers = code: "sum(${rate "haproxy_server_http_responses_total" ''code="${code}"''})";
in
panels.dashboard {
  title = "Authstack: gateway";
  uid = "authstack-gateway";
  description = "Requests and answers, each server's state and time, queues, retries, refusals, connections.";
  job = "gateway";
  rows = [
    (row 4 [
      (stat {
        title = "Requests";
        description = "Of all clients.";
        unit = "reqps";
        queries = [
          (by "requests" "sum(${rate "haproxy_frontend_http_requests_total" ''proxy="gateway"''})")
        ];
      })
      (stat {
        title = "Answers 5xx";
        description = "Share of all answers: the gateway's own, the cores' and your services'.";
        unit = "percentunit";
        max = 1;
        thresholds = [
          [ "green" ]
          [
            "orange"
            0.001
          ]
          [
            "red"
            0.0144
          ]
        ];
        runbook = "LogInErrorBudgetBurn";
        queries = [
          (by "5xx" "${own "5xx"} / sum(${rate "haproxy_frontend_http_responses_total" ''proxy="gateway"''})")
        ];
      })
      (gauge {
        title = "Connections";
        description = "Of as many as the gateway takes; then more wait in the kernel.";
        unit = "percentunit";
        max = 1;
        thresholds = [
          [ "green" ]
          [
            "orange"
            0.7
          ]
          [
            "red"
            0.9
          ]
        ];
        queries = [
          (by "{{node}}" ''haproxy_frontend_current_sessions{proxy="gateway",node=~"$node"} / haproxy_frontend_limit_sessions{proxy="gateway",node=~"$node"}'')
        ];
      })
      (gauge {
        title = "Busy";
        description = "Share of the last second in which HAProxy had work to do.";
        unit = "percentunit";
        max = 1;
        thresholds = [
          [ "green" ]
          [
            "orange"
            0.7
          ]
          [
            "red"
            0.9
          ]
        ];
        queries = [ (by "{{node}}" ''1 - haproxy_process_idle_time_percent{node=~"$node"} / 100'') ];
      })
      (stat {
        title = "Other gateways";
        description = "That count clients' requests together with each. None of several: limits hold at each gateway by itself.";
        runbook = "GatewayPairDegraded";
        queries = [ (by "{{node}}" ''haproxy_process_active_peers{node=~"$node"}'') ];
      })
    ])
    (row 8 [
      (areas {
        title = "Answers";
        description = "What clients get, by class of status.";
        unit = "reqps";
        queries = [
          (by "{{code}}" "sum by (code) (${rate "haproxy_frontend_http_responses_total" ''proxy="gateway"''})")
        ];
      })
      (lines {
        title = "Answers of the gateway's own";
        description = "What no server said. 4xx: refused, most of it by limits (429), else no such path, a bad request or a missing token; HAProxy counts no single codes. 5xx: no server was ready, broke off, or was too slow.";
        unit = "reqps";
        runbook = "NoNodeLeft";
        queries = [
          (by "4xx" "clamp_min(${own "4xx"} - ${servers "4xx"}, 0)")
          (by "5xx" "clamp_min(${own "5xx"} - ${servers "5xx"}, 0)")
        ];
      })
      (lines {
        title = "Limits";
        description = "Client addresses that are counted now, and e-mail addresses whose log-ins the cores delay, per second.";
        runbook = "BruteForceWave";
        queries = [
          (by "{{node}} clients" ''haproxy_sticktable_used{name=~"(.*/)?clients(-.*)?",node=~"$node"}'')
          (by "log-ins delayed" ''sum(rate(auth_requests_total{outcome="rate_limited"}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (timeline {
        title = "Servers in rotation";
        description = "By the gateways' health checks: cores, and the servers of your routes.";
        max = 1;
        runbook = "NodeOutOfRotation";
        queries = [
          (by "{{node}} → {{proxy}} {{server}}" ''haproxy_server_status{state="UP",node=~"$node"}'')
        ];
      })
      (lines {
        title = "Requests by server";
        description = "In proportion to the weights of the servers of a route.";
        unit = "reqps";
        queries = [
          (by "{{proxy}} {{server}}" ''sum by (proxy, server) (rate(haproxy_server_http_responses_total{node=~"$node"}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Time to answer";
        description = "Of each server, on average over its last 1024 answers.";
        unit = "s";
        queries = [
          (by "{{node}} → {{proxy}} {{server}}" ''haproxy_server_response_time_average_seconds{node=~"$node"}'')
        ];
      })
      (lines {
        title = "Health checks";
        description = "How long the last one of each server took.";
        unit = "s";
        runbook = "NodeOutOfRotation";
        queries = [
          (by "{{node}} → {{proxy}} {{server}}" ''haproxy_server_check_duration_seconds{node=~"$node"}'')
        ];
      })
      (lines {
        title = "Retries";
        description = "Requests that a server did not take and another one did, and answers that broke off.";
        unit = "reqps";
        runbook = "NodeOutOfRotation";
        queries = [
          (by "retried" ''sum(rate(haproxy_backend_retry_warnings_total{node=~"$node"}[$__rate_interval]))'')
          (by "by another server" ''sum(rate(haproxy_backend_redispatch_warnings_total{node=~"$node"}[$__rate_interval]))'')
          (by "connections that failed" ''sum(rate(haproxy_backend_connection_errors_total{node=~"$node"}[$__rate_interval]))'')
          (by "answers that broke off" ''sum(rate(haproxy_backend_response_errors_total{node=~"$node"}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Queue";
        description = "Requests that wait for a server that has fewer under way than it may.";
        queries = [
          (by "{{node}} {{proxy}}" ''haproxy_backend_current_queue{node=~"$node",proxy!~"tokens|connections|clients|limits:.*"}'')
        ];
      })
      (lines {
        title = "Time in the queue";
        description = "On average over the last 1024 requests.";
        unit = "s";
        queries = [
          (by "{{node}} {{proxy}}" ''haproxy_backend_queue_time_average_seconds{node=~"$node",proxy!~"tokens|connections|clients|limits:.*"}'')
        ];
      })
      (lines {
        title = "Connections";
        description = "Open ones, those refused because one address had too many, and TLS handshakes.";
        queries = [
          (by "{{node}} open" ''haproxy_frontend_current_sessions{proxy="gateway",node=~"$node"}'')
          (by "{{node}} refused per second" ''rate(haproxy_frontend_denied_connections_total{proxy="gateway",node=~"$node"}[$__rate_interval])'')
          (by "{{node}} handshakes per second" ''haproxy_process_current_ssl_rate{node=~"$node"}'')
        ];
      })
      (lines {
        title = "Traffic";
        description = "From clients and to them.";
        unit = "Bps";
        queries = [
          (by "{{node}} in" (rate "haproxy_frontend_bytes_in_total" ''proxy="gateway"''))
          (by "{{node}} out" (rate "haproxy_frontend_bytes_out_total" ''proxy="gateway"''))
        ];
      })
      (lines {
        title = "Traces: what is lost";
        description = "Lines of the gateways' logs, and spans of the cores, per second.";
        runbook = "SpansLost";
        queries = [
          (by "{{node}} lines" ''rate(haproxy_process_dropped_logs_total{node=~"$node"}[$__rate_interval])'')
          (by "{{node}} spans" "sum by (node) (rate(auth_spans_dropped_total[$__rate_interval]))")
        ];
      })
    ])
  ];
}
