# The database's members, and etcd's: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
let
  ofTarget = job: node: { inherit job node; };
  ofMember = node: ofTarget "patroni" node // { scope = "authstack"; };
  degraded = "The database's member data3 is away, or lacks what was written a minute ago: the next fault may reach users";
  alone = "etcd on data3 is away, or cut off from the others: when more than half are, nobody can become the database's primary";
in
[
  {
    alert = "DatabaseWithoutPrimary";
    data.${member "primary" "data1"} = still 0;
    fires.critical = "No member of the database is its primary: nobody can log in";
  }
  {
    # What is lost with all of them.
    alert = "DatabaseWithoutPrimary";
    data = ofEach (node: {
      ${member "primary" node} = null;
    });
    fires.critical = "No member of the database is its primary: nobody can log in";
  }
  {
    # Another one takes over: that takes its time.
    alert = "DatabaseWithoutPrimary";
    data.${member "primary" "data1"} = "1x58 0x@";
    data.${member "primary" "data2"} = "0x59 1x@";
  }
  {
    alert = "DatabaseClusterDegraded";
    data.${up "patroni" "data3"} = still 0;
    labels = ofTarget "patroni" "data3";
    fires.warning = degraded;
  }
  {
    # With no other there, it is not one that is away.
    alert = "DatabaseClusterDegraded";
    data = ofEach (node: {
      ${up "patroni" node} = still 0;
    });
  }
  {
    # It has nothing to say where PostgreSQL does not run.
    alert = "DatabaseClusterDegraded";
    data.${member "xlog_received_location" "data3"} = still 0;
    labels = ofMember "data3";
    fires.warning = degraded;
  }
  {
    # Two minutes behind, and that is all.
    alert = "DatabaseClusterDegraded";
    data.${member "xlog_received_location" "data3"} = "1000000x2 1000000+100x@";
    labels = ofMember "data3";
    within = 7;
    fires.warning = degraded;
  }
  {
    # Half a minute of a busy service.
    alert = "DatabaseClusterDegraded";
    data.${member "xlog_location" "data1"} = "1000000+100000000x@";
    data.${member "xlog_received_location" "data2"} = "950000+100000000x@";
    data.${member "xlog_received_location" "data3"} = "1000000+100000000x@";
  }
  {
    alert = "NoSynchronousCopy";
    data.${member "sync_standby" "data2"} = still 0;
    fires.warning = "No copy of the database is synchronous: none takes over when the primary is lost";
  }
  {
    # Another alert tells.
    alert = "NoSynchronousCopy";
    data.${member "primary" "data1"} = still 0;
    data.${member "sync_standby" "data2"} = still 0;
  }
  {
    alert = "FailoverPaused";
    data = ofEach (node: {
      ${member "is_paused" node} = still 1;
    });
    within = 62;
    minutes = 120;
    fires.warning = "Patroni is paused, for an hour: no copy takes over when the primary is lost";
  }
  {
    # Somebody is at work.
    alert = "FailoverPaused";
    data = ofEach (node: {
      ${member "is_paused" node} = "0x20 1x@";
    });
  }
  {
    alert = "PostgresRestartPending";
    data.${member "pending_restart" "data2"} = still 1;
    within = 62;
    minutes = 120;
    labels = ofMember "data2";
    fires.warning = "PostgreSQL on data2 has settings that it takes up when it is started again";
  }
  {
    # Two of three are lost.
    alert = "EtcdWithoutLeader";
    data.${up "etcd" "data1"} = still 0;
    data.${up "etcd" "data2"} = still 0;
    data.${etcd "server_has_leader" "data1"} = null;
    data.${etcd "server_has_leader" "data2"} = null;
    data.${etcd "server_has_leader" "data3"} = still 0;
    fires.critical = "No member of etcd has a leader: nobody can become the database's primary";
  }
  {
    # There is another alert for it.
    alert = "EtcdWithoutLeader";
    data.${up "etcd" "data3"} = still 0;
    data.${etcd "server_has_leader" "data3"} = null;
  }
  {
    alert = "EtcdMemberDown";
    data.${up "etcd" "data3"} = still 0;
    data.${etcd "server_has_leader" "data3"} = null;
    labels = ofTarget "etcd" "data3";
    fires.warning = alone;
  }
  {
    # It answers Prometheus, and does not reach the others.
    alert = "EtcdMemberDown";
    data.${etcd "server_has_leader" "data3"} = still 0;
    labels = ofTarget "etcd" "data3";
    fires.warning = alone;
  }
  {
    # Another alert tells.
    alert = "EtcdMemberDown";
    data = ofEach (node: {
      ${etcd "server_has_leader" node} = still 0;
    });
  }
  {
    alert = "EtcdNearQuota";
    data.${etcd "mvcc_db_total_size_in_bytes" "data2"} = still 1800000000;
    within = 12;
    labels = ofTarget "etcd" "data2";
    fires.warning = "etcd on data2 has 83.82% of the space that it may take: when it is full, nobody can become the database's primary";
  }
  {
    # Of a hundred writes two take longer than half a second.
    alert = "EtcdDiskSlow";
    data.${wal "data2" "0.256"} = growing 196;
    data.${wal "data2" "0.512"} = growing 196;
    data.${wal "data2" "1.024"} = growing 200;
    within = 17;
    labels.node = "data2";
    fires.warning = "The disk of data2 takes 768ms to write what etcd decides";
  }
]
