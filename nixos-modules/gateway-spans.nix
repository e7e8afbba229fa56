# Reports the gateway's own spans to Zipkin, by the lines of HAProxy's log. HAProxy goes on without it.
{
  config,
  lib,
  pkgs,
}:
let
  stack = config.services.authstack;
  fleet = import ./fleet.nix { inherit config lib; };
  # The gateway may be imported alone.
  auth-core = stack.auth-core.package or (pkgs.callPackage ../auth-core/package.nix { });
  # As the cores' settings have it, which all hosts share.
  ofTheFleet = if fleet.zipkin == null then null else "http://${fleet.zipkin}/api/v2/spans";
  tracing = (stack.auth-core.settings or { }).tracing or { };
  collector = tracing.zipkin_url or ofTheFleet;

  directory = "authstack-gateway-spans";
  socket = "/run/${directory}/log.sock";
in
{
  # Where spans go is null without a Zipkin, and then there is no need of it.
  inherit collector socket;

  units.systemd.services.authstack-gateway-spans = {
    description = "Report the gateway's spans to Zipkin";
    wantedBy = [ "multi-user.target" ];
    before = [ "haproxy.service" ];
    serviceConfig =
      import ./hardening.nix
      // {
        ExecStart = lib.escapeShellArgs (
          [
            (lib.getExe' auth-core "auth-core")
            "gateway-spans"
            "--listen"
            socket
            "--zipkin"
            collector
          ]
          ++ lib.optionals (tracing ? sample_ratio) [
            "--sample-ratio"
            (builtins.toJSON tracing.sample_ratio)
          ]
        );
        Restart = "always";
        RestartSec = 1;
        DynamicUser = true;
        # HAProxy writes to its socket by its group, and nobody else does.
        Group = config.services.haproxy.group;
        RuntimeDirectory = directory;
        RuntimeDirectoryMode = "0750";
      }
      // lib.optionalAttrs (collector == ofTheFleet) {
        IPAddressDeny = "any";
        IPAddressAllow = fleet.addresses (fleet.withRole "monitor");
      };
  };
}
