# The fleet's own limits hold, by address: who exceeds one is told to wait, and nobody else notices.
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];

  testScript =
    { gateway, ... }:
    let
      inherit (gateway) limits;
      # A limit that is off has nothing to show.
      subtest = limit: text: if limit == null then "" else text;
    in
    ''
      start_all()
      trust(client, *gateways)
      for gateway in gateways:
          give_addresses(client, gateway)
      keys = f"https://{DOMAIN}/.well-known/jwks.json"
      wrong = "--header 'Content-Type: application/json' --data '{\"query\":\"mutation { logIn(email: \\\"NAME\\\", password: \\\"a wrong password\\\") { message } }\"}'"


      def burst(requests, source, options="", to=keys):
          """How often each status was the answer, of requests from one address."""
          command = f"curl --silent --cacert /tmp/ca.pem --interface {source} --output /dev/null --write-out '%{{http_code}}\\n'"
          lines = client.succeed(f"{command} {options} '{to}?[1-{requests}]'").split()
          return {status: lines.count(status) for status in sorted(set(lines))}

    ''
    + subtest limits.requests ''
      with subtest("what exceeds the limit of requests is refused, and another address is served meanwhile"):
          count = ${toString limits.requests.count}
          # A burst that lasts longer than the window gets a share of the next one, too.
          answers = burst(count + 50, "10.77.0.1")
          t.assertGreaterEqual(answers["200"], count)
          t.assertGreater(answers.get("429", 0), 0, answers)
          t.assertEqual(burst(10, "10.77.0.2"), {"200": 10})
    ''
    + subtest limits.failedLogIns ''
      with subtest("who guesses passwords of many accounts is told to wait, and others log in"):
          t.assertNotIn("errors", sign_up(client, "ada@example.org"))
          for number in range(${toString limits.failedLogIns.count}):
              guess = wrong.replace("NAME", f"user{number}@example.org")
              t.assertEqual(burst(1, "10.77.0.3", guess, f"https://{DOMAIN}/graphql"), {"200": 1})
          guess = wrong.replace("NAME", "another@example.org")
          t.assertEqual(burst(1, "10.77.0.3", guess, f"https://{DOMAIN}/graphql"), {"429": 1})
          t.assertNotIn("errors", log_in(client, "ada@example.org"))
    ''
    + subtest limits.hashes ''
      with subtest("who asks for more hashes than one address may have is told to wait, and goes on asking for less"):
          mutation = "--header 'Content-Type: application/json' --data '{\"query\":\"mutation { signUp }\"}'"
          count = ${toString limits.hashes.count}
          answers = burst(count + 10, "10.77.0.4", mutation, f"https://{DOMAIN}/graphql")
          t.assertEqual(answers["429"], 10, answers)
          t.assertEqual(burst(1, "10.77.0.4"), {"200": 1})
    '';
}
