# `services.authstack.monitoring.logs`: every host's journal on the monitor, by systemd's own journal-upload and journal-remote.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  stack = config.services.authstack;
  cfg = stack.monitoring.logs;
  fleet = import ./fleet.nix { inherit config lib; };
  monitors = fleet.withRole "monitor";

  # journal-upload knows one place to send to: the first monitor, as with spans.
  receiver = lib.head (lib.attrNames monitors);
  works = cfg.enable && monitors != { } && stack.nodes ? ${stack.host};
  receives = works && stack.host == receiver;
  sends = works && stack.host != receiver;
  inherit (config.services.journald.remote) port;
  socket = "/run/authstack-logs.sock";

  inherit (stack) internalTls;
  credentials = {
    "ca.pem" = internalTls.ca;
    "certificate.pem" = internalTls.certificate;
    # HAProxy looks for a certificate's key under this name.
    "certificate.pem.key" = internalTls.key;
  };
  LoadCredential = lib.mapAttrsToList (name: file: "${name}:${toString file}") credentials;
  credential = unit: name: "/run/credentials/${unit}.service/${name}";

  # systemd's units, in the sandbox of ours.
  ourSandbox = import ./hardening.nix // {
    Type = "notify";
    WatchdogSec = "3min";
    # The journal's library reads which boot it is from /proc.
    ProcSubset = "all";
  };

  # nixpkgs builds journal-remote without TLS. So HAProxy is before it, and takes nobody in who shows no certificate of the fleet's authority.
  front = pkgs.writeText "authstack-logs.cfg" ''
    global
        zero-warning
        log stdout format raw local0 notice
        maxconn 256

    defaults
        mode tcp
        log global
        # So that who is refused is logged, and no other connection.
        option tcplog
        option log-separate-errors
        timeout connect 5s
        # A sender keeps its connection while it has nothing to say. One that is gone holds its own no longer than this.
        timeout client 1h
        timeout server 1h

    frontend senders
        bind ${fleet.endpoint fleet.self.address port} ssl crt ${credential "authstack-logs" "certificate.pem"} ca-file ${credential "authstack-logs" "ca.pem"} verify required ssl-min-ver TLSv1.3 alpn http/1.1
        default_backend journal

    backend journal
        server journal-remote unix@${socket}
  '';
in
{
  imports = [ ./nodes.nix ];

  options.services.authstack.monitoring.logs.enable = lib.mkEnableOption "" // {
    description = ''
      Whether each host sends its journal, the whole of it, to the first monitor, where one command finds the lines of a trace:
      `docs/how-to/search-logs.md` has it. It goes by TLS, and only hosts of the fleet are taken in, by
      {option}`services.authstack.internalTls`: each host needs a certificate of that authority with its key, hosts that are no
      cores, too. What a host cannot send it keeps, for as long as its journal does, and sends later.
    '';
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      assertions = [
        {
          assertion = monitors != { };
          message = ''
            services.authstack.monitoring.logs.enable: no host of services.authstack.nodes has the role `monitor`, so nobody takes
            the logs. Give it to one.
          '';
        }
        {
          assertion = !lib.elem null (lib.attrValues internalTls);
          message = ''
            services.authstack.monitoring.logs.enable: logs go by TLS, and a host shows who it is by its certificate. Set
            services.authstack.internalTls.{ca,certificate,key} on ${stack.host}, too; docs/how-to/scale-out.md tells how to make them.
          '';
        }
      ]
      # A core says so itself.
      ++ lib.optional (!(stack.auth-core.enable or false)) (
        fleet.notInStore "services.authstack.internalTls.key" internalTls.key ""
      );
    })

    (lib.mkIf sends {
      services.journald.upload = {
        enable = true;
        settings.Upload = {
          URL = "https://${fleet.endpoint monitors.${receiver}.address port}";
          TrustedCertificateFile = credential "systemd-journal-upload" "ca.pem";
          ServerCertificateFile = credential "systemd-journal-upload" "certificate.pem";
          ServerKeyFile = credential "systemd-journal-upload" "certificate.pem.key";
        };
      };
      systemd.services.systemd-journal-upload = {
        # It ends when the monitor does not answer, and NixOS has it begin anew, after the last line that was taken: as often as it takes.
        startLimitIntervalSec = 0;
        serviceConfig = ourSandbox // {
          ExecStart = [
            ""
            "${config.systemd.package}/lib/systemd/systemd-journal-upload --save-state"
          ];
          DynamicUser = true;
          User = "systemd-journal-upload";
          SupplementaryGroups = [ "systemd-journal" ];
          StateDirectory = "systemd/journal-upload";
          inherit LoadCredential;
          IPAddressDeny = "any";
          IPAddressAllow = [ monitors.${receiver}.address ];
        };
      };
    })

    (lib.mkIf receives {
      services.journald.remote = {
        enable = true;
        # All comes from HAProxy, so it can be told apart by its `_HOSTNAME` alone, and is in one file.
        output = "/var/log/journal/remote/fleet.journal";
        settings.Remote = {
          SplitMode = "none";
          # The oldest lines go first.
          MaxUse = lib.mkDefault "4G";
          KeepFree = lib.mkDefault "1G";
        };
      };
      systemd.sockets.systemd-journal-remote = {
        listenStreams = lib.mkForce [
          ""
          socket
        ];
        socketConfig = {
          SocketMode = "0660";
          SocketGroup = "systemd-journal-remote";
        };
      };
      systemd.services.systemd-journal-remote.serviceConfig = ourSandbox // {
        # Not by the module's option `listen`, which is there in some releases only.
        ExecStart = lib.mkForce [
          ""
          "${config.systemd.package}/lib/systemd/systemd-journal-remote --listen-http=-3 --output=${config.services.journald.remote.output}"
        ];
        User = "systemd-journal-remote";
        LogsDirectory = "journal/remote";
        PrivateNetwork = true;
      };

      systemd.services.authstack-logs = fleet.waitingForAddress {
        description = "Take the fleet's logs, by TLS, to journal-remote";
        wantedBy = [ "multi-user.target" ];
        requires = [ "systemd-journal-remote.socket" ];
        after = [ "systemd-journal-remote.socket" ];
        serviceConfig = import ./hardening.nix // {
          Type = "notify";
          ExecStart = "${lib.getExe config.services.haproxy.package} -Ws -f ${front}";
          Restart = "always";
          # HAProxy's own sign of an ordered end.
          SuccessExitStatus = 143;
          DynamicUser = true;
          # Whose socket it is.
          SupplementaryGroups = [ "systemd-journal-remote" ];
          inherit LoadCredential;
          LimitNOFILE = 4096;
          IPAddressDeny = "any";
          IPAddressAllow = fleet.addresses stack.nodes;
        };
      };
      networking.firewall = lib.mkIf stack.openFirewall (
        fleet.reachableFrom (fleet.addresses (removeAttrs stack.nodes [ stack.host ])) port
      );
    })
  ];
}
