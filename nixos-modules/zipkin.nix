# `services.authstack.monitoring.zipkin`: Zipkin, of which nixpkgs has no module.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.monitoring.zipkin;
  fleet = import ./fleet.nix { inherit config lib; };
  defaults = (import ./render/defaults.nix).monitoring;
  inMemory = cfg.storage.type == "memory";
  isUrl = host: lib.match "https?://[^/@]+" host != null;
  isHost = host: lib.match "[^/@,]+" host != null;
  server = import ./render/zipkin.nix {
    ip = fleet.self.address;
    port = stack.ports.zipkin;
    inherit (cfg) maxSpans;
    storage = { inherit (cfg.storage) type hosts; };
  };
in
{
  options.services.authstack.monitoring.zipkin = {
    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ../nix/zipkin-server.nix { };
      defaultText = lib.literalMD "the flake's `zipkin-server`";
      description = "The package of Zipkin's server. The one in nixpkgs is too old to take our spans.";
    };
    maxSpans = mkOption {
      type = types.ints.positive;
      default = defaults.maxSpans;
      description = "How many spans are kept in memory; the oldest go first. A thousand take about a megabyte.";
    };
    storage.type = mkOption {
      type = types.enum [
        "memory"
        "elasticsearch"
        "cassandra"
      ];
      default = defaults.storage.type;
      description = ''
        Where spans are kept. In `memory` they are bounded by {option}`zipkin.maxSpans`, and gone when Zipkin is started again. In an
        `elasticsearch` or a `cassandra` of yours they stay; how long is for you to say there: Zipkin makes an index a day in the one,
        and rows that expire after a week in the other. Its README says which versions it takes. Both are rendered, and no
        Elasticsearch and no Cassandra runs in our tests.
      '';
    };
    storage.hosts = mkOption {
      type = types.listOf types.str;
      default = defaults.storage.hosts;
      example = [ "https://search.example.org:9200" ];
      description = "URLs of Elasticsearch, or `HOST` or `HOST:PORT` of Cassandra: one, or several of one cluster. Without a user or a password.";
    };
    storage.environmentFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/run/secrets/zipkin-storage.env";
      description = ''
        File with the user and the password there, as lines `ES_USERNAME=…` and `ES_PASSWORD=…`, or `CASSANDRA_USERNAME=…` and
        `CASSANDRA_PASSWORD=…`; and with whatever else Zipkin reads from variables, such as `CASSANDRA_LOCAL_DC=…`, which is
        `datacenter1` unless it says otherwise. Root reads it when Zipkin starts.
      '';
    };
  };

  config = lib.mkIf stack.monitoring.enable {
    assertions = [
      {
        assertion = inMemory -> cfg.storage.hosts == [ ] && cfg.storage.environmentFile == null;
        message = ''
          services.authstack.monitoring.zipkin.storage: spans are kept in memory, which has no `hosts` and no `environmentFile`.
          Set `type` to "elasticsearch" or "cassandra", or leave both out.
        '';
      }
      {
        assertion = !inMemory -> cfg.storage.hosts != [ ];
        message = ''
          services.authstack.monitoring.zipkin.storage: where is ${cfg.storage.type}? Set `hosts`.
        '';
      }
      {
        assertion = cfg.storage.type == "elasticsearch" -> lib.all isUrl cfg.storage.hosts;
        message = ''
          services.authstack.monitoring.zipkin.storage.hosts: Elasticsearch's are URLs such as "https://search.example.org:9200", without
          a path, and without a user and a password: those belong into `environmentFile`.
        '';
      }
      {
        assertion = cfg.storage.type == "cassandra" -> lib.all isHost cfg.storage.hosts;
        message = ''
          services.authstack.monitoring.zipkin.storage.hosts: Cassandra's are HOST or HOST:PORT, such as "10.0.0.7:9042".
        '';
      }
      (fleet.notInStore "services.authstack.monitoring.zipkin.storage.environmentFile"
        cfg.storage.environmentFile
        ""
      )
    ];

    systemd.services.zipkin = fleet.waitingForAddress {
      description = "Zipkin, where traces are collected and shown";
      wantedBy = [ "multi-user.target" ];
      environment.JDK_JAVA_OPTIONS = toString server.java;
      serviceConfig =
        import ./hardening.nix
        // {
          ExecStart = lib.escapeShellArgs ([ (lib.getExe cfg.package) ] ++ server.arguments);
          Restart = "always";
          SuccessExitStatus = 143;
          DynamicUser = true;
          # A Java VM writes the code that it runs, and reads its limits from /proc.
          MemoryDenyWriteExecute = false;
          ProcSubset = "all";
          SystemCallFilter = [
            "@system-service"
            "~@privileged"
          ];
        }
        // lib.optionalAttrs (cfg.storage.environmentFile != null) {
          EnvironmentFile = cfg.storage.environmentFile;
        }
        # The storage may be anywhere, and have a name that is to be looked up.
        // lib.optionalAttrs inMemory {
          IPAddressDeny = "any";
          IPAddressAllow = [ "localhost" ] ++ fleet.addresses stack.nodes;
        };
    };
    networking.firewall = lib.mkIf stack.openFirewall (
      fleet.reachableFrom (fleet.addresses (
        fleet.withRole "core" // fleet.withRole "gateway"
      )) stack.ports.zipkin
    );
  };
}
