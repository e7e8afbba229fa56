# The host's address in the fleet may come long after the boot, as that of a tunnel does. What listens on it waits for it.
{ lib, ... }:
let
  address = "10.78.0.1";
in
{
  machines = [
    "single"
    "client"
  ];

  # Stronger than the address that all tests give.
  settings.single.services.authstack.nodes = lib.mkOverride 40 { single = { inherit address; }; };

  testScript = ''
    start_all()
    # How often each shall fail first. Five quick failures are what systemd takes by default; a Java VM does not fail quickly.
    failures = {"auth-core": 6, "haproxy": 6, "prometheus-node-exporter": 6, "zipkin": 2}


    def show(unit, property):
        return single.succeed(f"systemctl show --property={property} --value {unit}").strip()


    with subtest("nobody gives up"):
        for unit, number in failures.items():
            t.assertIn("network-online.target", show(unit, "After").split())
            single.wait_until_succeeds(f"test $(systemctl show --property=NRestarts --value {unit}) -ge {number}", timeout=120)
        for unit in failures:
            t.assertNotEqual(show(unit, "ActiveState"), "failed", unit)

    with subtest("all is well as soon as the address is there"):
        single.succeed("ip address add ${address}/24 dev eth1")
        trust(client, single)
        for port in [8080, 8404, 9100, 9411]:
            single.wait_for_open_port(port, "${address}", timeout=60)
        t.assertNotIn("errors", sign_up(client, "ada@example.org"))
  '';
}
