# The same as `backup` where the accounts are in PostgreSQL, on a host of its own.
{ pkgs, ... }:
let
  # Made for this test. Nothing else is encrypted to it.
  key = pkgs.writeText "throwaway-age-key" "AGE-SECRET-KEY-13C338AVQLAG54G2ZNTJLN0MU8C8F9XKXE25X7QUC94F6YVPU0VFSDL6UL6\n";
in
{
  machines = [
    "gateway"
    "core1"
    "database"
    "client"
  ];

  # As a fleet has it: all hosts alike.
  settings =
    let
      backup.services.authstack.backup = {
        enable = true;
        recipients = [ "age1xmsg424smdv4qcay5w5ccp6v398s9ppla5azgdy5un9ksjkcnuhqsyhdvk" ];
      };
    in
    {
      gateway = backup;
      core1 = backup;
      database = backup;
    };

  testScript = ''
    start_all()
    trust(client, gateway)
    emails = [f"user{number}@example.org" for number in range(8)]
    for email in emails:
        t.assertNotIn("errors", sign_up(client, email))

    with subtest("the host of the database makes backups, and no other"):
        database.succeed("systemctl start authstack-backup.service")
        backups = database.succeed("ls /var/backup/authstack").split()
        t.assertEqual(len(backups), 1, backups)
        backup = f"/var/backup/authstack/{backups[0]}"
        t.assertTrue(database.succeed(f"head --lines=1 {backup}").startswith("age-encryption.org/v1"))
        for machine in [gateway, core1]:
            machine.fail("systemctl cat authstack-backup.service")

    with subtest("the disk is lost, and the database that comes up has no account"):
        core1.succeed("systemctl stop auth-core.service")
        database.succeed("systemctl stop postgresql.service; rm -rf /var/lib/postgresql/*")
        database.succeed("systemctl start postgresql.target")
        core1.succeed("systemctl start auth-core.service")
        trust(client, gateway)
        t.assertEqual(error_code(log_in(client, emails[0])), "INVALID_CREDENTIALS")

    with subtest("restored, everybody logs in, and no session is there but theirs"):
        as_postgres = "sudo -u postgres"
        restore = f"set -o pipefail; age --decrypt --identity ${key} {backup} | {as_postgres} pg_restore --exit-on-error --single-transaction --dbname=auth-core 2>&1"
        core1.succeed("systemctl stop auth-core.service")
        t.assertIn("already exists", database.fail(restore))
        database.succeed(f"{as_postgres} dropdb auth-core && {as_postgres} createdb --owner=auth-core auth-core")
        database.succeed(restore)
        sessions = f"{as_postgres} psql --no-align --tuples-only --dbname=auth-core --command='SELECT count(*) FROM sessions'"
        t.assertEqual(database.succeed(sessions).strip(), "0")
        core1.succeed("systemctl start auth-core.service")
        trust(client, gateway)
        for email in emails:
            t.assertNotIn("errors", log_in(client, email))
  '';
}
