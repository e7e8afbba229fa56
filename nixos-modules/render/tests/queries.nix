# Every query of every dashboard, of a fleet whose database is a cluster or not, as Prometheus takes it: [ { panel = "DASHBOARD: PANEL"; legend; expr; } … ]. Tests ask a running
# Prometheus. Builtins only.
{ clustered }:
let
  inherit (builtins) attrValues concatMap map;
  dashboards = import ../dashboards {
    inherit ((import ../defaults.nix).monitoring) runbooks slo;
    inherit clustered;
  };
  # What Grafana would put in.
  filled = builtins.replaceStrings [ "$__rate_interval" "$node" ] [ "1m" ".*" ];
in
concatMap (
  dashboard:
  map (annotation: {
    panel = "${dashboard.title}: annotation: ${annotation.name}";
    legend = annotation.titleFormat;
    expr = annotation.target.expr;
  }) dashboard.annotations.list
  ++ concatMap (
    panel:
    map (target: {
      panel = "${dashboard.title}: ${panel.title}";
      legend = target.legendFormat or "";
      expr = filled target.expr;
    }) panel.targets
  ) dashboard.panels
) (attrValues dashboards)
