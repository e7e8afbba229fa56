# Tests of the alerts for `promtool test rules`: data on which each fires, data on which none does, and that each has its page.
# Answers { "FILE" = CONTENT; }. Builtins only.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    map
    ;
  inherit (import ./alerts-data/series.nix) growing healthy members;
  defaults = import ../defaults.nix;
  runbooks = "https://runbooks.example";
  rules =
    (import ../prometheus.nix {
      targets.gateway = [
        {
          name = "gate1";
          address = "10.0.0.11:8404";
        }
        {
          name = "gate2";
          address = "10.0.0.12:8404";
        }
      ];
      targets.patroni = map (name: {
        inherit name;
        address = "${name}:8008";
      }) members;
      inherit (defaults.monitoring) scrapeInterval slo;
      inherit runbooks;
      backedUp = [
        "data"
        "watch"
      ];
    }).rules;

  # --- what must fire on which data, `within` so many minutes. A case without `fires` must not fire ---------------------

  cases = concatMap (file: import (./alerts-data + "/${file}.nix")) [
    "targets"
    "log-ins"
    "gateway"
    "hosts"
    "database"
    "database-cluster"
  ];

  # --- what panels must show -----------------------------------------------------------------------------------------

  # Of 100 requests 60 take up to 0.1 s, and one takes more than 1 s: a panel that says half, or 99 of 100, must see that.
  took = metric: labels: le: perMinute: {
    name = ''${metric}_bucket{job="auth-core",node="auth1"${labels},le="${le}"}'';
    value = growing perMinute;
  };
  times = builtins.listToAttrs (
    concatMap
      (of: [
        (of "0.1" 60)
        (of "1" 98)
        (of "2.5" 99)
        (of "+Inf" 100)
      ])
      [
        (took "auth_hash_seconds" "")
        (took "auth_hash_queue_seconds" "")
        (took "auth_request_seconds" '',operation="logIn"'')
        (took "auth_request_seconds" '',operation="me"'')
        (took "etcd_disk_wal_fsync_duration_seconds" "")
      ]
  );
  quantiles = filter (query: isIn query.expr "histogram_quantile") (
    import ./queries.nix { clustered = true; }
  );
  expectPanel = query: {
    expr =
      if query.legend == "half" then "max(${query.expr}) <= bool 0.1" else "min(${query.expr}) > bool 1";
    eval_time = "10m";
    exp_samples = [
      {
        labels = "{}";
        value = 1;
      }
    ];
  };

  # --- the files ------------------------------------------------------------------------------------------------------

  alerts = concatMap (
    group: map (rule: rule.alert) (filter (rule: rule ? alert) group.rules)
  ) rules.groups;
  firing = filter (case: case ? fires) cases;
  pages = attrNames (builtins.readDir ../../../docs/runbooks);
  panels = concatMap (dashboard: dashboard.panels) (
    builtins.attrValues (
      import ../dashboards {
        inherit (defaults.monitoring) runbooks slo;
        clustered = true;
      }
    )
  );
  linked = concatMap (panel: map (link: baseNameOf link.url) panel.links) panels;
  reference = builtins.readFile ../../../docs/reference/metrics.md;
  isIn = text: part: builtins.replaceStrings [ part ] [ "" ] text != text;
  without = names: filter (name: !(elem name names));
  complaints =
    map (name: "no data here makes ${name} fire") (without (map (case: case.alert) firing) alerts)
    ++ map (name: "there is no alert ${name}") (without alerts (map (case: case.alert) cases))
    ++ map (name: "${name} has no page docs/runbooks/${name}.md") (
      filter (name: !(elem "${name}.md" pages)) alerts
    )
    ++ map (page: "a panel links to ${page}, and docs/runbooks/ has no such page") (
      filter (page: !(elem page pages)) linked
    )
    ++ map (name: "docs/reference/metrics.md has no row for ${name}") (
      filter (name: !(isIn reference "[${name}](")) alerts
    )
    ++ map (page: "docs/runbooks/${page} is about no alert") (
      without (map (name: "${name}.md") alerts) pages
    );

  # The alert must be as the case says after so many minutes, an hour unless it needs more.
  minutes = case: case.minutes or 60;
  series =
    minutes: data:
    map (name: {
      series = name;
      values = builtins.replaceStrings [ "@" ] [ (toString minutes) ] data.${name};
    }) (filter (name: data.${name} != null) (attrNames data));
  expect = minutes: alert: fires: labels: {
    eval_time = "${toString minutes}m";
    alertname = alert;
    exp_alerts = map (severity: {
      exp_labels = labels // {
        inherit severity;
      };
      exp_annotations = {
        summary = fires.${severity};
        runbook_url = "${runbooks}/${alert}.md";
      };
    }) (attrNames fires);
  };
  test = minutes: case: {
    interval = "1m";
    input_series = series minutes (healthy // case.data);
    alert_rule_test = [
      (expect minutes case.alert (case.fires or { }) (case.labels or { }))
    ];
  };
  healthyDay = {
    interval = "1m";
    input_series = series 1440 healthy;
    alert_rule_test = concatMap (minutes: map (alert: expect minutes alert { } { }) alerts) [
      60
      1440
    ];
  };
  after = cases: others: {
    rule_files = [ "rules.json" ];
    # So that three days take seconds.
    evaluation_interval = "5m";
    tests = map (case: test (minutes case) case) cases ++ others;
  };
  # Those whose data is bad from the beginning: an alert that comes too late is none.
  soon = filter (case: !(case ? minutes)) firing;
in
if complaints != [ ] then
  throw (builtins.concatStringsSep "\n" complaints)
else
  {
    "rules.json" = rules;
    # In two halves, which take as long.
    "over-hours.json" = after (filter (case: case ? minutes) cases) [ ];
    "others.json" = after (filter (case: !(case ? minutes)) cases) [ healthyDay ];
    "panels.json".tests = [
      {
        interval = "30s";
        input_series = series 20 times;
        promql_expr_test = map expectPanel quantiles;
      }
    ];
    "soon.json" = {
      rule_files = [ "rules.json" ];
      evaluation_interval = "1m";
      tests = map (case: test (case.within or 5) case) soon;
    };
  }
