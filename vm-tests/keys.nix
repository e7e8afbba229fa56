# Keys that were brought are rotated by reloads alone: no token is refused before its key is retired, and no request fails.
{ ... }:
let
  directory = "/var/lib/brought-keys";
in
{
  machines = [
    "single"
    "client"
  ];

  settings.single =
    { config, ... }:
    {
      services.authstack.auth-core.keys = { inherit directory; };
      # Stands for what brings secrets to servers, such as sops-nix.
      systemd.services.brought-keys = {
        requiredBy = [ "auth-core.service" ];
        before = [ "auth-core.service" ];
        serviceConfig.Type = "oneshot";
        serviceConfig.RemainAfterExit = true;
        path = [ config.services.authstack.auth-core.package ];
        script = "auth-core keys generate --set tokens.key_directory=${directory}";
      };
    };

  testScript = ''
    start_all()
    trust(client, single)
    pid = single.succeed("systemctl show --property=MainPID auth-core")


    def new_token():
        return log_in(client, "ada@example.org")["data"]["logIn"]["accessToken"]


    def published():
        keys = client.succeed(f"curl --silent --fail --cacert /tmp/ca.pem https://{DOMAIN}/.well-known/jwks.json")
        return {key["kid"] for key in json.loads(keys)["keys"]}


    def keys(command):
        """Changes the keys as an operator does, and lets the core know."""
        single.succeed(f"auth-core keys {command} --set tokens.key_directory=${directory} && systemctl reload auth-core")


    def is_good(token):
        return "errors" not in graphql(client, "{ me { email } }", token=token)[2]

    t.assertNotIn("errors", sign_up(client, "ada@example.org"))
    old = new_token()
    t.assertEqual(published(), {kid(old)})
    begin_load(client)

    with subtest("the next key is published before anything is signed with it"):
        keys("generate")
        t.assertEqual(len(published()), 2)
        t.assertEqual(kid(new_token()), kid(old))

    with subtest("then it signs, and tokens of the old one stay good"):
        keys("rotate --now")
        new = new_token()
        t.assertEqual({kid(old), kid(new)}, published())
        t.assertNotEqual(kid(old), kid(new))
        t.assertTrue(is_good(old) and is_good(new))

    with subtest("no request failed meanwhile, and the process is the same"):
        t.assertTrue(end_load(client)["passed"])
        t.assertEqual(single.succeed("systemctl show --property=MainPID auth-core"), pid)

    with subtest("a key that is retired takes its tokens with it"):
        keys(f"retire {kid(old)} --now")
        t.assertEqual(published(), {kid(new)})
        t.assertFalse(is_good(old))
        t.assertTrue(is_good(new))

    with subtest("a broken directory changes nothing, and the log says why"):
        single.succeed("echo broken > ${directory}/broken.pem && systemctl reload auth-core")
        single.wait_until_succeeds("journalctl --unit=auth-core --no-pager | grep 'broken.pem'", timeout=10)
        t.assertEqual(published(), {kid(new)})
        t.assertTrue(is_good(new))

    with subtest("the core's copy is its own alone"):
        for file in single.succeed("find /run/auth-core/keys -type f").split():
            t.assertEqual(single.succeed(f"stat --format='%a %U' {file}").strip(), "600 auth-core", file)
  '';
}
