# Programs under the names that Debian gives them, by which ./dev and lab know them.
{
  lib,
  linkFarm,
  prometheus-alertmanager,
  prometheus-node-exporter,
  prometheus-postgres-exporter,
}:
linkFarm "debian-names" {
  "bin/prometheus-alertmanager" = lib.getExe' prometheus-alertmanager "alertmanager";
  "bin/prometheus-node-exporter" = lib.getExe' prometheus-node-exporter "node_exporter";
  "bin/prometheus-postgres-exporter" = lib.getExe' prometheus-postgres-exporter "postgres_exporter";
}
