# Every query of every dashboard, as Prometheus takes it: [ { panel = "DASHBOARD: PANEL"; expr; } … ]. Tests ask a running
# Prometheus. Builtins only.
let
  inherit (builtins) attrValues concatMap map;
  dashboards = import ../dashboards { inherit ((import ../defaults.nix).monitoring) runbooks slo; };
  # What Grafana would put in.
  filled = builtins.replaceStrings [ "$__rate_interval" "$node" ] [ "1m" ".*" ];
in
concatMap (
  dashboard:
  concatMap (
    panel:
    map (target: {
      panel = "${dashboard.title}: ${panel.title}";
      expr = filled target.expr;
    }) panel.targets
  ) dashboard.panels
) (attrValues dashboards)
