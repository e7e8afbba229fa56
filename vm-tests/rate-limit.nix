# One client can take no more than its share, is told how long to wait, and keeps nobody else from anything.
let
  inherit ((import ../nixos-modules/render/defaults.nix).gateway) limits;
in
{
  machines = [
    "single"
    "client"
  ];

  settings.single.services.authstack.gateway.limits.requests = {
    count = 200;
    seconds = 10;
  };

  testScript = ''
    start_all()
    trust(client, single)
    # A second address of the client's, for a second user.
    client.succeed("ip address add 192.168.1.200/24 dev eth1")
    keys = f"https://{DOMAIN}/.well-known/jwks.json"


    def burst(requests, source, to=keys):
        """How often each status was the answer."""
        lines = client.succeed(
            f"curl --silent --cacert /tmp/ca.pem --interface {source} --output /dev/null --write-out '%{{http_code}}\\n'"
            f" {to}'?[1-{requests}]'"
        ).split()
        return {status: lines.count(status) for status in set(lines)}

    first = client.succeed("ip -4 -o address show dev eth1 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p;q'").strip()
    # What the machines said to each other so far is forgotten.
    single.succeed("systemctl restart haproxy")
    trust(client, single)

    with subtest("what exceeds the limit is refused, within 1 %"):
        answers = burst(300, first)
        t.assertAlmostEqual(answers["200"], 200, delta=2)
        t.assertAlmostEqual(answers["429"], 100, delta=2)

    with subtest("the refusal says for how long, in the API's own words"):
        status, headers, answer = graphql(client, "{ __typename }")
        t.assertEqual(status, 429)
        t.assertEqual(headers["retry-after"], "10")
        t.assertEqual(error_code(answer), "RATE_LIMITED")

    with subtest("another address is served meanwhile, with the whole of its own share"):
        t.assertEqual(burst(150, "192.168.1.200"), {"200": 150})

    with subtest("who waits is served again"):
        client.wait_until_succeeds(f"curl --fail --silent --cacert /tmp/ca.pem --interface {first} {keys}", timeout=30)

    with subtest("who guesses passwords is told to wait, long before the limit of requests"):
        for number in range(${toString limits.failedLogIns.count}):
            t.assertEqual(error_code(log_in(client, f"user{number}@example.org")), "INVALID_CREDENTIALS")
        t.assertEqual(error_code(log_in(client, "another@example.org")), "RATE_LIMITED")
        t.assertEqual(burst(1, first), {"200": 1})

    with subtest("who may keep the cores hashing is told to wait, and goes on asking"):
        mutation = "--header 'Content-Type: application/json' --data '{\"query\":\"mutation { signUp }\"}'"
        answers = burst(${
          toString (limits.hashes.count + 10)
        }, "192.168.1.200", f"{mutation} https://{DOMAIN}/graphql")
        t.assertEqual(answers["429"], 10)
        t.assertEqual(burst(1, "192.168.1.200"), {"200": 1})

    with subtest("health checks are not counted"):
        burst(300, first)
        t.assertEqual(client.succeed(f"curl --silent --cacert /tmp/ca.pem --output /dev/null --write-out '%{{http_code}}' https://{DOMAIN}/healthz"), "200")
  '';
}
