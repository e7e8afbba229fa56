# Two gateways have one address and count together. When one of them dies or hangs under load, the other has the address within three seconds and
# knows what each client has used up; only connections that were open then fail.
let
  limit = 200;
in
{
  machines = [
    "gateway"
    "gateway2"
    "core1"
    "client"
  ];
  # Containers have no power to lose.
  onlyVirtual = true;

  settings =
    let
      counting.services.authstack.gateway.limits.requests = {
        count = limit;
        # As long as the test is.
        seconds = 600;
      };
    in
    {
      gateway = counting;
      gateway2 = counting;
    };

  testScript = ''
    start_all()
    trust(client, gateway, gateway2)
    # Clients of their own, for the subtests.
    for number in range(10):
        client.succeed(f"ip address add 192.168.1.{200 + number}/24 dev eth1")
    keys = f"https://{DOMAIN}/.well-known/jwks.json"


    def statuses(client_number, requests, to=None):
        """The answers to so many requests of a client, to the address that both have or to one of the gateways."""
        way = f"--connect-to ::{to.name}:443" if to else ""
        return client.succeed(
            f"curl --silent --cacert /tmp/ca.pem --interface 192.168.1.{200 + client_number} {way} --output /dev/null"
            f" --write-out '%{{http_code}}\\n' {keys}'?[1-{requests}]'"
        ).split()


    def holders():
        return [gateway for gateway in gateways if gateway.booted and "192.168.1.250/" in gateway.succeed("ip -br address show dev eth1")]


    def begin_probe():
        """Asks again and again, each time on a connection of its own."""
        client.succeed(
            "systemd-run --unit=probe --collect --setenv=PATH=$PATH sh -c 'while :; do"
            f" curl --silent --fail --cacert /tmp/ca.pem --max-time 0.4 --output /dev/null https://{DOMAIN}/healthz && date +%s.%N; sleep 0.05;"
            " done > /tmp/probe'"
        )


    def end_probe():
        """For how long nobody was answered, in seconds."""
        client.wait_until_succeeds("test $(date +%s) -le $(($(tail -n 1 /tmp/probe | cut -d. -f1) + 1))", timeout=30)
        client.succeed("sleep 2; systemctl stop probe")
        times = [float(line) for line in client.succeed("cat /tmp/probe").split()]
        return max(later - earlier for earlier, later in zip(times, times[1:]))


    with subtest("one of them has the address"):
        t.assertEqual(len(holders()), 1)

    with subtest("what one has counted, the other knows"):
        t.assertEqual(statuses(0, 120, gateway), ["200"] * 120)
        t.assertEqual(statuses(0, ${toString limit}, gateway2), ["200"] * 80 + ["429"] * 120)
        t.assertEqual(statuses(0, 1, gateway), ["429"])
        t.assertEqual(statuses(1, ${toString limit} + 10), ["200"] * ${toString limit} + ["429"] * 10)

    with subtest("only the gateways hear each other"):
        for one in gateways:
            client.fail(f"nc -z -w 2 {one.name} 8405")
            client.fail(f"nc -z -w 2 {one.name} 8404")
            one.succeed("iptables -S nixos-fw | grep -- '-p \\(vrrp\\|112\\) -j nixos-fw-accept' | grep -- '-s 192.168.1.'")
            one.fail("iptables -S nixos-fw | grep -- '-p \\(vrrp\\|112\\) -j nixos-fw-accept' | grep -v -- '-s 192.168.1.'")

    for what in ["power is cut", "HAProxy hangs"]:
        with subtest(f"where the address is, {what}"):
            [first] = holders()
            [second] = [gateway for gateway in gateways if gateway is not first]
            users = 20
            begin_load(client, pace=f"--users {users} --throttle-requests 10")
            begin_probe()
            client.wait_until_succeeds("test $(wc -l < /tmp/probe) -ge 20", timeout=30)
            if what == "HAProxy hangs":
                first.succeed("systemctl kill --signal=STOP haproxy.service")
            else:
                first.crash()
            second.wait_until_succeeds("ip -br address show dev eth1 | grep -F 192.168.1.250/", timeout=10)
            gap = end_probe()
            report = end_load(client)
            print(f"{what}: {gap:.2f} s without an answer, {report['failed']} failed requests of {users} users")
            t.assertLess(gap, 3)
            # Each of them has one connection.
            t.assertLessEqual(report["failed"], users)
            t.assertEqual(holders()[-1], second)
            # Who had used up their share have done so here, too.
            t.assertEqual(statuses(0, 1), ["429"])
            t.assertEqual(statuses(1, 1), ["429"])
            client.succeed("systemctl reset-failed load || true; systemctl stop load || true")

        with subtest("the address stays where it is, and who comes back is told what was counted"):
            if what == "HAProxy hangs":
                first.succeed("systemctl kill --signal=CONT haproxy.service")
            else:
                first.start()
            # It could take the address now, and would have within this time.
            first.wait_until_succeeds("journalctl --unit=keepalived | grep 'Entering .* STATE' | tail -n 1 | grep BACKUP", timeout=60)
            first.succeed("sleep 3")
            t.assertEqual(holders(), [second])
            client.wait_until_succeeds(
                f"test $(curl --silent --cacert /tmp/ca.pem --interface 192.168.1.200 --connect-to ::{first.name}:443 --output /dev/null"
                f" --write-out '%{{http_code}}' {keys}) = 429",
                timeout=20,
            )

    with subtest("when the cores are gone, a gateway is there to say so"):
        core1.succeed("systemctl stop auth-core.service")
        client.wait_until_fails(f"curl --silent --fail --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=30)
        # Long enough for both to have noticed.
        client.succeed("sleep 5")
        t.assertEqual(len(holders()), 1)
        t.assertEqual(graphql(client, "{ __typename }")[0], 503)
  '';
}
