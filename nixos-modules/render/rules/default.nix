# The rule file of Prometheus: what is computed beforehand, and what raises an alert. Settings in, an attribute set out.
{
  # As in defaults.nix.
  slo,
  # URL of the folder of runbooks: an alert's page is `NAME.md` in it.
  runbooks,
  # How many gateways there are.
  gateways,
  # Whether the database is a cluster.
  clustered,
  # As prometheus.nix has them.
  backedUp,
  backupHours,
}:
let
  # "critical" is for at once, "warning" for the next working day.
  alert = name: severity: wait: expr: summary: {
    alert = name;
    inherit expr;
    for = wait;
    labels = { inherit severity; };
    annotations = {
      inherit summary;
      runbook_url = "${runbooks}/${name}.md";
    };
  };
  objectives = import ./slo.nix { inherit slo alert; };
in
{
  groups = [
    {
      name = "authstack";
      rules = import ./alerts.nix {
        inherit
          alert
          gateways
          clustered
          backedUp
          backupHours
          ;
      };
    }
    {
      name = "authstack-slo";
      rules = objectives.records ++ objectives.alerts;
    }
  ];
}
