# What happens to those who log in: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
let
  failing =
    share: "${share} of log-ins fail by the service's own fault: the error budget is spent too fast";
  slowed = share: "${share} of log-ins take longer than 2.5 s: the error budget is spent too fast";
in
[
  {
    alert = "HashQueueSaturated";
    data.${refused "auth1"} = growing 300;
    data.${hashes "auth1"} = growing 1200;
    labels.node = "auth1";
    fires.warning = "auth1 refuses 5 password hashes a second: the queue is full";
  }
  {
    alert = "HashQueueSaturated";
    data.${refused "auth1"} = growing 30;
  }
  {
    alert = "BruteForceWave";
    data.${logIns "auth1" "invalid_credentials"} = growing 6000;
    fires.warning = "100 log-ins a second have a wrong password, many more than succeed";
  }
  {
    # Many people, some of whom mistype.
    alert = "BruteForceWave";
    data.${logIns "auth1" "ok"} = growing 6000;
    data.${logIns "auth1" "invalid_credentials"} = growing 900;
  }
  {
    # A quiet service, on which some people mistype.
    alert = "BruteForceWave";
    data.${logIns "auth1" "ok"} = growing 5;
  }
  # 2 % for the last of eleven hours, of which six hours see a third; Prometheus knows of no others.
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "internal"} = from 600 0 21;
    minutes = 660;
    fires.critical = failing "1.813%";
    fires.warning = failing "0.1815%";
  }
  # The same at its beginning, and soon after its end.
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "internal"} = from 600 0 21;
    minutes = 630;
  }
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "internal"} = "0x600 21+21x60 1281x@";
    minutes = 675;
    fires.warning = failing "0.1804%";
  }
  # 0.8 % for six hours.
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "overloaded"} = growing 8;
    minutes = 420;
    fires.critical = failing "0.7561%";
    fires.warning = failing "0.7561%";
  }
  # 0.4 %, and 0.15 %, for all that Prometheus knows of.
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "unavailable"} = growing 4;
    minutes = 420;
    fires.warning = failing "0.3795%";
  }
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "unavailable"} = growing "1.5";
    minutes = 420;
    fires.warning = failing "0.1427%";
  }
  # What the gateway says in the place of a node, and not what a node says by 5xx, which is in its own count.
  {
    alert = "LogInErrorBudgetBurn";
    data.${answers "5xx"} = from 600 0 200;
    data.${answered "5xx"} = from 600 0 100;
    minutes = 630;
    fires.critical = failing "2.206%";
    fires.warning = failing "0.237%";
  }
  {
    alert = "LogInErrorBudgetBurn";
    data.${answers "5xx"} = growing 200;
    data.${answered "5xx"} = growing 200;
  }
  # Too few to tell anybody: seven of eight, at night.
  {
    alert = "LogInErrorBudgetBurn";
    data.${logIns "auth1" "ok"} = "0x600 1x@";
    data.${logIns "auth1" "invalid_credentials"} = still 0;
    data.${logIns "auth1" "internal"} = "0x600 7x@";
    minutes = 605;
  }
  # A quarter takes too long.
  {
    alert = "LogInLatencyBudgetBurn";
    data.${slow "2.5"} = from 600 1050 787;
    minutes = 660;
    fires.critical = slowed "23.12%";
    fires.warning = slowed "2.277%";
  }
]
