# A certificate from an authority that speaks ACME, as Let's Encrypt does: a new host serves a self-signed one until it has
# ordered its own, and takes that up without a restart.
{ lib, pkgs, ... }:
let
  inherit (import ./topology.nix { inherit lib; }) domain;

  # What the authority itself shows to those who order.
  directoryCertificate =
    pkgs.runCommand "directory-certificate" { nativeBuildInputs = [ pkgs.openssl ]; }
      ''
        mkdir $out
        openssl req -x509 -nodes -days 3650 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=ca \
          -addext subjectAltName=DNS:ca -keyout $out/key.pem -out $out/cert.pem
      '';
in
{
  machines = [
    "single"
    "ca"
    "client"
  ];
  # Containers do not reboot.
  onlyVirtual = true;

  settings.single = {
    # Stronger than the source that all tests have.
    services.authstack.gateway.tls.source = lib.mkOverride 40 "acme";
    security.acme = {
      acceptTerms = true;
      defaults.email = "operator@example.org";
      defaults.server = "https://ca:14000/dir";
      # Each order is a renewal: Pebble's certificates are valid for five years.
      defaults.validMinDays = 3650;
    };
    systemd.services."acme-order-renew-${domain}" = {
      environment.LEGO_CA_CERTIFICATES = "${directoryCertificate}/cert.pem";
      # Instead of a quarter of an hour.
      serviceConfig.RestartSec = lib.mkForce 5;
    };
  };

  # Pebble is Let's Encrypt's own authority for tests. The script says when it runs.
  settings.ca = {
    networking.firewall.allowedTCPPorts = [
      14000
      15000
    ];
    systemd.services.pebble = {
      environment.PEBBLE_VA_NOSLEEP = "1";
      serviceConfig.ExecStart = "${lib.getExe' pkgs.pebble "pebble"} -config ${
        pkgs.writeText "pebble.json" (
          builtins.toJSON {
            pebble = {
              listenAddress = "0.0.0.0:14000";
              managementListenAddress = "0.0.0.0:15000";
              certificate = "${directoryCertificate}/cert.pem";
              privateKey = "${directoryCertificate}/key.pem";
              httpPort = 80;
              tlsPort = 443;
            };
          }
        )
      }";
    };
  };

  testScript = ''
    single.start(allow_reboot=True)
    start_all()
    order = f"acme-order-renew-{DOMAIN}.service"


    def served(what):
        return f"openssl s_client -connect {DOMAIN}:443 -servername {DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -{what}"


    def show(unit, property):
        return single.succeed(f"systemctl show --property={property} --value {unit}").strip()


    with subtest("a new host whose authority is away serves a self-signed certificate"):
        single.wait_for_unit("haproxy.service")
        t.assertEqual(show("haproxy", "NRestarts"), "0")
        t.assertIn("minica", client.wait_until_succeeds(served("issuer"), timeout=30))
        single.wait_until_succeeds(f"test $(systemctl show --property=NRestarts --value {order}) -ge 1", timeout=180)

    with subtest("as soon as the authority answers, its certificate is there by itself, served by the same process"):
        pid = show("haproxy", "MainPID")
        ca.succeed("systemctl start pebble.service")
        client.wait_until_succeeds(served("issuer") + " | grep Pebble", timeout=180)
        client.succeed("curl --silent --fail --insecure https://ca:15000/roots/0 > /tmp/ca.pem")
        client.wait_until_succeeds(f"curl --silent --fail --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=30)
        t.assertEqual(show("haproxy", "MainPID"), pid)

    with subtest("a renewal under load costs no failed request"):
        begin_load(client)
        before = client.succeed(served("serial")).strip()
        single.succeed(f"systemctl start {order}", timeout=120)
        client.wait_until_succeeds(f"{served('serial')} | grep -vx {before}", timeout=30)
        # Users whose connections are the old process's go on, and so do new ones.
        client.succeed("sleep 3")
        report = end_load(client)
        t.assertEqual(report["failed"], 0, report)
        t.assertTrue(report["passed"], report)
        t.assertEqual(show("haproxy", "MainPID"), pid)

    with subtest("a new host whose authority is there has its certificate after the first boot"):
        before = client.succeed(served("serial")).strip()
        single.succeed("rm -r /var/lib/acme && sync")
        single.reboot()
        client.wait_until_succeeds(f"{served('issuer')} | grep Pebble && {served('serial')} | grep -vx {before}", timeout=240)
        client.wait_until_succeeds(f"curl --silent --fail --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=30)
        t.assertEqual(show("haproxy", "NRestarts"), "0")
        begin = "ExecMainStartTimestampMonotonic"
        t.assertLess(int(show("haproxy", begin)), int(show(order, begin)))
  '';
}
