# A sign-up that was acknowledged is there after the power failed, however busy the moment was.
{ pkgs, ... }:
{
  machines = [
    "single"
    "client"
  ];
  # Containers have no power to lose.
  onlyVirtual = true;

  settings.single.environment.systemPackages = [ pkgs.sqlite ];

  testScript = ''
    start_all()
    trust(client, single)

    # Signs up one account after the other, and writes down those that were acknowledged.
    client.succeed(
        "cat > /tmp/sign-up <<'END'\n"
        "for number in $(seq 100000); do\n"
        "  email=user$1-$number@example.org\n"
        "  curl --silent --max-time 5 --interface $2 --cacert /tmp/ca.pem --header 'Content-Type: application/json'"
        f" --data '{{\"query\":\"mutation {{ signUp(email: \\\"'$email'\\\", password: \\\"{PASSWORD}\\\") {{ accessToken }} }}\"}}'"
        f" https://{DOMAIN}/graphql | grep -q '\"accessToken\":\"ey' && echo $email >> /tmp/acknowledged-$1\n"
        "done\n"
        "END"
    )
    everybody = "cat /tmp/acknowledged-*"

    before = 0
    for outage in range(3):
        with subtest(f"power cut {outage + 1}"):
            give_addresses(client, single)
            for worker in range(4):
                client.succeed(f"systemd-run --unit=sign-up-{outage}-{worker} --setenv=PATH=$PATH sh /tmp/sign-up {outage}-{worker} 10.77.0.{10 * outage + worker + 1}")
            client.wait_until_succeeds(f"test $({everybody} | wc -l) -ge {before + 40}", timeout=120)
            single.crash()
            client.succeed(f"systemctl stop 'sign-up-{outage}-*'")
            acknowledged = client.succeed(everybody).split()
            before = len(acknowledged)
            single.start()
            trust(client, single)
            stored = single.succeed("sqlite3 /var/lib/private/auth-core/auth.db 'SELECT email FROM accounts'").split()
            t.assertEqual(set(acknowledged) - set(stored), set())

    with subtest("and they are accounts that one can log in to"):
        for email in acknowledged[-5:]:
            t.assertNotIn("errors", log_in(client, email))
  '';
}
