# The keys that sign tokens are rotated on all cores of the fleet, under load: no request fails, and no token is refused before its key is retired.
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];

  testScript = ''
    start_all()
    trust(client, *gateways)
    directory = "/var/lib/throwaway-keys"


    def new_token():
        return log_in(client, "ada@example.org")["data"]["logIn"]["accessToken"]


    def is_good(token):
        """At each core: they answer in turn."""
        answers = [graphql(client, "{ me { email } }", token=token)[2] for _ in range(2 * len(cores))]
        return all("errors" not in answer for answer in answers)


    def keys(command):
        """Changes the keys on one host, brings them to the others, and lets the cores know."""
        cores[0].succeed(f"auth-core keys {command} --set tokens.key_directory={directory}")
        ring = cores[0].succeed(f"tar --create --directory {directory} . | base64 --wrap=0")
        for core in cores[1:]:
            core.succeed(f"echo {ring} | base64 --decode | tar --extract --directory {directory}")
        for core in cores:
            core.succeed("systemctl reload auth-core")

    t.assertNotIn("errors", sign_up(client, "ada@example.org"))
    pids = [core.succeed("systemctl show --property=MainPID auth-core") for core in cores]
    old = new_token()
    begin_load(client)

    with subtest("the next key is known everywhere before anything is signed with it"):
        keys("generate")
        t.assertEqual(kid(new_token()), kid(old))

    with subtest("then it signs at every core, and tokens of the old one stay good"):
        keys("rotate --now")
        new = [new_token() for _ in range(2 * len(cores))]
        t.assertEqual(len({kid(token) for token in new}), 1)
        t.assertNotEqual(kid(new[0]), kid(old))
        t.assertTrue(is_good(old) and is_good(new[0]))

    with subtest("no request failed meanwhile, and no core was restarted"):
        report = end_load(client)
        t.assertEqual(report["failed"], 0, report["failures"])
        t.assertEqual([core.succeed("systemctl show --property=MainPID auth-core") for core in cores], pids)

    with subtest("a key that is retired takes its tokens with it, at every core"):
        for core in cores:
            core.succeed(f"auth-core keys retire {kid(old)} --now --set tokens.key_directory={directory} && systemctl reload auth-core")
        answers = [graphql(client, "{ me { email } }", token=old)[2] for _ in range(2 * len(cores))]
        t.assertEqual({error_code(answer) for answer in answers}, {"UNAUTHENTICATED"})
        t.assertTrue(is_good(new[0]))
  '';
}
