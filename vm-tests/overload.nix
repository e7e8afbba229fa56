# Far more people want an account than the cores can hash for: those who are turned away are told so, at once and in clear words, who has a token
# notices nothing, and afterwards all is as before.
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];
  # 32 MiB: dear enough that hashes are what runs short.
  hashCost = 15;

  testScript = ''
    start_all()
    trust(client, *gateways)
    t.assertNotIn("errors", sign_up(client, "ada@example.org"))

    with subtest("sign-ups come at many times the rate that the cores can hash"):
        begin_load(client, "verify", "--users 4 --throttle-requests 20", unit="verify")
        begin_load(client, "sign-up", "--users 250 --arrivals 150 --threshold \"error-rate<100%\"", unit="storm")
        # Nobody asks for this at the gateway: the queue is fair between addresses, so whoever comes from one that is new may have luck.
        for core in cores:
            core.wait_until_succeeds(
                "curl --silent http://$(sed -n 's/^listen = \"\\(.*\\)\"/\\1/p' /etc/auth-core.toml)/metrics"
                " | grep '^auth_hashes_refused_total [1-9]'",
                timeout=60,
            )

    with subtest("who has a token notices nothing"):
        report = end_load(client, unit="verify")
        t.assertEqual(report["failed"], 0, report["failures"])

    with subtest("who is turned away is told so"):
        report = end_load(client, unit="storm")
        codes = {failure["reason"].get("code") for failure in report["failures"]}
        t.assertIn("OVERLOADED", codes)
        t.assertLessEqual(codes, {"OVERLOADED", "RATE_LIMITED", "UNAVAILABLE"}, report["failures"])
        t.assertGreater(report["requests"] - report["failed"], 0)

    with subtest("afterwards all is as before"):
        client.wait_until_succeeds(f"curl --fail --silent --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=30)
        t.assertNotIn("errors", log_in(client, "ada@example.org"))
  '';
}
