# PostgreSQL's metrics, on hosts with the role `database`.
{ config, lib, ... }:
let
  stack = config.services.authstack;
  fleet = import ./fleet.nix { inherit config lib; };
  exporter = config.services.prometheus.exporters.postgres;
  monitors = fleet.addresses (fleet.withRole "monitor");
in
{
  config = lib.mkIf (fleet.has "database" && monitors != [ ]) {
    services.prometheus.exporters.postgres = {
      enable = true;
      listenAddress = fleet.bracketed fleet.self.address;
      # By peer authentication: the system says who it is, and nobody needs a password.
      dataSourceName = lib.mkDefault "user=${exporter.user} database=postgres host=/run/postgresql sslmode=disable";
    };
    systemd.services.prometheus-postgres-exporter = fleet.waitingForAddress { };
    networking.firewall = lib.mkIf stack.openFirewall (fleet.reachableFrom monitors exporter.port);

    services.postgresql.ensureUsers = [ { name = exporter.user; } ];
    systemd.services.postgresql-setup = lib.mkIf config.services.postgresql.enable {
      # Statistics of all databases, and nothing of what is in them.
      script = lib.mkAfter ''
        psql --no-psqlrc --command='GRANT pg_monitor TO "${exporter.user}"' postgres
      '';
    };
  };
}
