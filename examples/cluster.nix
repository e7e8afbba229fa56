# Two gateways with one floating address, three cores, a database and a monitor. Every host imports this same file; what it
# does follows from its name.
{ config, lib, ... }:
let
  host = config.networking.hostName;
in
{
  services.authstack = {
    domain = "auth.example.org";
    # On the interface of the hosts' private network alone.
    openFirewall = true;

    nodes = {
      gate1.address = "10.0.0.11";
      gate1.roles = [ "gateway" ];
      gate2.address = "10.0.0.12";
      gate2.roles = [ "gateway" ];
      core1.address = "10.0.0.21";
      core1.roles = [ "core" ];
      core2.address = "10.0.0.22";
      core2.roles = [ "core" ];
      # An older machine: it gets half of the others' requests.
      core3.address = "10.0.0.23";
      core3.roles = [ "core" ];
      core3.weight = 50;
      watch.address = "10.0.0.31";
      watch.roles = [ "monitor" ];
      data.address = "10.0.0.41";
      data.roles = [ "database" ];
    };

    auth-core = {
      # Brought to the cores by sops-nix, agenix, or by hand.
      keys.directory = "/run/secrets/authstack-keys";
      database = {
        type = "postgresql";
        url = "postgres://auth-core@10.0.0.41:5432/auth-core";
        passwordFile = "/run/secrets/authstack-database-password";
      };
    };

    gateway = {
      openFirewall = true;
      tls.source = "file";
      tls.file = "/run/secrets/authstack-gateway.pem";
      # The address that clients know, on the interface to them: the gateway that can serve has it.
      virtualAddresses = [
        {
          address = "192.0.2.10/24";
          interface = "eth0";
        }
      ];
      vrrpInterface = "eth1";
    };

    monitoring.receivers = [
      {
        name = "operators";
        webhook_configs = [ { url = "http://10.0.0.99:5001/"; } ];
      }
    ];
  };

  services.postgresql = lib.mkIf (host == "data") {
    enable = true;
    enableTCPIP = true;
    ensureDatabases = [ "auth-core" ];
    ensureUsers = [
      {
        name = "auth-core";
        ensureDBOwnership = true;
      }
    ];
    authentication = "host auth-core auth-core 10.0.0.0/24 scram-sha-256";
  };
  systemd.services.auth-core-password = lib.mkIf (host == "data") {
    description = "Give the database's user its password";
    wantedBy = [ "multi-user.target" ];
    requires = [ "postgresql.target" ];
    after = [ "postgresql.target" ];
    path = [ config.services.postgresql.package ];
    script = ''
      psql --set=password="$(cat "$CREDENTIALS_DIRECTORY/password")" <<'END'
      ALTER ROLE "auth-core" PASSWORD :'password';
      END
    '';
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      User = "postgres";
      LoadCredential = "password:/run/secrets/authstack-database-password";
    };
  };
  networking.firewall.interfaces.eth1.allowedTCPPorts = lib.mkIf (host == "data") [ 5432 ];
}
