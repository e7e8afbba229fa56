# Two gateways with one floating address, three cores, a database on three machines and a monitor: any one of them may be lost. Every host imports
# this same file; what it does follows from its name.
{ config, ... }:
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
      data1.address = "10.0.0.41";
      data1.roles = [ "database" ];
      data2.address = "10.0.0.42";
      data2.roles = [ "database" ];
      data3.address = "10.0.0.43";
      data3.roles = [ "database" ];
    };

    # Secrets are brought to the hosts by sops-nix, agenix, or by hand: certificates to all, each its own.
    internalTls = {
      ca = "/run/secrets/authstack-ca.pem";
      certificate = "/run/secrets/authstack-${host}.pem";
      key = "/run/secrets/authstack-${host}-key.pem";
    };
    # To cores.
    auth-core.keys.directory = "/run/secrets/authstack-keys";
    # To cores, and to the hosts of the database.
    auth-core.database.passwordFile = "/run/secrets/authstack-database-password";
    # To the hosts of the database.
    database.cluster = {
      enable = true;
      superuserPasswordFile = "/run/secrets/authstack-database-superuser";
      replicationPasswordFile = "/run/secrets/authstack-database-replication";
    };

    # Each host of the database makes them, from its own copy.
    backup = {
      enable = true;
      recipients = [ "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p" ];
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
}
