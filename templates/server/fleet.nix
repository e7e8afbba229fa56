# What runs where. Used by the servers' configurations and by their tests.
{
  nodes = {
    auth1 = {
      address = "10.0.0.1";
      roles = [
        "core"
        "gateway"
      ];
    };
    auth2 = {
      address = "10.0.0.2";
      roles = [ "core" ];
    };
  };

  scenarios = [
    "login"
    "failover"
    "limits"
    "overload"
    "rotation"
  ];
}
