# The gateway's copy of what the cores publish: of the public halves of keys that verify tokens, which HAProxy takes up by a reload, and of
# the digests of API keys, which it is told while it runs.
{
  config,
  lib,
  pkgs,
  # Whether a route takes API keys.
  takesApiKeys,
}:
let
  stack = config.services.authstack;
  fleet = import ./fleet.nix { inherit config lib; };
  cores = fleet.withRole "core";
  inherit (import ./render/defaults.nix) edge;
  # The gateway may be imported alone.
  auth-core = stack.auth-core.package or (pkgs.callPackage ../auth-core/package.nix { });
  coreScheme = if stack.internalTls.ca == null then "http" else "https";
  directory = "/run/authstack-edge-keys";
  keyFiles = map (slot: "${toString slot}.pem") (lib.range 1 edge.keySlots);
in
rec {
  inherit directory;
  runtimeSocket = "/run/haproxy/api-keys.sock";

  # HAProxy needs files to start. So any key is there to begin with, and none in use.
  prepare = pkgs.writeShellScript "prepare-edge-keys" ''
    set -e
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    mkdir -p "$1"
    for file in ${toString keyFiles}; do
      [ -e "$1/$file" ] || install --mode=0644 ${./render/haproxy/no-key.pem} "$1/$file"
    done
    for file in kids.map api-keys.map; do
      [ -e "$1/$file" ] || install --mode=0644 /dev/null "$1/$file"
    done
  '';

  units = {
    systemd.services.authstack-edge-keys = {
      description = "Keep the gateway's copy of the keys that verify tokens";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      serviceConfig = import ./hardening.nix // {
        ExecStart = lib.escapeShellArgs (
          [
            (lib.getExe' auth-core "auth-core")
            "keys"
            "follow"
            "--to"
            directory
            "--slots"
            edge.keySlots
            "--every"
            edge.lookSeconds
          ]
          ++ lib.optionals takesApiKeys [
            "--api-keys"
            runtimeSocket
          ]
          ++ lib.optionals (stack.internalTls.ca != null) [
            "--ca"
            stack.internalTls.ca
          ]
          ++ map (address: "${coreScheme}://${fleet.endpoint address stack.ports.core}") (
            fleet.addresses cores
          )
        );
        Restart = "always";
        RestartSec = 1;
        # HAProxy reads them, and they outlive a restart: of a dynamic user's directory that is kept only root can read anything.
        User = config.services.haproxy.user;
        Group = config.services.haproxy.group;
        RuntimeDirectory = "authstack-edge-keys";
        RuntimeDirectoryMode = "0755";
        RuntimeDirectoryPreserve = true;
        UMask = "0022";
        IPAddressDeny = "any";
        IPAddressAllow = fleet.addresses cores;
      };
    };
    # Another unit, as it takes root's rights.
    systemd.paths.authstack-edge-keys-changed = {
      wantedBy = [ "multi-user.target" ];
      pathConfig.PathChanged = "${directory}/kids.map";
    };
    systemd.services.authstack-edge-keys-changed = {
      description = "Let the gateway take up the keys that verify tokens";
      serviceConfig.Type = "oneshot";
      serviceConfig.ExecStart = "${config.systemd.package}/bin/systemctl try-reload-or-restart haproxy.service";
    };
  };
}
