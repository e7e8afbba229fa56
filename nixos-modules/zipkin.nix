# `services.authstack.monitoring.zipkin`: Zipkin, of which nixpkgs has no module. Traces are kept in memory.
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
  server = import ./render/zipkin.nix {
    ip = fleet.self.address;
    port = stack.ports.zipkin;
    inherit (cfg) maxSpans;
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
      default = (import ./render/defaults.nix).monitoring.maxSpans;
      description = "How many spans are kept; the oldest go first. A thousand take about a megabyte.";
    };
  };

  config = lib.mkIf stack.monitoring.enable {
    systemd.services.zipkin = fleet.waitingForAddress {
      description = "Zipkin, where traces are collected and shown";
      wantedBy = [ "multi-user.target" ];
      environment.JDK_JAVA_OPTIONS = toString server.java;
      serviceConfig = import ./hardening.nix // {
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
