# All on one machine with the fewest options there can be, and it is all still there after a reboot.
{
  machines = [
    "single"
    "client"
  ];
  # Containers do not reboot.
  onlyVirtual = true;
  memory.single = 2048;

  testScript = ''
    start_all()
    trust(client, single)

    units = ["auth-core", "haproxy", "prometheus", "alertmanager", "grafana", "zipkin", "prometheus-node-exporter"]

    with subtest("everything runs"):
        for unit in units:
            single.wait_for_unit(f"{unit}.service")

    with subtest("a user signs up and logs in"):
        t.assertNotIn("errors", sign_up(client, "ada@example.org"))
        token = log_in(client, "ada@example.org")["data"]["logIn"]["accessToken"]
        t.assertIsNotNone(token)

    with subtest("only the gateway is reached from outside"):
        for port in [22, 3000, 8080, 8404, 9090, 9093, 9100, 9411]:
            client.fail(f"curl --silent --max-time 3 http://{DOMAIN}:{port}/")

    with subtest("after a reboot the account is there, and the token of before is still good"):
        keys = single.succeed("cd /var/lib/authstack && sha256sum keys/* certificates/* grafana/*")
        single.reboot()
        trust(client, single)
        t.assertEqual(single.succeed("cd /var/lib/authstack && sha256sum keys/* certificates/* grafana/*"), keys)
        answer = graphql(client, "{ me { email } }", token=token)[2]
        t.assertEqual(answer, {"data": {"me": {"email": "ada@example.org"}}})
        t.assertNotIn("errors", log_in(client, "ada@example.org"))

    with subtest("nothing failed"):
        t.assertIn("0 loaded units listed", single.succeed("systemctl list-units --failed 'auth*' 'haproxy*' 'prometheus*' 'alertmanager*' 'grafana*' 'zipkin*'"))
  '';
}
