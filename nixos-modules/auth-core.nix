# `services.authstack.auth-core`: the service itself.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.auth-core;
  fleet = import ./fleet.nix { inherit config lib; };
  format = pkgs.formats.toml { };
  configFile = format.generate "auth-core.toml" cfg.settings;

  cores = fleet.withRole "core";
  monitors = fleet.withRole "monitor";
  onSqlite = cfg.database.type == "sqlite";

  # What the options say.
  rendered = import ./render/auth-core.nix {
    node = stack.host;
    listen = fleet.endpoint fleet.self.address stack.ports.core;
    inherit ((import ./render/defaults.nix).core) maxConnections;
    tls = if withTls then loadedCertificate else null;
    issuer = "https://${stack.domain}";
    inherit keyDirectory;
    generateFirstKey = cfg.keys.directory == null;
    database = {
      url = if onSqlite then "sqlite:/var/lib/auth-core/auth.db" else cfg.database.url;
    }
    // lib.optionalAttrs (cfg.database.passwordFile != null) { password_file = passwordCredential; }
    // lib.optionalAttrs (cfg.database.replicaUrl != null) { replica_url = cfg.database.replicaUrl; };
    inherit (fleet) zipkin;
  };

  # Where systemd puts what LoadCredential names.
  passwordCredential = "/run/credentials/auth-core.service/database-password";

  # Keys that the core makes are its own. Those from elsewhere are copied, at start and at each reload, by root to where the
  # core alone can read them: systemd hands out credentials at start only, and keys must rotate without a restart.
  keyDirectory =
    if cfg.keys.directory == null then "/var/lib/auth-core/keys" else "/run/auth-core/keys";
  # The same holds for the certificate.
  withTls = stack.internalTls.ca != null;
  loadedCertificate = {
    certificate_file = "/run/auth-core/certificate.pem";
    key_file = "/run/auth-core/certificate-key.pem";
  };
  copyCertificate = pkgs.writeShellScript "copy-certificate" ''
    set -euo pipefail
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    copy() {
      install --mode=0400 "$1" "$2.new"
      chown --reference=/run/auth-core "$2.new"
      mv "$2.new" "$2"
    }
    copy ${toString stack.internalTls.certificate} ${loadedCertificate.certificate_file}
    copy ${toString stack.internalTls.key} ${loadedCertificate.key_file}
  '';
  copies =
    lib.optional (cfg.keys.directory != null) "+${copyKeys}"
    ++ lib.optional withTls "+${copyCertificate}";
  copyKeys = pkgs.writeShellScript "copy-keys" ''
    set -euo pipefail
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    new=$(mktemp --directory --tmpdir=/run/auth-core)
    cp ${toString cfg.keys.directory}/* $new
    chmod --recursive u=rwX,go= $new
    chown --recursive --reference=/run/auth-core $new
    if [ -d ${keyDirectory} ]; then
      mv ${keyDirectory} $new.before
    fi
    mv $new ${keyDirectory}
    rm -rf $new.before
  '';

  # The build machine has neither the server's keys nor its folders; everything else is checked as it is.
  checkedConfig =
    if !pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      configFile
    else
      pkgs.runCommand "auth-core.toml" { } ''
        ${lib.getExe cfg.package} keys generate --set tokens.key_directory=keys
        echo password > password
        ${lib.optionalString withTls ''
          ${lib.getExe pkgs.openssl} req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=check -keyout key.pem -out certificate.pem 2>/dev/null
        ''}
        if ! ${lib.getExe cfg.package} check-config --config ${configFile} \
          --set tokens.key_directory=keys ${lib.optionalString withTls "--set tls.certificate_file=certificate.pem --set tls.key_file=key.pem"} ${
            if onSqlite then "--set database.url=sqlite:auth.db" else "--set database.password_file=password"
          }
        then
          echo 'services.authstack.auth-core.settings: the line above says what is wrong' >&2
          exit 1
        fi
        cp ${configFile} $out
      '';

  # Only where every address is known beforehand can the unit be kept from all others.
  isAddress =
    text: text != null && builtins.match "[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+|.*:.*:.*" text != null;
  elsewhere = lib.filter (url: url != null) [
    (if cfg.database.createLocally || onSqlite then null else cfg.settings.database.url)
    cfg.database.replicaUrl
    (cfg.settings.tracing.zipkin_url or null)
  ];
  hostOf =
    url:
    let
      found = builtins.match "[a-z0-9]+://([^/@]*@)?(\\[([^]]*)]|[^:/?]*).*" url;
    in
    if found == null then
      null
    else if lib.elemAt found 2 != null then
      lib.elemAt found 2
    else
      lib.elemAt found 1;
  hosts = map hostOf elsewhere;
  allAddressesKnown = lib.all isAddress hosts;
in
{
  imports = [
    ./backup.nix
    ./nodes.nix
  ];

  options.services.authstack.auth-core = {
    enable =
      lib.mkEnableOption "auth-core, which signs users up, logs them in and tells who they are"
      // {
        default = fleet.has "core";
        defaultText = lib.literalMD "whether this host's roles have `core`";
      };

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../auth-core/package.nix { };
      defaultText = lib.literalMD "the flake's `auth-core`";
      description = "The package of auth-core.";
    };

    openFirewall =
      lib.mkEnableOption "access of the fleet's gateways and monitors, and of nobody else, to the core's port"
      // {
        default = stack.openFirewall;
        defaultText = lib.literalExpression "config.services.authstack.openFirewall";
      };

    settings = mkOption {
      type = types.submodule { freeformType = format.type; };
      default = { };
      example = {
        tokens.access_token_seconds = 300;
        password.min_length = 12;
      };
      description = ''
        auth-core's configuration (TOML). It is checked when the system is built, so a mistake never reaches a server.
        Names of secrets' files are put in by the other options.
      '';
    };

    database = {
      type = mkOption {
        type = types.enum [
          "sqlite"
          "postgresql"
        ];
        default = "sqlite";
        description = ''
          Where accounts are stored: in a file of this host ({file}`/var/lib/auth-core/auth.db`), enough for a single core;
          or in PostgreSQL, which several cores share.
        '';
      };
      url = mkOption {
        type = types.nullOr (types.strMatching "postgres(ql)?://.*");
        default =
          if cfg.database.createLocally then
            "postgres://auth-core@localhost/auth-core?host=/run/postgresql"
          else
            null;
        defaultText = lib.literalMD "the local database where {option}`createLocally` is set, else `null`";
        example = "postgres://auth-core@10.0.0.5:5432/auth-core";
        description = "The PostgreSQL database, without its password.";
      };
      passwordFile = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = "/run/secrets/auth-core-database";
        description = "File with the password of PostgreSQL's user. Read by systemd, so it can belong to root alone.";
      };
      replicaUrl = mkOption {
        type = types.nullOr (types.strMatching "postgres(ql)?://.*");
        default = null;
        example = "postgres://auth-core@10.0.0.6:5432/auth-core";
        description = ''
          A replica of the database, with the same user and password, from which `me` reads whose a session is.
          Its answer is used only while it is at most `settings.database.replica_max_lag_seconds` (5) old: so long may a session
          seem to last that a log-out has ended. Otherwise, and while the replica is away, the primary is asked.
        '';
      };
      createLocally = lib.mkEnableOption "a PostgreSQL server on this host, with a user and a database `auth-core`";
    };

    keys.directory = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = "/run/secrets/authstack-keys";
      description = ''
        Directory with the keys that sign tokens, as `auth-core keys` makes it. All cores of a fleet need the same. Root reads it,
        at start and at each `systemctl reload auth-core`. Without it, the first key is made on first start, in
        {file}`/var/lib/auth-core/keys`.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      (fleet.notInStore "services.authstack.auth-core.keys.directory" cfg.keys.directory
        "Or leave the option out: a key is then made on first start."
      )
      (fleet.notInStore "services.authstack.internalTls.key" stack.internalTls.key "")
      {
        assertion =
          withTls == (stack.internalTls.certificate != null) && withTls == (stack.internalTls.key != null);
        message = "services.authstack.internalTls: a core needs all three of ca, certificate and key, or none.";
      }
      (fleet.notInStore "services.authstack.auth-core.database.passwordFile" cfg.database.passwordFile
        "Or use database.createLocally, which needs no password."
      )
      {
        assertion = lib.length (lib.attrNames cores) <= 1 || cfg.keys.directory != null;
        message = ''
          ${toString (lib.attrNames cores)} must sign tokens with the same keys, or one refuses what another gave out. Make them once with
          `auth-core keys generate --set tokens.key_directory=keys`, bring the directory to each of them, and set
          services.authstack.auth-core.keys.directory to its path there.
        '';
      }
      {
        assertion = lib.length (lib.attrNames cores) <= 1 || !onSqlite;
        message = ''
          ${toString (lib.attrNames cores)} would each have accounts of their own, as SQLite is a file of one host. Set
          services.authstack.auth-core.database.type = "postgresql" and database.url to a server that they share.
        '';
      }
      {
        assertion = onSqlite || cfg.database.url != null;
        message = ''
          services.authstack.auth-core.database.type is "postgresql", but which one? Set database.url to a server, or
          database.createLocally for one on this host.
        '';
      }
      {
        assertion =
          !onSqlite
          || (cfg.database.url == null && cfg.database.passwordFile == null && !cfg.database.createLocally);
        message = ''
          services.authstack.auth-core.database.{url,passwordFile,createLocally} are for PostgreSQL, but database.type is "sqlite".
          Remove them, or set database.type = "postgresql".
        '';
      }
    ];

    # `settings` may say otherwise, but not of what has an option.
    services.authstack.auth-core.settings = lib.mkMerge [
      (lib.mapAttrsRecursive (_: lib.mkDefault) rendered)
      {
        inherit (rendered) database;
        ${if withTls then "tls" else null} = rendered.tls;
        tokens = { inherit (rendered.tokens) key_directory generate_first_key; };
      }
    ];

    systemd.services.auth-core = fleet.waitingForAddress {
      description = "Authentication service";
      wantedBy = [ "multi-user.target" ];
      # At an upgrade it serves until the new one can be started. In between the gateway lets requests wait.
      stopIfChanged = false;
      after = lib.optional cfg.database.createLocally "postgresql.target";
      requires = lib.optional cfg.database.createLocally "postgresql.target";
      serviceConfig =
        import ./hardening.nix
        // {
          Type = "notify";
          ExecStartPre = copies;
          ExecStart = "${lib.getExe cfg.package} serve --config ${checkedConfig}";
          # Reads the keys and the certificate again.
          ExecReload = copies ++ [
            "${pkgs.runtimeShell} -c 'kill -HUP $MAINPID'"
          ];
          Restart = "always";
          # Longer than the drain and the longest request together.
          TimeoutStopSec = cfg.settings.drain_seconds + 40;
          DynamicUser = true;
          User = "auth-core";
          StateDirectory = "auth-core";
          StateDirectoryMode = "0700";
          RuntimeDirectory = "auth-core";
          RuntimeDirectoryMode = "0700";
          WorkingDirectory = "/var/lib/auth-core";
          # It asks for 128 · N · r bytes of memory for each hash that runs, by default one for each of the host's cores: how many
          # those are is not known here. So this is no more than a fuse: what grows without bounds, or is set to more than the
          # host has, ends the core, which starts anew, and not whatever else the kernel would choose.
          MemoryMax = "75%";
          # Its connections are a thousand at most; besides them it opens its database, its keys and little else.
          LimitNOFILE = 4096;
          LoadCredential = lib.optional (
            cfg.database.passwordFile != null
          ) "database-password:${toString cfg.database.passwordFile}";
        }
        // lib.optionalAttrs allAddressesKnown {
          IPAddressDeny = "any";
          IPAddressAllow = lib.unique ([ "localhost" ] ++ fleet.addresses stack.nodes ++ hosts);
        };
    };

    # For `auth-core keys --config /etc/auth-core.toml`.
    environment.systemPackages = [ cfg.package ];
    environment.etc."auth-core.toml".source = checkedConfig;

    services.postgresql = lib.mkIf cfg.database.createLocally {
      enable = true;
      ensureDatabases = [ "auth-core" ];
      ensureUsers = [
        {
          name = "auth-core";
          ensureDBOwnership = true;
        }
      ];
    };

    networking.firewall = lib.mkIf cfg.openFirewall (
      fleet.reachableFrom (fleet.addresses (fleet.withRole "gateway" // monitors)) stack.ports.core
    );
  };
}
