# Alertmanager: who hears of an alert. Settings in, alertmanager.yml as an attribute set out.
{
  # Receivers in Alertmanager's own notation; the first hears of every alert.
  receivers,
  # How long alerts that belong together are collected before the first notice.
  groupWait ? (import ./defaults.nix).monitoring.groupWait,
  # How long it takes at least until news of them, such as their end, follow.
  groupInterval ? (import ./defaults.nix).monitoring.groupInterval,
}:
{
  route = {
    receiver = (builtins.head receivers).name;
    group_by = [ "alertname" ];
    group_wait = groupWait;
    group_interval = groupInterval;
  };
  inherit receivers;
}
