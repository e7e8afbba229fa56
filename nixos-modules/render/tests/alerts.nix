# Tests of the alerts for `promtool test rules`: data on which each fires, data on which none does, and that each has its page.
# Answers { "FILE" = CONTENT; }. Builtins only.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    map
    ;
  defaults = import ../defaults.nix;
  runbooks = "https://runbooks.example";
  members = [
    "data1"
    "data2"
    "data3"
  ];
  rules =
    (import ../prometheus.nix {
      targets.gateway = [
        {
          name = "gate1";
          address = "10.0.0.11:8404";
        }
        {
          name = "gate2";
          address = "10.0.0.12:8404";
        }
      ];
      targets.patroni = map (name: {
        inherit name;
        address = "${name}:8008";
      }) members;
      inherit (defaults.monitoring) scrapeInterval slo;
      inherit runbooks;
      backedUp = [
        "data"
        "watch"
      ];
    }).rules;

  # --- data: a sample each minute. "0+60x9" is ten samples, from 0 on, 60 more each; "@" is as many as needed ---------------------------------

  still = value: "${toString value}x@";
  growing = perMinute: "0+${toString perMinute}x@";
  # `before` a minute until the minute `from`, then `after`.
  from =
    minute: before: after:
    "0+${toString before}x${toString minute} ${toString (before * minute + after)}+${toString after}x@";

  logIns =
    node: outcome:
    ''auth_requests_total{job="auth-core",node="${node}",operation="logIn",outcome="${outcome}"}'';
  slow =
    le: ''auth_request_seconds_bucket{job="auth-core",node="auth1",operation="logIn",le="${le}"}'';
  timed = ''auth_request_seconds_count{job="auth-core",node="auth1",operation="logIn"}'';
  server =
    gateway: node: state:
    ''haproxy_server_status{job="gateway",node="${gateway}",proxy="auth-core",server="${node}",state="${state}"}'';
  inRotation =
    gateway: ''haproxy_backend_active_servers{job="gateway",node="${gateway}",proxy="auth-core"}'';
  answers =
    code:
    ''haproxy_backend_http_responses_total{job="gateway",node="gate1",proxy="auth-core",code="${code}"}'';
  answered =
    code:
    ''haproxy_server_http_responses_total{job="gateway",node="gate1",proxy="auth-core",server="auth1",code="${code}"}'';
  peers = gateway: ''haproxy_process_active_peers{job="gateway",node="${gateway}"}'';
  postgres = metric: ''${metric}{job="postgres-exporter",node="data"}'';
  backends =
    database:
    ''pg_stat_database_numbackends{job="postgres-exporter",node="data",datname="${database}"}'';
  probed = step: ''auth_probe_success{job="probe",node="watch",step="${step}"}'';
  expires = ''auth_probe_certificate_expires_timestamp_seconds{job="probe",node="watch"}'';
  up = job: node: ''up{job="${job}",node="${node}"}'';
  refused = node: ''auth_hashes_refused_total{job="auth-core",node="${node}"}'';
  hashes = node: ''auth_hashes_total{job="auth-core",node="${node}"}'';
  connections = node: ''auth_database_connections{job="auth-core",node="${node}",state="used"}'';
  host = metric: ''${metric}{job="node-exporter",node="watch"}'';
  disk =
    metric: mountpoint: fstype:
    ''${metric}{job="node-exporter",node="watch",mountpoint="${mountpoint}",fstype="${fstype}"}'';
  backup = host "auth_backup_last_success_timestamp_seconds";
  unit =
    name: ''node_systemd_unit_state{job="node-exporter",node="watch",name="${name}",state="failed"}'';
  upload =
    state:
    ''node_systemd_unit_state{job="node-exporter",node="watch",name="systemd-journal-upload.service",state="${state}"}'';
  restarts = ''node_systemd_service_restart_total{job="node-exporter",node="watch",name="systemd-journal-upload.service"}'';
  dropped =
    what: ''zipkin_collector_${what}_dropped_total{job="zipkin",node="watch",transport="http"}'';

  # Of a member of the database, and of etcd on the same host.
  member = metric: node: ''patroni_${metric}{job="patroni",node="${node}",scope="authstack"}'';
  etcd = metric: node: ''etcd_${metric}{job="etcd",node="${node}"}'';
  wal =
    node: le: ''etcd_disk_wal_fsync_duration_seconds_bucket{job="etcd",node="${node}",le="${le}"}'';
  ofEach = series: builtins.foldl' (all: node: all // series node) { } members;
  # data1 is the primary, and data2 has each write when it is acknowledged. As much is written as a quiet service writes.
  wellClustered = ofEach (node: {
    ${up "patroni" node} = still 1;
    ${member "primary" node} = still (if node == "data1" then 1 else 0);
    ${member "sync_standby" node} = still (if node == "data2" then 1 else 0);
    ${member "xlog_location" node} = if node == "data1" then "1000000+100x@" else still 0;
    ${member "xlog_received_location" node} = if node == "data1" then still 0 else "1000000+100x@";
    ${member "is_paused" node} = still 0;
    ${member "pending_restart" node} = still 0;
    ${up "etcd" node} = still 1;
    ${etcd "server_has_leader" node} = still 1;
    ${etcd "mvcc_db_total_size_in_bytes" node} = still 1600000000;
    ${etcd "server_quota_backend_bytes" node} = still 2147483648;
    ${wal node "0.256"} = growing 199;
    ${wal node "0.512"} = growing 200;
    ${wal node "+Inf"} = growing 200;
  });

  # Every log-in counts 6 s⁻¹ as a good one, in time; some have a wrong password.
  healthy = wellClustered // {
    ${up "auth-core" "auth1"} = still 1;
    ${up "auth-core" "auth2"} = still 1;
    ${up "gateway" "gate1"} = still 1;
    ${up "gateway" "gate2"} = still 1;
    ${up "node-exporter" "watch"} = still 1;
    ${up "probe" "watch"} = still 1;
    ${probed "certificate"} = still 1;
    ${probed "answer"} = still 1;
    ${probed "log_in"} = still 1;
    # promtool begins in 1970. 16 days, of which one passes.
    ${expires} = still 1382400;
    ${logIns "auth1" "ok"} = growing 1000;
    ${logIns "auth1" "invalid_credentials"} = growing 50;
    ${logIns "auth1" "overloaded"} = still 0;
    ${logIns "auth1" "internal"} = still 0;
    ${logIns "auth1" "unavailable"} = still 0;
    ${slow "1"} = growing 1000;
    ${slow "2.5"} = growing 1050;
    ${timed} = growing 1050;
    ${server "gate1" "auth1" "UP"} = still 1;
    ${server "gate1" "auth2" "UP"} = still 1;
    ${server "gate1" "auth2" "DOWN"} = still 0;
    ${inRotation "gate1"} = still 2;
    ${inRotation "gate2"} = still 2;
    ${answers "2xx"} = growing 2000;
    ${answers "5xx"} = still 0;
    ${answered "5xx"} = still 0;
    ${peers "gate1"} = still 1;
    ${peers "gate2"} = still 1;
    ${refused "auth1"} = still 0;
    ${hashes "auth1"} = growing 1050;
    ${connections "auth1"} = still 9;
    "auth_database_connections_max{job=\"auth-core\",node=\"auth1\"}" = still 10;
    ${up "postgres-exporter" "data"} = still 1;
    ${postgres "pg_up"} = still 1;
    ${postgres "pg_settings_max_connections"} = still 100;
    ${postgres "pg_settings_superuser_reserved_connections"} = still 3;
    ${backends "auth-core"} = still 30;
    ${backends "postgres"} = still 1;
    ${disk "node_filesystem_avail_bytes" "/" "ext4"} = still 50;
    ${disk "node_filesystem_size_bytes" "/" "ext4"} = still 100;
    ${disk "node_filesystem_readonly" "/" "ext4"} = still 0;
    # Full, and nobody's concern.
    ${disk "node_filesystem_avail_bytes" "/run" "tmpfs"} = still 0;
    ${disk "node_filesystem_size_bytes" "/run" "tmpfs"} = still 100;
    ${disk "node_filesystem_readonly" "/run" "tmpfs"} = still 0;
    ${disk "node_filesystem_avail_bytes" "/image" "squashfs"} = still 0;
    ${disk "node_filesystem_size_bytes" "/image" "squashfs"} = still 100;
    ${disk "node_filesystem_readonly" "/image" "squashfs"} = still 1;
    # Made in the beginning, and one day has passed in the end.
    ${backup} = still 0;
    ${host "node_time_seconds"} = growing 60;
    ${host "node_timex_sync_status"} = still 1;
    ${host "node_timex_maxerror_seconds"} = still "0.1";
    ${unit "haproxy.service"} = still 0;
    ${unit "somebody-elses.service"} = still 1;
    # Once upon a time.
    ${restarts} = still 20;
    ${upload "active"} = still 1;
    ${upload "activating"} = still 0;
    ${upload "inactive"} = still 0;
    ${upload "failed"} = still 0;
    ${dropped "spans"} = still 0;
    ${dropped "messages"} = still 0;
  };

  # --- what must fire on which data, `within` so many minutes. A case without `fires` must not fire ---------------------

  degraded = "The database's member data3 is away, or lacks what was written a minute ago: the next fault may reach users";
  alone = "etcd on data3 is away, or cut off from the others: when more than half are, nobody can become the database's primary";
  failing =
    share: "${share} of log-ins fail by the service's own fault: the error budget is spent too fast";
  slowed = share: "${share} of log-ins take longer than 2.5 s: the error budget is spent too fast";
  cases = [
    {
      alert = "TargetDown";
      data.${up "auth-core" "auth2"} = still 0;
      labels = {
        job = "auth-core";
        node = "auth2";
      };
      fires.warning = "auth-core on auth2 does not answer its scrapes";
    }
    {
      alert = "TargetDown";
      data.${postgres "pg_up"} = still 0;
      labels = {
        job = "postgres-exporter";
        node = "data";
      };
      fires.warning = "postgres-exporter on data does not answer its scrapes";
    }
    {
      alert = "PrometheusNotScraping";
      data.${up "auth-core" "auth1"} = still 0;
      data.${up "auth-core" "auth2"} = still 0;
      data.${up "gateway" "gate1"} = still 0;
      data.${up "gateway" "gate2"} = still 0;
      data.${up "patroni" "data1"} = still 0;
      data.${up "patroni" "data2"} = still 0;
      data.${up "patroni" "data3"} = still 0;
      fires.critical = "Prometheus reaches only 46.15% of its targets: whatever else is wrong, it may not know";
    }
    {
      alert = "PublicNameDown";
      data.${probed "answer"} = still 0;
      labels.node = "watch";
      fires.critical = "As watch sees it, clients get no answer at the public name, or no valid certificate";
    }
    {
      alert = "PublicNameDown";
      data.${probed "certificate"} = still 0;
      labels.node = "watch";
      fires.critical = "As watch sees it, clients get no answer at the public name, or no valid certificate";
    }
    {
      # There is another alert for it.
      alert = "PublicNameDown";
      data.${probed "log_in"} = still 0;
    }
    {
      alert = "CanaryLogInFails";
      data.${probed "log_in"} = still 0;
      labels = {
        job = "probe";
        node = "watch";
        step = "log_in";
      };
      fires.critical = "As watch sees it, the public name answers and the canary cannot log in";
    }
    {
      # Nothing answers: there is another alert for it.
      alert = "CanaryLogInFails";
      data.${probed "answer"} = still 0;
      data.${probed "log_in"} = still 0;
    }
    {
      alert = "CertificateExpiring";
      # 14 days less twenty minutes, an hour later.
      data.${expires} = still 1212000;
      within = 60;
      labels = {
        job = "probe";
        node = "watch";
      };
      fires.warning = "The certificate of the public name expires in 13d 23h 40m 0s";
    }
    {
      # A minute more than that.
      alert = "CertificateExpiring";
      data.${expires} = still 1213260;
    }
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
    {
      alert = "DiskFilling";
      data.${disk "node_filesystem_avail_bytes" "/" "ext4"} = still 8;
      within = 10;
      labels = {
        fstype = "ext4";
        job = "node-exporter";
        mountpoint = "/";
        node = "watch";
      };
      fires.warning = "/ of watch has 8% of its space left";
    }
    {
      # At 30 of 100, and full in ten hours.
      alert = "DiskFilling";
      data.${disk "node_filesystem_avail_bytes" "/" "ext4"} = "45-0.05x@";
      minutes = 300;
      labels = {
        fstype = "ext4";
        job = "node-exporter";
        mountpoint = "/";
        node = "watch";
      };
      fires.warning = "/ of watch has 30% of its space left";
    }
    {
      # Thirty hours old in the beginning.
      alert = "BackupTooOld";
      data.${backup} = still "-108000";
      minutes = 130;
      labels = {
        job = "node-exporter";
        node = "watch";
      };
      fires.warning = "The newest backup of watch is older than 30 h, or there is none";
    }
    {
      alert = "BackupTooOld";
      data.${backup} = still "-100000";
      minutes = 130;
    }
    {
      alert = "BackupTooOld";
      data.${backup} = null;
      minutes = 130;
      labels = {
        job = "node-exporter";
        node = "watch";
      };
      fires.warning = "The newest backup of watch is older than 30 h, or there is none";
    }
    {
      # Nobody knows what is on a host that does not answer; there is another alert for it.
      alert = "BackupTooOld";
      data.${backup} = null;
      data.${up "node-exporter" "watch"} = still 0;
      minutes = 130;
    }
    {
      # Another host has one, which is none of this one's.
      alert = "BackupTooOld";
      data.${backup} = null;
      data."auth_backup_last_success_timestamp_seconds{job=\"node-exporter\",node=\"data\"}" = still 0;
      minutes = 130;
      labels = {
        job = "node-exporter";
        node = "watch";
      };
      fires.warning = "The newest backup of watch is older than 30 h, or there is none";
    }
    {
      alert = "ClockSkew";
      data.${host "node_time_seconds"} = "9+60x@";
      within = 10;
      labels = {
        job = "node-exporter";
        node = "watch";
      };
      fires.warning = "The clock of watch is wrong, or nothing keeps it right";
    }
    {
      alert = "ClockSkew";
      data.${host "node_timex_sync_status"} = still 0;
      data.${host "node_timex_maxerror_seconds"} = still 16;
      within = 10;
      labels = {
        job = "node-exporter";
        node = "watch";
      };
      fires.warning = "The clock of watch is wrong, or nothing keeps it right";
    }
    {
      alert = "UnitFailed";
      data.${unit "acme-order-renew-auth.example.org.service"} = still 1;
      labels = {
        job = "node-exporter";
        node = "watch";
        name = "acme-order-renew-auth.example.org.service";
        state = "failed";
      };
      fires.warning = "acme-order-renew-auth.example.org.service has failed on watch";
    }
    {
      alert = "UnitFailed";
      data.${unit "patroni.service"} = still 1;
      labels = {
        job = "node-exporter";
        node = "watch";
        name = "patroni.service";
        state = "failed";
      };
      fires.warning = "patroni.service has failed on watch";
    }
    {
      alert = "LogsNotSent";
      data.${restarts} = growing 15;
      within = 17;
      data.${upload "active"} = still 0;
      data.${upload "activating"} = still 1;
      labels = {
        job = "node-exporter";
        name = "systemd-journal-upload.service";
        node = "watch";
      };
      fires.warning = "watch cannot send its logs to the monitor, and keeps them";
    }
    {
      # Which is why there is an alert of its own.
      alert = "UnitFailed";
      data.${restarts} = growing 15;
      data.${upload "active"} = still 0;
      data.${upload "activating"} = still 1;
    }
    {
      alert = "LogsNotSent";
      data.${upload "active"} = still 0;
      within = 17;
      data.${upload "inactive"} = still 1;
      labels = {
        job = "node-exporter";
        name = "systemd-journal-upload.service";
        node = "watch";
        state = "inactive";
      };
      fires.warning = "watch cannot send its logs to the monitor, and keeps them";
    }
    {
      # The monitor is being started again.
      alert = "LogsNotSent";
      data.${restarts} = "0x46 15+15x@";
    }
    {
      alert = "ZipkinDropsSpans";
      data.${dropped "spans"} = growing 1;
      labels.node = "watch";
      fires.warning = "Zipkin on watch drops what it gets: traces have gaps";
    }
    {
      alert = "SpansLost";
      data.${''auth_spans_dropped_total{job="auth-core",node="auth1",reason="export_failed"}''} =
        growing 60;
      within = 7;
      labels = {
        node = "auth1";
        reason = "export_failed";
      };
      fires.warning = "Spans of auth1 do not reach Zipkin (export_failed): traces have gaps";
    }
    {
      alert = "SpansLost";
      data.${''auth_spans_dropped_total{job="auth-core",node="auth1",reason="export_failed"}''} =
        still 60;
    }

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
      labels = {
        job = "patroni";
        node = "data3";
      };
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
      labels = {
        job = "patroni";
        node = "data3";
        scope = "authstack";
      };
      fires.warning = degraded;
    }
    {
      # Two minutes behind, and that is all.
      alert = "DatabaseClusterDegraded";
      data.${member "xlog_received_location" "data3"} = "1000000x2 1000000+100x@";
      labels = {
        job = "patroni";
        node = "data3";
        scope = "authstack";
      };
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
      labels = {
        job = "patroni";
        node = "data2";
        scope = "authstack";
      };
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
      labels = {
        job = "etcd";
        node = "data3";
      };
      fires.warning = alone;
    }
    {
      # It answers Prometheus, and does not reach the others.
      alert = "EtcdMemberDown";
      data.${etcd "server_has_leader" "data3"} = still 0;
      labels = {
        job = "etcd";
        node = "data3";
      };
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
      labels = {
        job = "etcd";
        node = "data2";
      };
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
  ];

  # --- what panels must show -----------------------------------------------------------------------------------------

  # Of 100 requests 60 take up to 0.1 s, and one takes more than 1 s: a panel that says half, or 99 of 100, must see that.
  took = metric: labels: le: perMinute: {
    name = ''${metric}_bucket{job="auth-core",node="auth1"${labels},le="${le}"}'';
    value = growing perMinute;
  };
  times = builtins.listToAttrs (
    concatMap
      (of: [
        (of "0.1" 60)
        (of "1" 98)
        (of "2.5" 99)
        (of "+Inf" 100)
      ])
      [
        (took "auth_hash_seconds" "")
        (took "auth_hash_queue_seconds" "")
        (took "auth_request_seconds" '',operation="logIn"'')
        (took "auth_request_seconds" '',operation="me"'')
        (took "etcd_disk_wal_fsync_duration_seconds" "")
      ]
  );
  quantiles = filter (query: isIn query.expr "histogram_quantile") (
    import ./queries.nix { clustered = true; }
  );
  expectPanel = query: {
    expr =
      if query.legend == "half" then "max(${query.expr}) <= bool 0.1" else "min(${query.expr}) > bool 1";
    eval_time = "10m";
    exp_samples = [
      {
        labels = "{}";
        value = 1;
      }
    ];
  };

  # --- the files ------------------------------------------------------------------------------------------------------

  alerts = concatMap (
    group: map (rule: rule.alert) (filter (rule: rule ? alert) group.rules)
  ) rules.groups;
  firing = filter (case: case ? fires) cases;
  pages = attrNames (builtins.readDir ../../../docs/runbooks);
  panels = concatMap (dashboard: dashboard.panels) (
    builtins.attrValues (
      import ../dashboards {
        inherit (defaults.monitoring) runbooks slo;
        clustered = true;
      }
    )
  );
  linked = concatMap (panel: map (link: baseNameOf link.url) panel.links) panels;
  reference = builtins.readFile ../../../docs/reference/metrics.md;
  isIn = text: part: builtins.replaceStrings [ part ] [ "" ] text != text;
  without = names: filter (name: !(elem name names));
  complaints =
    map (name: "no data here makes ${name} fire") (without (map (case: case.alert) firing) alerts)
    ++ map (name: "there is no alert ${name}") (without alerts (map (case: case.alert) cases))
    ++ map (name: "${name} has no page docs/runbooks/${name}.md") (
      filter (name: !(elem "${name}.md" pages)) alerts
    )
    ++ map (page: "a panel links to ${page}, and docs/runbooks/ has no such page") (
      filter (page: !(elem page pages)) linked
    )
    ++ map (name: "docs/reference/metrics.md has no row for ${name}") (
      filter (name: !(isIn reference "[${name}](")) alerts
    )
    ++ map (page: "docs/runbooks/${page} is about no alert") (
      without (map (name: "${name}.md") alerts) pages
    );

  # The alert must be as the case says after so many minutes, an hour unless it needs more.
  minutes = case: case.minutes or 60;
  series =
    minutes: data:
    map (name: {
      series = name;
      values = builtins.replaceStrings [ "@" ] [ (toString minutes) ] data.${name};
    }) (filter (name: data.${name} != null) (attrNames data));
  expect = minutes: alert: fires: labels: {
    eval_time = "${toString minutes}m";
    alertname = alert;
    exp_alerts = map (severity: {
      exp_labels = labels // {
        inherit severity;
      };
      exp_annotations = {
        summary = fires.${severity};
        runbook_url = "${runbooks}/${alert}.md";
      };
    }) (attrNames fires);
  };
  test = minutes: case: {
    interval = "1m";
    input_series = series minutes (healthy // case.data);
    alert_rule_test = [
      (expect minutes case.alert (case.fires or { }) (case.labels or { }))
    ];
  };
  # Those whose data is bad from the beginning: an alert that comes too late is none.
  soon = filter (case: !(case ? minutes)) firing;
in
if complaints != [ ] then
  throw (builtins.concatStringsSep "\n" complaints)
else
  {
    "rules.json" = rules;
    "tests.json" = {
      rule_files = [ "rules.json" ];
      # So that three days take seconds.
      evaluation_interval = "5m";
      tests = map (case: test (minutes case) case) cases ++ [
        {
          interval = "1m";
          input_series = series 1440 healthy;
          alert_rule_test = concatMap (minutes: map (alert: expect minutes alert { } { }) alerts) [
            60
            1440
          ];
        }
      ];
    };
    "panels.json".tests = [
      {
        interval = "30s";
        input_series = series 20 times;
        promql_expr_test = map expectPanel quantiles;
      }
    ];
    "soon.json" = {
      rule_files = [ "rules.json" ];
      evaluation_interval = "1m";
      tests = map (case: test (case.within or 5) case) soon;
    };
  }
