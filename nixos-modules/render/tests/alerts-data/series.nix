# Series of data for promtool, and those of a fleet on which nothing must fire.
rec {
  members = [
    "data1"
    "data2"
    "data3"
  ];

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

}
