# The gateways and their nodes: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
[
  {
    alert = "NodeOutOfRotation";
    data.${server "gate1" "auth2" "UP"} = still 0;
    data.${server "gate1" "auth2" "DOWN"} = still 1;
    labels = {
      job = "gateway";
      node = "gate1";
      proxy = "auth-core";
      server = "auth2";
      state = "UP";
    };
    fires.warning = "The gateway gate1 sends nothing to auth2: its health check fails";
  }
  {
    alert = "NoNodeLeft";
    data.${inRotation "gate2"} = still 0;
    labels = {
      job = "gateway";
      node = "gate2";
      proxy = "auth-core";
    };
    fires.critical = "The gateway gate2 has no auth-core node in rotation: every request is refused";
  }
  {
    alert = "NoGatewayLeft";
    data.${up "gateway" "gate1"} = still 0;
    data.${up "gateway" "gate2"} = still 0;
    fires.critical = "No gateway answers: nobody reaches the service";
  }
  {
    alert = "GatewayPairDegraded";
    data.${up "gateway" "gate2"} = still 0;
    data.${peers "gate1"} = still 0;
    data.${peers "gate2"} = null;
    labels = {
      job = "gateway";
      node = "gate2";
    };
    fires.warning = "The gateway gate2 is away or alone: the next fault may reach users";
  }
  {
    alert = "GatewayPairDegraded";
    data.${peers "gate1"} = still 0;
    labels = {
      job = "gateway";
      node = "gate1";
    };
    fires.warning = "The gateway gate1 is away or alone: the next fault may reach users";
  }
]
