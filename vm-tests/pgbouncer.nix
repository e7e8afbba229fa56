# Cores with more connections than PostgreSQL lends them, by the PgBouncer of each member: all goes through it, none of the cores leaves
# anything behind on a connection that others get, and the primary's PgBouncer is lost with its machine.
{ lib, ... }:
let
  shared = 2;
  member = {
    services.authstack.database.cluster.pgbouncer.enable = true;
    services.pgbouncer.settings.pgbouncer.default_pool_size = lib.mkForce shared;
  };
  core.services.authstack.database.cluster.pgbouncer.enable = true;
in
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database1"
    "database2"
    "database3"
    "client"
  ];
  onlyVirtual = true;

  settings = {
    core1 = core;
    core2 = core;
    database1 = member;
    database2 = member;
    database3 = member;
  };

  testScript = ''
    SHARED = ${toString shared}
    start_all()


    def psql(user, where, sql):
        return f"sudo -u {user} psql --no-psqlrc --no-align --tuples-only {where} --command={shlex.quote(sql)}"


    def postgresql(sql):
        return psql("patroni", "--host=/run/postgresql --username=postgres auth-core", sql)


    def primary():
        """The machine of the primary, as soon as a copy follows it that may take its place."""
        sql = "SELECT NOT pg_is_in_recovery() AND EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')"
        found = []

        def is_there(_last):
            found.clear()
            found.extend(database for database in databases if database.booted and database.execute(postgresql(sql)) == (0, "t\n"))
            return len(found) == 1

        retry(is_there, 180)
        return found[0]


    def of_cores(database):
        """How many connections the cores have to PgBouncer, and PgBouncer for them to PostgreSQL."""
        pools = database.succeed(psql("pgbouncer", "--host=/run/pgbouncer --port=6432 --username=pgbouncer pgbouncer", "SHOW CLIENTS"))
        clients = [line for line in pools.splitlines() if "|auth-core|auth-core|" in line]
        return len(clients), int(database.succeed(postgresql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'auth-core'")))


    def wait_for_cores():
        address = gateway.succeed("sed -n 's/.*bind \\(.*:8404\\).*/\\1/p' /etc/haproxy.cfg").strip()
        for core in cores:
            gateway.wait_until_succeeds(
                f"curl --silent http://{address}/metrics"
                f" | grep -F 'haproxy_server_status{{proxy=\"auth-core\",server=\"{core.name}\",state=\"UP\"}} 1'",
                timeout=120,
            )


    def wait_for_crowd(database):
        """Waits until the cores have more connections than there are."""
        retry(lambda _last: of_cores(database)[0] > SHARED, 60)


    first = primary()
    trust(client, gateway)
    wait_for_cores()
    t.assertNotIn("errors", sign_up(client, "ada@example.org"))
    token = log_in(client, "ada@example.org")["data"]["logIn"]["accessToken"]

    with subtest("nobody but the cores reaches PgBouncer, and nobody else reads the password"):
        client.fail(f"nc -z -w 2 {first.name} 6432")
        t.assertEqual(first.succeed("stat --format='%a %U' /run/pgbouncer/users").strip(), "600 pgbouncer")

    begin_load(client)

    with subtest("the cores have more connections than PostgreSQL"):
        wait_for_crowd(first)
        for _ in range(20):
            clients, lent = of_cores(first)
            assert 0 < lent <= SHARED, f"{lent} connections to PostgreSQL for {clients} of the cores"

    with subtest("cores that come and go leave no lock behind"):
        for core in cores * 3:
            core.succeed("systemctl restart auth-core.service")
            wait_for_cores()
        t.assertEqual(first.succeed(postgresql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).strip(), "0")

    with subtest("no request failed meanwhile"):
        report = end_load(client)
        t.assertEqual(report["failed"], 0, report)

    with subtest("the primary is lost under load, and another takes over, behind its own PgBouncer"):
        begin_load(client, unit="load-over-loss")
        wait_for_crowd(first)
        first.crash()
        second = primary()
        assert second is not first
        retry(lambda _last: "errors" not in log_in(client, "ada@example.org"), 60)
        t.assertEqual(graphql(client, "{ me { email } }", token=token)[2]["data"]["me"]["email"], "ada@example.org")
        wait_for_crowd(second)
        clients, lent = of_cores(second)
        assert 0 < lent <= SHARED, f"{lent} connections to PostgreSQL for {clients} of the cores"
        end_load(client, unit="load-over-loss")
  '';
}
