# Of hosts: disks, backups, clocks, units, logs: data on which alerts must fire, and must not, as ../alerts.nix reads it.
with import ./series.nix;
let
  failed = name: {
    alert = "UnitFailed";
    data.${unit name} = still 1;
    labels = {
      job = "node-exporter";
      node = "watch";
      inherit name;
      state = "failed";
    };
    fires.warning = "${name} has failed on watch";
  };
in
[
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
  (failed "acme-order-renew-auth.example.org.service")
  (failed "patroni.service")
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
]
