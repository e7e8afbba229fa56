# The disk is lost, and everybody has their account back: by the timer's unit, age, and the commands of docs/how-to/back-up-and-restore.md.
{ pkgs, ... }:
let
  # Made for this test. Nothing else is encrypted to it.
  key = pkgs.writeText "throwaway-age-key" "AGE-SECRET-KEY-13C338AVQLAG54G2ZNTJLN0MU8C8F9XKXE25X7QUC94F6YVPU0VFSDL6UL6\n";
  another = pkgs.writeText "another-age-key" "AGE-SECRET-KEY-1PT7LTHEFN6SAECDYEAKZ6RS7KCXS68HHT8RCHUYQHAHALAHYC5ZQ7M5FX0\n";
in
{
  machines = [
    "single"
    "client"
  ];

  settings.single.services.authstack.backup = {
    enable = true;
    recipients = [ "age1xmsg424smdv4qcay5w5ccp6v398s9ppla5azgdy5un9ksjkcnuhqsyhdvk" ];
    keep = 2;
  };

  testScript = ''
    start_all()
    trust(client, single)
    single.wait_for_unit("prometheus.service")
    emails = [f"user{number}@example.org" for number in range(8)]
    for email in emails:
        t.assertNotIn("errors", sign_up(client, email))


    def waits(query, series):
        """Waits until a query has so many series."""

        def check(_):
            return len(ask(single, query)) == series

        with single.nested(f"{series} series of {query}"):
            retry(check, 60)


    groups = json.loads(single.succeed("curl --silent http://127.0.0.1:9090/api/v1/rules"))["data"]["groups"]
    too_old = [rule["query"] for group in groups for rule in group["rules"] if rule["name"] == "BackupTooOld"][0]

    with subtest("a host that never made a backup is an alert"):
        waits(too_old, 1)

    with subtest("the unit makes one, encrypted and for root's eyes alone, and it is measured"):
        single.wait_for_unit("authstack-backup.timer")
        single.succeed("systemctl start authstack-backup.service")
        backups = single.succeed("ls /var/backup/authstack").split()
        t.assertEqual(len(backups), 1, backups)
        backup = f"/var/backup/authstack/{backups[0]}"
        t.assertTrue(single.succeed(f"head --lines=1 {backup}").startswith("age-encryption.org/v1"))
        single.fail(f"grep --quiet --text {emails[0]} {backup}")
        t.assertEqual(single.succeed(f"stat --format=%a /var/backup/authstack {backup}").split(), ["700", "600"])
        waits("auth_backup_last_success_timestamp_seconds", 1)
        waits("auth_backup_size_bytes > 1000", 1)
        waits(too_old, 0)

    with subtest("it has no more rights than the service"):
        score = single.succeed("systemd-analyze security --no-pager authstack-backup.service | tail -n 1")
        print(score)
        t.assertLessEqual(float(score.split(":")[1].split()[0]), 1.5, score)

    with subtest("nothing that is not encrypted is left, neither by it nor by one that failed"):
        single.succeed("mv /var/lib/private/auth-core/auth.db /var/lib/private/auth-core/away")
        single.fail("systemctl start authstack-backup.service")
        single.succeed("mv /var/lib/private/auth-core/away /var/lib/private/auth-core/auth.db")
        t.assertEqual(single.succeed("ls /var/backup/authstack").split(), backups)
        t.assertEqual(single.succeed("find /tmp /var/tmp -name accounts").split(), [])

    with subtest("the disk is lost, and with a new one nobody has an account"):
        single.succeed("systemctl stop auth-core.service; rm -rf /var/lib/private/auth-core; systemctl start auth-core.service")
        trust(client, single)
        t.assertEqual(error_code(log_in(client, emails[0])), "INVALID_CREDENTIALS")

    with subtest("what is there is not overwritten, and another's key opens nothing"):
        restore = f"set -o pipefail; age --decrypt --identity KEY {backup} | auth-core restore - --config /etc/auth-core.toml 2>&1"
        t.assertIn("a restore overwrites nothing", single.fail(restore.replace("KEY", "${key}")))
        single.succeed("systemctl stop auth-core.service; mkdir /root/before; mv /var/lib/auth-core/auth.db* /root/before")
        t.assertIn("-: it is empty", single.fail(restore.replace("KEY", "${another}")))
        single.fail("ls /var/lib/auth-core/auth.db")

    with subtest("restored, everybody logs in"):
        print(single.succeed(restore.replace("KEY", "${key}")))
        t.assertEqual(single.succeed("stat --format=%a /var/lib/auth-core/auth.db").strip(), "600")
        single.succeed("systemctl start auth-core.service")
        trust(client, single)
        for email in emails:
            t.assertNotIn("errors", log_in(client, email))
        events = single.succeed("auth-core audit --last 10 --config /etc/auth-core.toml")
        t.assertIn("backup_restored", events)

    with subtest("only the newest are kept"):
        for _ in range(2):
            single.succeed("while [ -e /var/backup/authstack/accounts-$(date -u +%Y%m%dT%H%M%SZ).age ]; do sleep 0.1; done")
            single.succeed("systemctl start authstack-backup.service")
        kept = single.succeed("ls /var/backup/authstack").split()
        t.assertEqual(len(kept), 2)
        t.assertNotIn(backups[0], kept)
  '';
}
