# The database, as the cores and its exporter see it: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
[
  {
    alert = "DatabaseDown";
    data.${server "gate1" "auth1" "UP"} = still 0;
    data.${server "gate1" "auth2" "UP"} = still 0;
    fires.critical = "2 auth-core nodes run and none is ready: the database does not answer them";
  }
  {
    # There is another alert where the nodes are away.
    alert = "DatabaseDown";
    data.${server "gate1" "auth1" "UP"} = still 0;
    data.${server "gate1" "auth2" "UP"} = still 0;
    data.${up "auth-core" "auth1"} = still 0;
    data.${up "auth-core" "auth2"} = still 0;
  }
  {
    alert = "DatabaseConnectionsExhausted";
    data.${connections "auth1"} = still 10;
    labels.node = "auth1";
    fires.warning = "auth1 uses all its 10 connections to the database: requests wait for one";
  }
  {
    # Each database has few of them, and all together have too many.
    alert = "PostgresConnectionsNearMax";
    data.${backends "auth-core"} = still 50;
    data.${backends "postgres"} = still 47;
    labels.node = "data";
    fires.warning = "PostgreSQL on data has 100% of its connections taken: it will refuse the next";
  }
  {
    alert = "PostgresConnectionsNearMax";
    data.${backends "auth-core"} = still 80;
  }
]
