# Grafana: its data source. Settings in, a provisioning file as an attribute set out.
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
}
