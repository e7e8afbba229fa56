# The database, as the cores see it: SQLite or PostgreSQL; and as PostgreSQL sees itself.
{ panels, clustered }:
let
  inherit (panels)
    by
    gauge
    lines
    quantile
    row
    stat
    states
    timeline
    ;
  node = ''node=~"$node"'';
  transactions = what: "sum by (node) (rate(pg_stat_database_xact_${what}[$__rate_interval]))";
  # Of a member, as PostgreSQL may be down where Patroni answers.
  role = "patroni_postgres_running * (1 + patroni_sync_standby + 2 * patroni_primary)";
  used = ''auth_database_connections{state="used",${node}}'';
in
panels.dashboard {
  title = "Authstack: database";
  uid = "authstack-database";
  description = "Whether it answers the cores, how many connections they use, how long it takes.";
  job = "auth-core";
  rows = [
    (row 5 [
      (stat {
        title = "Nodes that reach it";
        description = "As many are ready, by the gateways' health checks. Each asks the database.";
        thresholds = [
          [ "red" ]
          [
            "green"
            1
          ]
        ];
        runbook = "DatabaseDown";
        queries = [
          (by "ready" ''sum(max by (server) (haproxy_server_status{proxy="auth-core",state="UP"}))'')
        ];
      })
      (stat {
        title = "Answers `UNAVAILABLE`";
        description = "In the last hour: the database did not answer.";
        thresholds = [
          [ "green" ]
          [
            "red"
            1
          ]
        ];
        runbook = "DatabaseDown";
        queries = [
          (by "unavailable" ''sum(increase(auth_requests_total{outcome="unavailable",${node}}[1h]))'')
        ];
      })
      (gauge {
        title = "Connections";
        description = "Used ones, of as many as there may be.";
        unit = "percentunit";
        max = 1;
        thresholds = [
          [ "green" ]
          [
            "orange"
            0.8
          ]
          [
            "red"
            1
          ]
        ];
        runbook = "DatabaseConnectionsExhausted";
        queries = [
          (by "{{node}}" "sum by (node) (${used}) / sum by (node) (auth_database_connections_max{${node}})")
        ];
      })
      (timeline {
        title = "Ready";
        description = "Each node, by the gateways' health checks.";
        max = 1;
        runbook = "DatabaseDown";
        queries = [
          (by "{{server}}" ''max by (server) (haproxy_server_status{proxy="auth-core",state="UP"})'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Connections";
        description = "At the limit for long, requests wait for one.";
        runbook = "DatabaseConnectionsExhausted";
        queries = [
          (by "{{node}} used" used)
          (by "{{node}} idle" ''auth_database_connections{state="idle",${node}}'')
          (by "{{node}} limit" "auth_database_connections_max{${node}}")
        ];
      })
      (lines {
        title = "Time to answer what needs no hash";
        description = "`me`, `refresh` and `verifyToken`: most of it is the database's. Half, and 99 of 100, are faster.";
        unit = "s";
        queries = [
          (by "half" (
            quantile "0.5" "" "auth_request_seconds" ''{operation=~"me|refresh|verifyToken",${node}}''
          ))
          (by "99 of 100" (
            quantile "0.99" "" "auth_request_seconds" ''{operation=~"me|refresh|verifyToken",${node}}''
          ))
        ];
      })
      (lines {
        title = "Answers `UNAVAILABLE`";
        description = "The database did not answer.";
        unit = "reqps";
        runbook = "DatabaseDown";
        queries = [
          (by "{{node}}" ''sum by (node) (rate(auth_requests_total{outcome="unavailable",${node}}[$__rate_interval]))'')
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "PostgreSQL: connections";
        description = "Taken ones, by all who use it, and how many there may be; some of them are kept for its superusers.";
        runbook = "PostgresConnectionsNearMax";
        queries = [
          (by "{{node}} taken" "sum by (node) (pg_stat_database_numbackends)")
          (by "{{node}} limit" "sum by (node) (pg_settings_max_connections)")
        ];
      })
      (lines {
        title = "PostgreSQL: transactions";
        description = "Those that were committed, and those that were rolled back.";
        unit = "ops";
        queries = [
          (by "{{node}} committed" (transactions "commit"))
          (by "{{node}} rolled back" (transactions "rollback"))
        ];
      })
      (lines {
        title = "PostgreSQL: deadlocks";
        description = "In the last hour. Each is a transaction that failed.";
        queries = [
          (by "{{node}}" "sum by (node) (increase(pg_stat_database_deadlocks[1h]))")
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "PostgreSQL: size";
        description = "Of each database on disk.";
        unit = "bytes";
        queries = [ (by "{{node}} {{datname}}" ''pg_database_size_bytes{datname!~"template."}'') ];
      })
      (lines {
        title = "PostgreSQL: replication lag";
        description = "How far a replica is behind, and 0 for others. If it takes over, it lacks so much.";
        unit = "s";
        queries = [ (by "{{node}}" "pg_replication_lag_seconds") ];
      })
    ])
  ]
  ++ (
    if !clustered then
      [ ]
    else
      [
        (row 8 [
          (timeline {
            title = "Cluster: members";
            description = "Who the primary is, and which copy has each write when it is acknowledged.";
            max = 3;
            mappings = states [
              [
                "not running"
                "red"
              ]
              [
                "copy"
                "blue"
              ]
              [
                "synchronous copy"
                "green"
              ]
              [
                "primary"
                "purple"
              ]
            ];
            runbook = "DatabaseWithoutPrimary";
            queries = [ (by "{{node}}" role) ];
          })
          (lines {
            title = "Cluster: what copies lack";
            description = "Of what the primary has written.";
            unit = "bytes";
            runbook = "DatabaseClusterDegraded";
            queries = [
              (by "{{node}}" "clamp_min(scalar(max(patroni_xlog_location)) - (patroni_xlog_received_location > 0), 0)")
            ];
          })
          (timeline {
            title = "etcd: has a leader";
            description = "Each member. With more than half of them there is one.";
            max = 1;
            runbook = "EtcdWithoutLeader";
            queries = [ (by "{{node}}" "etcd_server_has_leader") ];
          })
          (lines {
            title = "etcd: time to write";
            description = "How long the disk takes for what is decided; 99 of 100 writes are faster.";
            unit = "s";
            thresholds = [
              [ "green" ]
              [
                "red"
                0.5
              ]
            ];
            runbook = "EtcdDiskSlow";
            queries = [
              (by "{{node}}" (quantile "0.99" ", node" "etcd_disk_wal_fsync_duration_seconds" ""))
            ];
          })
        ])
      ]
  )
  ++ [
    (row 8 [
      (lines {
        title = "Backups: age of the newest";
        description = "Of each host that makes them. What was changed since is lost with the disk.";
        unit = "s";
        runbook = "BackupTooOld";
        queries = [ (by "{{node}}" "time() - auth_backup_last_success_timestamp_seconds") ];
      })
      (lines {
        title = "Backups: size of the newest";
        description = "Encrypted.";
        unit = "bytes";
        queries = [ (by "{{node}}" "auth_backup_size_bytes") ];
      })
    ])
    (row 8 [
      (lines {
        title = "Disks at work";
        description = "Of all hosts: share of the time. At 1 for long, the database waits for its host's.";
        unit = "percentunit";
        max = 1;
        queries = [
          (by "{{node}} {{device}}" "rate(node_disk_io_time_seconds_total[$__rate_interval])")
        ];
      })
      (lines {
        title = "Time to write";
        description = "Of all hosts: how long the disk takes for one write, on average. Each commit waits for it.";
        unit = "s";
        queries = [
          (by "{{node}} {{device}}" "rate(node_disk_write_time_seconds_total[$__rate_interval]) / (rate(node_disk_writes_completed_total[$__rate_interval]) > 0)")
        ];
      })
      (lines {
        title = "Disk space";
        description = "Of all hosts: share of each file system that is left.";
        unit = "percentunit";
        max = 1;
        thresholds = [
          [ "red" ]
          [
            "green"
            0.1
          ]
        ];
        runbook = "DiskFilling";
        queries = [
          (by "{{node}} {{mountpoint}}" ''node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|squashfs|iso9660"} / node_filesystem_size_bytes'')
        ];
      })
    ])
  ];
}
