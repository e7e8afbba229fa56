# The machines: processors, memory, disks, network, pressure, clocks, units of systemd.
{ panels }:
let
  inherit (panels)
    areas
    by
    gauge
    lines
    now
    row
    stat
    table
    timeline
    ;
  node = ''node=~"$node"'';
  fileSystems = ''fstype!~"tmpfs|ramfs|squashfs|iso9660",${node}'';
  waiting = kind: "rate(node_pressure_${kind}_seconds_total{${node}}[$__rate_interval])";
  network =
    way: what:
    ''sum by (node) (rate(node_network_${way}_${what}_total{device!="lo",${node}}[$__rate_interval]))'';
  full = [
    [ "green" ]
    [
      "orange"
      0.8
    ]
    [
      "red"
      0.9
    ]
  ];
in
panels.dashboard {
  title = "Authstack: hosts";
  uid = "authstack-hosts";
  description = "Processors, memory, disks, network, pressure, clocks and units of every host.";
  job = "node-exporter";
  rows = [
    (row 5 [
      (gauge {
        title = "Processors";
        description = "Share of each host's processors that works.";
        unit = "percentunit";
        max = 1;
        thresholds = full;
        queries = [
          (by "{{node}}" ''1 - avg by (node) (rate(node_cpu_seconds_total{mode="idle",${node}}[$__rate_interval]))'')
        ];
      })
      (gauge {
        title = "Memory";
        description = "Share of each host's memory that is taken.";
        unit = "percentunit";
        max = 1;
        thresholds = full;
        queries = [
          (by "{{node}}" "1 - node_memory_MemAvailable_bytes{${node}} / node_memory_MemTotal_bytes{${node}}")
        ];
      })
      (gauge {
        title = "Disk";
        description = "Share of the fullest file system of each host.";
        unit = "percentunit";
        max = 1;
        thresholds = full;
        runbook = "DiskFilling";
        queries = [
          (by "{{node}}" "max by (node) (1 - node_filesystem_avail_bytes{${fileSystems}} / node_filesystem_size_bytes{${fileSystems}})")
        ];
      })
      (stat {
        title = "Clock";
        description = "Against Prometheus' own. Tokens allow for 30 s.";
        unit = "s";
        min = null;
        thresholds = [
          [ "red" ]
          [
            "green"
            (-5)
          ]
          [
            "red"
            5
          ]
        ];
        runbook = "ClockSkew";
        queries = [
          (by "{{node}}" "node_time_seconds{${node}} - timestamp(node_time_seconds{${node}})")
        ];
      })
      (stat {
        title = "Units that failed";
        description = "systemd's, of each host.";
        thresholds = [
          [ "green" ]
          [
            "red"
            1
          ]
        ];
        runbook = "UnitFailed";
        queries = [ (by "{{node}}" ''sum by (node) (node_systemd_unit_state{state="failed",${node}})'') ];
      })
      (stat {
        title = "Up since";
        description = "When each host was started.";
        unit = "dateTimeFromNow";
        min = null;
        queries = [ (by "{{node}}" "node_boot_time_seconds{${node}} * 1000") ];
      })
    ])
    (row 8 [
      (areas {
        title = "Processors";
        description = "By what they do.";
        unit = "percentunit";
        queries = [
          (by "{{node}} {{mode}}" ''avg by (node, mode) (rate(node_cpu_seconds_total{mode!="idle",${node}}[$__rate_interval]))'')
        ];
      })
      (lines {
        title = "Load";
        description = "Processes that run or want to, on average over five minutes, for each processor.";
        queries = [
          (by "{{node}}" ''node_load5{${node}} / on (node) group_left () count by (node) (node_cpu_seconds_total{mode="idle",${node}})'')
        ];
      })
      (lines {
        title = "Pressure";
        description = "Share of the time in which something waited for processors, memory or disks.";
        unit = "percentunit";
        queries = [
          (by "{{node}} processors" (waiting "cpu_waiting"))
          (by "{{node}} memory" (waiting "memory_waiting"))
          (by "{{node}} disks" (waiting "io_waiting"))
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Memory";
        description = "That programs can still have.";
        unit = "bytes";
        queries = [ (by "{{node}}" "node_memory_MemAvailable_bytes{${node}}") ];
      })
      (lines {
        title = "Processes killed for want of memory";
        description = "In the last hour.";
        queries = [ (by "{{node}}" "increase(node_vmstat_oom_kill{${node}}[1h])") ];
      })
      (lines {
        title = "Disk space";
        description = "Share of each file system that is left.";
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
          (by "{{node}} {{mountpoint}}" "node_filesystem_avail_bytes{${fileSystems}} / node_filesystem_size_bytes{${fileSystems}}")
        ];
      })
      (lines {
        title = "Disks at work";
        description = "Share of the time. At 1 for long, the database waits for them.";
        unit = "percentunit";
        max = 1;
        queries = [
          (by "{{node}} {{device}}" "rate(node_disk_io_time_seconds_total{${node}}[$__rate_interval])")
        ];
      })
    ])
    (row 8 [
      (lines {
        title = "Network";
        description = "Without what stays on the host.";
        unit = "Bps";
        queries = [
          (by "{{node}} in" (network "receive" "bytes"))
          (by "{{node}} out" (network "transmit" "bytes"))
        ];
      })
      (lines {
        title = "Packets lost";
        description = "Dropped or broken, in and out.";
        unit = "pps";
        queries = [
          (by "{{node}}" "${network "receive" "drop"} + ${network "receive" "errs"} + ${network "transmit" "drop"} + ${network "transmit" "errs"}")
        ];
      })
      (timeline {
        title = "Clock kept right";
        description = "Whether something such as NTP does so.";
        max = 1;
        runbook = "ClockSkew";
        queries = [ (by "{{node}}" "node_timex_sync_status{${node}}") ];
      })
      (table {
        title = "Units that failed, by name";
        description = "`systemctl status NAME` on that host says why.";
        runbook = "UnitFailed";
        columns = [
          "node"
          "name"
        ];
        queries = [ (now ''node_systemd_unit_state{state="failed",${node}} == 1'') ];
      })
    ])
  ];
}
