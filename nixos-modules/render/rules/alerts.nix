# What somebody must hear of, beside the objectives of slo.nix. Each has a page in docs/runbooks/.
{
  # NAME: SEVERITY: FOR: EXPR: SUMMARY: a rule.
  alert,
  # How many gateways there are.
  gateways,
  # Whether the database is a cluster, of Patroni and etcd.
  clustered,
  # Names of the hosts that make backups, and how old their newest may be, in hours.
  backedUp,
  backupHours,
}:
let
  nodes = state: ''haproxy_server_status{proxy="auth-core",state="${state}"}'';
  logIns = outcomes: ''sum(rate(auth_requests_total{operation="logIn",outcome=~"${outcomes}"}[5m]))'';
  wrong = logIns "invalid_credentials|rate_limited";
  refused = "sum by (node) (rate(auth_hashes_refused_total[5m]))";
  # What is in memory, or cannot be written, does not fill.
  free = ''(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} / node_filesystem_size_bytes and node_filesystem_readonly == 0)'';
  backup = "auth_backup_last_success_timestamp_seconds";
  hasBackups = ''up{job="node-exporter",node=~"${builtins.concatStringsSep "|" backedUp}"} == 1'';
  # Of what a copy has, and not of whether it is streaming, which Patroni 3.0 does not tell: one that is not lacks what is written next.
  behind = "patroni_primary == 0 and patroni_xlog_received_location < scalar(max(patroni_xlog_location offset 1m))";
  upload = ''name="systemd-journal-upload.service"'';
  # systemd's names of what the fleet's hosts run of ours, and of what renews certificates.
  units = "(acme-|alertmanager|auth|etcd|grafana|haproxy|keepalived|patroni|pgbouncer|postgresql|prometheus|systemd-journal-remote|zipkin).*";
