# Grafana: its settings, its data source and its dashboards. Settings in, attribute sets out.
{
  # URL of Prometheus, as Grafana reaches it.
  prometheusUrl,
  # Path of the folder with the dashboards.
  folder,
  # Of dashboards/default.nix: the objectives of log-ins, and where the runbooks are, and whether the database is a cluster.
  slo,
  runbooks,
  clustered ? false,
}:
{
  # Sections of grafana.ini: it tells nobody that it runs.
  settings.analytics = {
    reporting_enabled = false;
    check_for_updates = false;
  };

  # Provisioning files.
  datasources = {
    apiVersion = 1;
    datasources = [
      {
        name = "Prometheus";
        # Fixed from the first day: a data source that is given a uid later is not found again.
        uid = "prometheus";
        type = "prometheus";
        access = "proxy";
        url = prometheusUrl;
        isDefault = true;
      }
    ];
  };
  providers = {
    apiVersion = 1;
    providers = [
      {
        name = "authstack";
        options.path = folder;
      }
    ];
  };

  # What is in the folder.
  dashboards = import ./dashboards { inherit slo runbooks clustered; };
}
