# `services.authstack.backup`: encrypted backups of the accounts, on the host that has the database.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.backup;
  fleet = import ./fleet.nix { inherit config lib; };
  defaults = (import ./render/defaults.nix).backup;
  # A host may import the gateway or the monitor alone.
  core = stack.auth-core or { enable = false; };

  # So is the cluster of databases. Its members are all alike: each makes backups, from its own copy.
  onCluster = (stack.database.cluster.enable or false) && fleet.has "database";
  postgresUser = if onCluster then "patroni" else "postgres";
  postgresUnit = if onCluster then "patroni.service" else "postgresql.target";

  onPostgres = fleet.has "database" || core.enable && core.database.createLocally;
  here = cfg.enable && (fleet.has "database" || fleet.withRole "database" == { } && core.enable);
  metrics = "/var/lib/authstack-metrics";

  # As the core's URL has it.
  database =
    let
      found = builtins.match "[a-z]+://[^/]*/([^/?]+).*" (toString (core.database.url or null));
    in
    if found == null then "auth-core" else lib.head found;
  dump =
    if onPostgres then
      [
        "pg_dump"
        "--dbname=${database}"
      ]
      ++ lib.optionals onCluster [
        "--host=/run/postgresql"
        "--port=${toString stack.ports.postgresql}"
        "--username=postgres"
      ]
    else
      [
        "auth-core"
        "--config"
        "/etc/auth-core.toml"
      ];

  # By root: the place may be anywhere.
  makeFolders = pkgs.writeShellScript "authstack-backup-folders" ''
    set -euo pipefail
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    install --directory --mode=0700 ${lib.escapeShellArg cfg.directory}
    install --directory --mode=0755 ${metrics}
    chown ${
      if onPostgres then "${postgresUser}:${postgresUser}" else "--reference=/var/lib/auth-core/."
    } ${lib.escapeShellArg cfg.directory} ${metrics}
  '';
in
{
  imports = [ ./nodes.nix ];

  options.services.authstack.backup = {
    enable = lib.mkEnableOption "" // {
      description = ''
        Whether the accounts are backed up: on hosts with the role `database`, by `pg_dump`, on each member of
        {option}`services.authstack.database.cluster` alike; where there is none, on the core, from SQLite
        or from the PostgreSQL of {option}`services.authstack.auth-core.database.createLocally`. Monitors raise an alert for each of these
        hosts whose newest backup is too old, so set it on all hosts alike. `docs/how-to/back-up-and-restore.md` tells how to get the accounts
        back.
      '';
    };
    recipients = mkOption {
      type = types.listOf (types.strMatching "age1[0-9a-z]+|ssh-(ed25519|rsa) [0-9A-Za-z+/= .@_-]+");
      default = [ ];
      example = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
      description = ''
        Who can read the backups: public keys of age, or of SSH. `age-keygen --output key.txt` makes a pair and prints the public one. Keep the
        private one away from the fleet, and more than once: nothing reads a backup without it.
      '';
    };
    directory = mkOption {
      type = types.strMatching "/.+";
      default = defaults.directory;
      example = "/mnt/backup/authstack";
      description = ''
        Where they are put, each a file `accounts-TIME.age`. A disk that is lost takes what is on it along: mount another machine's here, or let
        one fetch them. They can be anywhere, as they are encrypted.
      '';
    };
    schedule = mkOption {
      type = types.str;
      default = defaults.schedule;
      example = "*-*-* 00/6:00:00";
      description = ''
        When, as systemd.time(7) has it, up to half an hour later; and soon after each boot. What was missed while the host was off is
        made up for.
      '';
    };
    keep = mkOption {
      type = types.ints.positive;
      default = defaults.keep;
      description = "How many are kept. The oldest goes when another one is there, and not before.";
    };
    maxAgeHours = mkOption {
      type = types.ints.positive;
      default = defaults.maxAgeHours;
      description = "How old the newest backup may be before an alert tells, in hours: some more than {option}`schedule` has between two.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.recipients != [ ];
        message = ''
          services.authstack.backup.recipients: nobody could read the backups. Make a pair of keys with `age-keygen --output key.txt`, keep that file
          away from the fleet, and put the public key here.
        '';
      }
      {
        assertion =
          !core.enable
          || core.database.type == "sqlite"
          || core.database.createLocally
          || fleet.withRole "database" != { };
        message = ''
          services.authstack.backup.enable: the accounts are in a PostgreSQL that no host of services.authstack.nodes has. Give its host the role
          `database`, or leave this to whoever runs it.
        '';
      }
      {
        assertion = !here || !onPostgres || onCluster || config.services.postgresql.enable;
        message = ''
          services.authstack.backup.enable: ${stack.host} has the role `database`, and its PostgreSQL is not that of services.postgresql, so how to
          back it up is not known here. Leave this to pgBackRest, or to what runs it.
        '';
      }
    ];

    systemd = lib.mkIf here {
      services.authstack-backup = {
        description = "Back up the accounts, encrypted";
        after = lib.optional onPostgres postgresUnit;
        requires = lib.optional onPostgres postgresUnit;
        unitConfig.RequiresMountsFor = [ cfg.directory ];
        path = [
          pkgs.age
          (
            if onCluster then
              stack.database.cluster.postgresqlPackage
            else if onPostgres then
              config.services.postgresql.package
            else
              core.package
          )
        ];
        environment = {
          BACKUP_DIRECTORY = cfg.directory;
          BACKUP_RECIPIENTS = pkgs.writeText "recipients" (lib.concatLines cfg.recipients);
          BACKUP_KEEP = toString cfg.keep;
          BACKUP_METRICS = "${metrics}/backup.prom";
          # The unit's own, and on a disk, as the database is.
          TMPDIR = "/var/tmp";
        };
        serviceConfig =
          import ./hardening.nix
          // {
            Type = "oneshot";
            ExecStartPre = "+${makeFolders}";
            ExecStart = "${pkgs.runtimeShell} ${./render/backup.sh} ${lib.escapeShellArgs dump}";
            # They may be there no earlier than the step before.
            ReadWritePaths = [
              "-${cfg.directory}"
              "-${metrics}"
            ];
            PrivateNetwork = true;
            RestrictAddressFamilies = "AF_UNIX";
          }
          // (
            if onPostgres then
              { User = postgresUser; }
            else
              {
                # The core itself, as far as files go.
                DynamicUser = true;
                User = "auth-core";
                StateDirectory = "auth-core";
                StateDirectoryMode = "0700";
              }
          );
      };
      timers.authstack-backup = {
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = cfg.schedule;
          OnActiveSec = "10min";
          Persistent = true;
          RandomizedDelaySec = "30min";
        };
      };
      tmpfiles.rules = [ "d ${metrics} 0755 - -" ];
    };
    # To restore with.
    environment.systemPackages = lib.mkIf here [ pkgs.age ];
    services.prometheus.exporters.node.extraFlags = lib.mkIf here [
      "--collector.textfile.directory=${metrics}"
    ];
  };
}
