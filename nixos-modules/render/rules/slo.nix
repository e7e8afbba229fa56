# Service level objectives of log-ins: how many may fail or be slow, and who hears of it when the error budget is spent too fast.
#
# Multi-window, multi-burn-rate alerts as in the SRE Workbook of Google, chapter 5. A burn rate of 1 spends the budget in exactly
# the period of 30 days. The short window ends an alert soon after its cause.
{
  # { logInSuccess.objective; logInLatency = { objective; seconds; }; } as in defaults.nix.
  slo,
  # NAME: SEVERITY: FOR: EXPR: SUMMARY: a rule.
  alert,
}:
let
  number = builtins.toJSON;
  record = name: expr: {
    record = name;
    inherit expr;
  };

  logIns = ''operation="logIn"'';
  api = ''proxy="auth-core"'';
  # As a node writes it, and as Prometheus 3 keeps it, whether it was given as 5 or as 5.0.
  seconds =
    let
      given = slo.logInLatency.seconds;
      whole = builtins.floor given;
    in
    number (if whole == given then whole else given);
  bound = "${builtins.replaceStrings [ "." ] [ "\\\\." ] seconds}(\\\\.0)?";

  # What is counted, each by `rate` or `increase` over a window.
  sum =
    function: window: selector:
    "sum(${function}(${selector}[${window}]))";
  all =
    selector: function: window:
    "(${sum function window selector} or vector(0))";
  without =
    part: whole: function: window:
    "(clamp_min(${sum function window whole} - ${sum function window part}, 0) or vector(0))";
  events = {
    # Whoever closed the connection did not wait for any outcome.
    log_ins = all ''auth_requests_total{${logIns},outcome!="client_disconnected"}'';
    # The service's fault. A wrong password is none, nor is a client that is told to wait.
    log_ins_failed = all ''auth_requests_total{${logIns},outcome=~"internal|overloaded|unavailable"}'';
    log_ins_timed = all "auth_request_seconds_count{${logIns}}";
    log_ins_slow = without ''auth_request_seconds_bucket{${logIns},le=~"${bound}"}'' "auth_request_seconds_count{${logIns}}";
    api_answers = all "haproxy_backend_http_responses_total{${api}}";
    # Of all 5xx those that the gateway gave in the place of a node: none was ready, broke off, or was too slow.
    api_answers_missing = without ''haproxy_server_http_responses_total{${api},code="5xx"}'' ''haproxy_backend_http_responses_total{${api},code="5xx"}'';
  };
  # By the rates of five minutes, of which the longer windows are averages: a month of them is one series, not hundreds.
  rates = map (name: record "authstack:${name}:rate5m" (events.${name} "rate" "5m")) (
    builtins.attrNames events
  );

  over =
    window: name:
    if window == "5m" then
      "authstack:${name}:rate5m"
    else
      "avg_over_time(authstack:${name}:rate5m[${window}])";
  # 0 where there was nothing.
  share =
    window: part: whole:
    "(${over window part} / (${over window whole} > 0) or vector(0))";

  windows = [
    "5m"
    "30m"
    "1h"
    "2h"
    "6h"
    "1d"
    "3d"
    "30d"
  ];
  ratios = builtins.concatMap (window: [
    # A log-in comes through if the gateway has an answer for it, of which it does not know the operation, and the answer is none of
    # the faults above.
    (record "authstack:log_in_errors:ratio_rate${window}" "1 - (1 - ${
      share window "api_answers_missing" "api_answers"
    }) * (1 - ${share window "log_ins_failed" "log_ins"})")
    (record "authstack:log_in_slow:ratio_rate${window}" (share window "log_ins_slow" "log_ins_timed"))
  ]) windows;

  budget = objective: "(1 - ${number objective})";
  left =
    name: objective:
    record "authstack:${name}:budget_left" "1 - authstack:${name}:ratio_rate30d / ${budget objective}";

  # Fewer in a window are no reason to wake anybody: at night three of them may be half of all log-ins.
  fewest = 10;
  burning =
    name: objective: counted: factor: long: short:
    let
      above = window: "authstack:${name}:ratio_rate${window} > ${number factor} * ${budget objective}";
      count = builtins.concatStringsSep " + " (map (name: events.${name} "increase" long) counted);
    in
    "(${above long} and ${above short} and ${count} >= ${toString fewest})";
  burns =
    alertName: name: objective: counted: summary:
    let
      burn = burning name objective counted;
    in
    [
      (alert alertName "critical" "0s" "${burn 14.4 "1h" "5m"} or ${burn 6 "6h" "30m"}" summary)
      (alert alertName "warning" "0s" "${burn 3 "1d" "2h"} or ${burn 1 "3d" "6h"}" summary)
    ];
in
{
  records =
    rates
    ++ ratios
    ++ [
      (left "log_in_errors" slo.logInSuccess.objective)
      (left "log_in_slow" slo.logInLatency.objective)
    ];

  alerts =
    burns "LogInErrorBudgetBurn" "log_in_errors" slo.logInSuccess.objective
      [
        "log_ins_failed"
        "api_answers_missing"
      ]
      "{{ $value | humanizePercentage }} of log-ins fail by the service's own fault: the error budget is spent too fast"
    ++
      burns "LogInLatencyBudgetBurn" "log_in_slow" slo.logInLatency.objective [ "log_ins_slow" ]
        "{{ $value | humanizePercentage }} of log-ins take longer than ${seconds} s: the error budget is spent too fast";
}
