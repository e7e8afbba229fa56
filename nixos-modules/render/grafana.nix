# Grafana: its data source and its dashboards. Settings in, provisioning files as attribute sets out.
{
  # URL of Prometheus, as Grafana reaches it.
  prometheusUrl,
}:
{
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

  dashboards."authstack.json" = import ./dashboard.nix;
}
