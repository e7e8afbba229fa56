# Grafana's dashboards: { "FILE" = DASHBOARD; }, attribute sets in Grafana's own notation.
{
  # As in ../defaults.nix.
  slo,
  # URL of the folder of runbooks.
  runbooks,
  # Whether the database is a cluster, of Patroni and etcd.
  clustered,
}:
let
  panels = import ./panels.nix { inherit runbooks; };
in
{
  "overview.json" = import ./overview.nix { inherit panels slo; };
  "auth.json" = import ./auth.nix { inherit panels; };
  "gateway.json" = import ./gateway.nix { inherit panels; };
  "hosts.json" = import ./hosts.nix { inherit panels; };
  "database.json" = import ./database.nix { inherit panels clustered; };
}
