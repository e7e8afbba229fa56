# All on one machine with the fewest options there can be, and it is all still there after a reboot.
{
  machines = [
    "single"
    "client"
  ];
  # Containers do not reboot.
  onlyVirtual = true;

  testScript = ''
    # QEMU ends with the machine's first shutdown unless it is told beforehand.
    single.start(allow_reboot=True)
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
        keys = single.succeed("cd /var/lib && sha256sum auth-core/keys/* authstack/certificates/* authstack/grafana/*")
        single.reboot()
        trust(client, single)
        t.assertEqual(single.succeed("cd /var/lib && sha256sum auth-core/keys/* authstack/certificates/* authstack/grafana/*"), keys)
        answer = graphql(client, "{ me { email } }", token=token)[2]
        t.assertEqual(answer, {"data": {"me": {"email": "ada@example.org"}}})
        t.assertNotIn("errors", log_in(client, "ada@example.org"))

    with subtest("a new key is published by a reload, and the service goes on"):
        keys = f"curl --silent --cacert /tmp/ca.pem https://{DOMAIN}/.well-known/jwks.json"
        t.assertEqual(len(json.loads(client.succeed(keys))["keys"]), 1)
        pid = single.succeed("systemctl show --property=MainPID auth-core")
        single.succeed("auth-core keys generate --config /etc/auth-core.toml && systemctl reload auth-core")
        client.wait_until_succeeds(f"{keys} | grep -o kid | wc -l | grep -x 2", timeout=10)
        t.assertEqual(single.succeed("systemctl show --property=MainPID auth-core"), pid)

    with subtest("nothing failed"):
        t.assertIn("0 loaded units listed", single.succeed("systemctl list-units --failed 'auth*' 'haproxy*' 'prometheus*' 'alertmanager*' 'grafana*' 'zipkin*'"))
  '';
}