in
[
  # An exporter answers, too, when PostgreSQL does not let it in.
  (alert "TargetDown" "warning" "30s" "up == 0 or pg_up == 0"
    "{{ $labels.job }} on {{ $labels.node }} does not answer its scrapes"
  )
  (alert "PrometheusNotScraping" "critical" "1m" "avg(up) < 0.5"
    "Prometheus reaches only {{ $value | humanizePercentage }} of its targets: whatever else is wrong, it may not know"
  )

  # What clients see, from outside of all that follows.
  (alert "PublicNameDown" "critical" "3m"
    ''min by (node) (auth_probe_success{step=~"certificate|answer"}) == 0''
    "As {{ $labels.node }} sees it, clients get no answer at the public name, or no valid certificate"
  )
  (alert "CanaryLogInFails" "critical" "5m"
    ''auth_probe_success{step="log_in"} == 0 and on (node) auth_probe_success{step="answer"} == 1''
    "As {{ $labels.node }} sees it, the public name answers and the canary cannot log in"
  )
  # Two weeks. One of Let's Encrypt is renewed when it has four left.
  (alert "CertificateExpiring" "warning" "10m"
    "auth_probe_certificate_expires_timestamp_seconds - time() < 14 * 86400"
    "The certificate of the public name expires in {{ $value | humanizeDuration }}"
  )

  (alert "NodeOutOfRotation" "warning" "20s" "${nodes "UP"} == 0"
    "The gateway {{ $labels.node }} sends nothing to {{ $labels.server }}: its health check fails"
  )
  (alert "NoNodeLeft" "critical" "5s" ''haproxy_backend_active_servers{proxy="auth-core"} == 0''
    "The gateway {{ $labels.node }} has no auth-core node in rotation: every request is refused"
  )
  (alert "NoGatewayLeft" "critical" "30s" ''sum(up{job="gateway"}) == 0''
    "No gateway answers: nobody reaches the service"
  )
  (alert "DatabaseDown" "critical" "20s" ''sum(up{job="auth-core"}) > 0 and sum(${nodes "UP"}) == 0''
    "{{ $value }} auth-core nodes run and none is ready: the database does not answer them"
  )
  (alert "DatabaseConnectionsExhausted" "warning" "2m"
    ''sum by (node) (auth_database_connections{state="used"}) >= sum by (node) (auth_database_connections_max)''
    "{{ $labels.node }} uses all its {{ $value }} connections to the database: requests wait for one"
  )
  # By all who use it, and before it refuses any. Those that are kept for its superusers are no use to the nodes.
  (alert "PostgresConnectionsNearMax" "warning" "2m"
    "sum by (node) (pg_stat_database_numbackends) / sum by (node) (pg_settings_max_connections - pg_settings_superuser_reserved_connections) > 0.9"
    "PostgreSQL on {{ $labels.node }} has {{ $value | humanizePercentage }} of its connections taken: it will refuse the next"
  )
  # More than one of twenty.
  (alert "HashQueueSaturated" "warning" "1m"
    "${refused} > 0.05 * (${refused} + sum by (node) (rate(auth_hashes_total[5m])))"
    "{{ $labels.node }} refuses {{ $value | humanize }} password hashes a second: the queue is full"
  )
  # Three addresses at their limit of failed log-ins get there, and so do many more that stay below it.
  (alert "BruteForceWave" "warning" "2m" "${wrong} > 1 and ${wrong} > 3 * ${logIns "ok"}"
    "{{ $value | humanize }} log-ins a second have a wrong password, many more than succeed"
  )

  (alert "DiskFilling" "warning" "10m"
    ''${free} < 0.1 or ${free} < 0.4 and predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"}[6h], 86400) < 0''
    "{{ $labels.mountpoint }} of {{ $labels.node }} has {{ $value | humanizePercentage }} of its space left"
  )
  # What was never made is too old, too. The first is made soon after a host's first boot.
  (alert "BackupTooOld" "warning" "2h"
    (
      "time() - ${backup} > ${toString backupHours} * 3600"
      + (if backedUp == [ ] then "" else " or ${hasBackups} unless on (node) ${backup}")
    )
    "The newest backup of {{ $labels.node }} is older than ${toString backupHours} h, or there is none"
  )
  # Tokens allow for 30 seconds. 16 is what the kernel says when nothing has set the clock for long.
  (alert "ClockSkew" "warning" "10m"
    "abs(node_time_seconds - timestamp(node_time_seconds)) > 5 or node_timex_sync_status == 0 and node_timex_maxerror_seconds >= 16"
    "The clock of {{ $labels.node }} is wrong, or nothing keeps it right"
  )
  (alert "UnitFailed" "warning" "1m" ''node_systemd_unit_state{state="failed",name=~"${units}"} == 1''
    "{{ $labels.name }} has failed on {{ $labels.node }}"
  )
  # Each time it cannot send it ends, and systemd begins it anew: it is never "failed". A start of the monitor takes less than this.
  (alert "LogsNotSent" "warning" "15m"
    ''increase(node_systemd_service_restart_total{${upload}}[5m]) > 0 or node_systemd_unit_state{${upload},state=~"failed|inactive"} == 1''
    "{{ $labels.node }} cannot send its logs to the monitor, and keeps them"
  )
  (alert "ZipkinDropsSpans" "warning" "1m"
    "sum by (node) (rate(zipkin_collector_spans_dropped_total[5m]) + rate(zipkin_collector_messages_dropped_total[5m])) > 0"
    "Zipkin on {{ $labels.node }} drops what it gets: traces have gaps"
  )
  # A gateway tells of its requests by the lines of its log.
  (alert "SpansLost" "warning" "5m"
    ''sum by (node, reason) (rate(auth_spans_dropped_total[5m])) > 0 or label_replace(sum by (node) (rate(haproxy_process_dropped_logs_total[5m])), "reason", "log_dropped", "", "") > 0''
    "Spans of {{ $labels.node }} do not reach Zipkin ({{ $labels.reason }}): traces have gaps"
  )
]
++ (
  if gateways < 2 then
    [ ]
  else
    [
      # One is away, or it is there and the others cannot tell it what clients used up.
      (alert "GatewayPairDegraded" "warning" "1m"
        ''up{job="gateway"} == 0 and on () sum(up{job="gateway"}) > 0 or haproxy_process_active_peers < ${toString (gateways - 1)} unless on () up{job="gateway"} == 0''
        "The gateway {{ $labels.node }} is away or alone: the next fault may reach users"
      )
    ]
)
++ (
  if !clustered then
    [ ]
  else
    [
      # A copy takes half a minute at most to take over.
      (alert "DatabaseWithoutPrimary" "critical" "1m" "(count(patroni_primary == 1) or vector(0)) == 0"
        "No member of the database is its primary: nobody can log in"
      )
      (alert "DatabaseClusterDegraded" "warning" "2m"
        ''up{job="patroni"} == 0 and on () sum(up{job="patroni"}) > 0 or ${behind}''
        "The database's member {{ $labels.node }} is away, or lacks what was written a minute ago: the next fault may reach users"
      )
      # Not only may what is written be lost with the primary: no copy takes over that does not have all of it.
      (alert "NoSynchronousCopy" "warning" "2m"
        "sum(patroni_sync_standby) == 0 and on () patroni_primary == 1"
        "No copy of the database is synchronous: none takes over when the primary is lost"
      )
      (alert "FailoverPaused" "warning" "1h" "max(patroni_is_paused) == 1"
        "Patroni is paused, for an hour: no copy takes over when the primary is lost"
      )
      (alert "PostgresRestartPending" "warning" "1h" "patroni_pending_restart == 1"
        "PostgreSQL on {{ $labels.node }} has settings that it takes up when it is started again"
      )
      (alert "EtcdWithoutLeader" "critical" "1m" "(count(etcd_server_has_leader == 1) or vector(0)) == 0"
        "No member of etcd has a leader: nobody can become the database's primary"
      )
      # Also one that runs, and does not reach the others.
      (alert "EtcdMemberDown" "warning" "1m"
        ''(up{job="etcd"} == 0 or etcd_server_has_leader == 0) and on () etcd_server_has_leader == 1''
        "etcd on {{ $labels.node }} is away, or cut off from the others: when more than half are, nobody can become the database's primary"
      )
      (alert "EtcdNearQuota" "warning" "10m"
        "etcd_mvcc_db_total_size_in_bytes / etcd_server_quota_backend_bytes > 0.8"
        "etcd on {{ $labels.node }} has {{ $value | humanizePercentage }} of the space that it may take: when it is full, nobody can become the database's primary"
      )
      # Half of the time after which its members elect another leader.
      (alert "EtcdDiskSlow" "warning" "10m"
        "histogram_quantile(0.99, sum by (node, le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m]))) > 0.5"
        "The disk of {{ $labels.node }} takes {{ $value | humanizeDuration }} to write what etcd decides"
      )
    ]
)
