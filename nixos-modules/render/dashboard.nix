# The dashboard: what the operator of an authstack wants to know first, from top to bottom. An attribute set in Grafana's
# own notation.
let
  # Three panels a row, on Grafana's grid of 24 columns.
  place = index: {
    x = 8 * (index - 3 * (index / 3));
    y = 8 * (index / 3);
    w = 8;
    h = 8;
  };

  datasource = {
    type = "prometheus";
    uid = "prometheus";
  };

  panel = title: description: unit: queries: {
    inherit title description datasource;
    type = "timeseries";
    fieldConfig = {
      defaults = {
        inherit unit;
        min = 0;
      };
      overrides = [ ];
    };
    targets = builtins.genList (
      index:
      let
        legend = builtins.elemAt (builtins.attrNames queries) index;
      in
      {
        inherit datasource;
        refId = builtins.substring index 1 "ABCDEF";
        legendFormat = legend;
        expr = queries.${legend};
      }
    ) (builtins.length (builtins.attrNames queries));
  };
  # One line for each value of the labels in `legend`.
  by = legend: expr: { ${legend} = expr; };

  quantile =
    q: labels: metric:
    "histogram_quantile(${q}, sum by (le${labels}) (rate(${metric}_bucket[$__rate_interval])))";

  panels = [
    (panel "Nodes in rotation" "Cores that the gateways send requests to." "none" (
      by "{{node}}" ''sum by (node) (haproxy_server_status{proxy="auth-core", state="UP"})''
    ))
    (panel "Alerts" "Alerts that fire now." "none" (
      by "firing" ''count(ALERTS{alertstate="firing"}) or vector(0)''
    ))
    (panel "Answers" "What clients get, by class of status." "reqps" (
      by "{{code}}" ''sum by (code) (rate(haproxy_frontend_http_responses_total{proxy="gateway"}[$__rate_interval]))''
    ))
    (panel "Operations" "What clients ask for." "reqps" (
      by "{{operation}}" "sum by (operation) (rate(auth_requests_total[$__rate_interval]))"
    ))
    (panel "Refused operations"
      "Wrong passwords, taken addresses and whatever else the core says no to."
      "reqps"
      (
        by "{{operation}}: {{outcome}}" ''sum by (operation, outcome) (rate(auth_requests_total{outcome!="ok"}[$__rate_interval])) > 0''
      )
    )
    (panel "Time to answer" "In the core, 99 of 100 are faster." "s" (
      by "{{operation}}" (quantile "0.99" ", operation" "auth_request_seconds")
    ))
    (panel "Password hashes" "Log-ins can be no faster than this." "s" {
      "99 of 100 wait less" = quantile "0.99" "" "auth_hash_queue_seconds";
      "99 of 100 take less" = quantile "0.99" "" "auth_hash_seconds";
    })
    (panel "Hashes at work" "At the limit for long, log-ins queue." "none" (
      by "{{node}}" "sum by (node) (auth_hashes_in_flight)"
    ))
    (panel "Queue for hashes"
      "Log-ins that wait, and those that were refused because the wait would have been too long."
      "none"
      {
        "refused per second" = "sum(rate(auth_hashes_refused_total[$__rate_interval]))";
        "{{node}} waiting" = "sum by (node) (auth_hashes_waiting)";
      }
    )
    (panel "Log-ins" "By what they came to." "reqps" (
      by "{{outcome}}" ''sum by (outcome) (rate(auth_requests_total{operation="logIn"}[$__rate_interval])) > 0''
    ))
    (panel "Refused tokens" "By reason; a reused refresh token may be a stolen one." "reqps" (
      by "{{reason}}" "sum by (reason) (rate(auth_tokens_refused_total[$__rate_interval]))"
    ))
    (panel "Database connections" "At the limit for long, requests wait for the database." "none" {
      "{{node}} limit" = "sum by (node) (auth_database_connections_max)";
      "{{node}} used" = ''sum by (node) (auth_database_connections{state="used"})'';
    })
    (panel "Retries at the gateway" "Requests that a node did not take and another one did." "reqps" {
      redispatched = ''sum(rate(haproxy_backend_redispatch_warnings_total{proxy="auth-core"}[$__rate_interval]))'';
      retried = ''sum(rate(haproxy_backend_retry_warnings_total{proxy="auth-core"}[$__rate_interval]))'';
    })
    (panel "Processor" "Share of each host's processors that works." "percentunit" (
      by "{{node}}" ''1 - avg by (node) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))''
    ))
    (panel "Memory" "Share of each host's memory that is taken." "percentunit" (
      by "{{node}}" "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    ))
    (panel "Disk" "Share of the fullest file system of each host." "percentunit" (
      by "{{node}}" ''max by (node) (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} / node_filesystem_size_bytes)''
    ))
  ];
in
{
  title = "Authstack";
  uid = "authstack";
  refresh = "10s";
  time = {
    from = "now-1h";
    to = "now";
  };
  schemaVersion = 39;
  panels = builtins.genList (
    index:
    builtins.elemAt panels index
    // {
      id = index + 1;
      gridPos = place index;
    }
  ) (builtins.length panels);
}
