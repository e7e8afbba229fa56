# `services.authstack.monitoring.probe`: the monitor asks the public name as a client does, for Prometheus.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  stack = config.services.authstack;
  cfg = stack.monitoring.probe;
  fleet = import ./fleet.nix { inherit config lib; };
  inherit (import ./render/defaults.nix) monitoring;
  # The monitor may be imported alone.
  auth-core = stack.auth-core.package or (pkgs.callPackage ../auth-core/package.nix { });
  tls = (stack.gateway or { }).tls.source or null;
  hasAccount = cfg.account.email != null && cfg.account.passwordFile != null;
  credential = name: "/run/credentials/authstack-probe.service/${name}";
in
{
  options.services.authstack.monitoring.probe = {
    enable = mkOption {
      type = types.bool;
      default = stack.monitoring.enable && fleet.withRole "gateway" != { } && tls == "acme";
      defaultText = lib.literalMD "on monitors of a fleet with gateways, where {option}`gateway.tls.source` is `acme`";
      example = true;
      description = ''
        Whether the monitor asks the public name as a client does, each minute: is the certificate valid, and until when; does a
        gateway answer; and, with an {option}`account`, can it log in. Alerts tell when something of it fails, and two weeks before the
        certificate expires. With certificates of `acme` the name is public, and everybody knows the authority, so it is on. Where they
        are from elsewhere only you know whether the monitor resolves and reaches the name, and by which authority it is to know the
        certificate ({option}`caFile`).
      '';
    };
    url = mkOption {
      type = types.strMatching "https://[^/@]+";
      default = "https://${stack.domain}";
      defaultText = lib.literalExpression "\"https://\${config.services.authstack.domain}\"";
      description = "URL of the public name. The monitor must resolve and reach it as clients do.";
    };
    caFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/run/secrets/authstack-ca.pem";
      description = ''
        PEM file with the authorities by which the certificate is known, in the place of those that the host trusts. Root reads it when
        the probe starts.
      '';
    };
    account.email = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "canary@example.org";
      description = ''
        E-mail address of a canary: an account that is for this alone, has no role but `user`, and logs in and out each minute.
        `auth-core user add` makes it. Each time costs a hash, and writes two entries into the audit stream.
      '';
    };
    account.passwordFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/run/secrets/authstack-canary";
      description = "File with the canary's password. Root reads it when the probe starts.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = stack.monitoring.enable;
        message = ''
          services.authstack.monitoring.probe.enable: ${stack.host} is no monitor, so nobody asks the probe. Give it the role `monitor`,
          or set the option on a host that has it.
        '';
      }
      {
        assertion = (cfg.account.email == null) == (cfg.account.passwordFile == null);
        message = ''
          services.authstack.monitoring.probe.account: a canary needs both `email` and `passwordFile`. Set both, or neither.
        '';
      }
      (fleet.notInStore "services.authstack.monitoring.probe.account.passwordFile"
        cfg.account.passwordFile
        ""
      )
    ];

    systemd.services.authstack-probe = {
      description = "Ask the public name as a client does, for Prometheus";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      # A file that comes late is waited for.
      startLimitIntervalSec = 0;
      serviceConfig = import ./hardening.nix // {
        ExecStart = lib.escapeShellArgs (
          [
            (lib.getExe' auth-core "auth-core")
            "probe"
            cfg.url
            "--listen"
            monitoring.probe.listen
          ]
          ++ lib.optionals (cfg.caFile != null) [
            "--ca"
            (credential "ca.pem")
          ]
          ++ lib.optionals hasAccount [
            "--email"
            cfg.account.email
            "--password-file"
            (credential "password")
          ]
        );
        Restart = "always";
        RestartSec = 1;
        DynamicUser = true;
        LoadCredential =
          lib.optional (cfg.caFile != null) "ca.pem:${cfg.caFile}"
          ++ lib.optional hasAccount "password:${cfg.account.passwordFile}";
      };
    };
  };
}
