# Whatever happens to one core, no user notices: the load that runs all the while has not one failed request. And when the
# database is gone, users are told so, and all is well as soon as it is back.
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];
  # Containers have no power to lose and no cable to pull.
  onlyVirtual = true;

  testScript = ''
    start_all()
    # A gateway that goes down with a core is another story.
    others = [core for core in cores if core is not front]
    assert len(cores) >= 2 and others, "failover needs two cores, one of them on a host that is not a gateway"
    core1, core2 = others[0], others[-1]
    trust(client, *gateways)
    address = front.succeed("sed -n 's/.*bind \\(.*:8404\\).*/\\1/p' /etc/haproxy.cfg").strip()


    def wait_until(core, state):
        front.wait_until_succeeds(
            f"curl --silent http://{address}/metrics"
            f" | grep -F 'haproxy_server_status{{proxy=\"auth-core\",server=\"{core.name}\",state=\"{state}\"}} 1'",
            timeout=60,
        )


    for core in cores:
        wait_until(core, "UP")

    # What was in flight when a core fell silent must not be saved by its coming back.
    longer_than_clients_wait = "sleep 12"

    begin_load(client)

    with subtest("a core's process is killed"):
        core1.succeed("systemctl stop auth-core.service --no-block; systemctl kill --signal=KILL auth-core.service")
        wait_until(core1, "DOWN")
        core1.succeed("systemctl start auth-core.service")
        wait_until(core1, "UP")

    with subtest("a core is stopped in order"):
        core2.succeed("systemctl stop auth-core.service")
        wait_until(core2, "DOWN")
        core2.succeed("systemctl start auth-core.service")
        wait_until(core2, "UP")

    with subtest("a core hangs"):
        core1.succeed("systemctl kill --signal=STOP auth-core.service")
        wait_until(core1, "DOWN")
        core1.succeed(longer_than_clients_wait)
        core1.succeed("systemctl kill --signal=CONT auth-core.service")
        wait_until(core1, "UP")

    with subtest("a core's cable is pulled"):
        core2.block()
        wait_until(core2, "DOWN")
        client.succeed(longer_than_clients_wait)
        core2.unblock()
        wait_until(core2, "UP")

    with subtest("a core's power is cut"):
        core1.crash()
        wait_until(core1, "DOWN")
        core1.start()
        wait_until(core1, "UP")

    with subtest("all cores are restarted at once, as by an upgrade"):
        for core in cores:
            core.succeed("systemctl restart --no-block auth-core.service")
        for core in cores:
            wait_until(core, "DOWN")
        for core in cores:
            wait_until(core, "UP")

    with subtest("no request failed meanwhile"):
        report = end_load(client)
        t.assertEqual(report["failed"], 0, report)
        t.assertTrue(report["passed"], report)

    with subtest("without its database the service says so, in clear words"):
        t.assertNotIn("errors", sign_up(client, "ada@example.org"))
        database.succeed("systemctl stop postgresql.service")
        client.wait_until_fails(f"curl --fail --silent --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=30)
        status, headers, answer = graphql(client, "{ __typename }")
        t.assertEqual(status, 503)
        t.assertEqual(error_code(answer), "UNAVAILABLE")
        t.assertIn("retry-after", headers)

    with subtest("it is back as soon as the database is, without a restart"):
        pids = [core.succeed("systemctl show --property=MainPID auth-core") for core in cores]
        database.succeed("systemctl start postgresql.service")
        client.wait_until_succeeds(f"curl --fail --silent --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=60)
        t.assertNotIn("errors", log_in(client, "ada@example.org"))
        t.assertEqual([core.succeed("systemctl show --property=MainPID auth-core") for core in cores], pids)
  '';
}
