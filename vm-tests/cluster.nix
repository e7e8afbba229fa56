# The fleet of examples/cluster.nix, of which any machine may be lost: each in turn is, while accounts are made without a pause. None that
# was acknowledged is lost, and no request fails but those that come while the machine of the database's primary, or of the gateway that has the address, is not missed yet.
# The monitor tells of each member of the database that is away, and of none that is well.
{ lib, pkgs }:
let
  panels = map (query: query.expr) (
    lib.filter (query: lib.hasInfix ": Cluster: " query.panel || lib.hasInfix ": etcd: " query.panel) (
      import ../nixos-modules/render/tests/queries.nix { clustered = true; }
    )
  );
  example = import ../examples/cluster.nix { config.networking.hostName = throw "nodes do not depend on the host"; };
in
{
  fleet = lib.mapAttrs (_: node: removeAttrs node [ "address" ]) example.services.authstack.nodes;
  modules = [ ../examples/cluster.nix ];
  # Containers have no power to lose.
  onlyVirtual = true;
  timeout = 2400;

  testScript = ''
    # After the loss of a machine, how long requests may fail, in seconds: until the primary's lease, of 20 s, has run out, another one has taken
    # over, and the cores are connected to it; until the other gateway has the address.
    PRIMARY = 30
    GATEWAY = 4
    # How long to look for requests that fail where none may: longer than any of them takes.
    OTHERS = 15
    WORKERS = 3
    monitor = monitors[0]

    start_all()


    def members():
        """What Patroni says of each member, by its name; of none when no member can tell."""
        for database in databases:
            if database.booted:
                status, text = database.execute("authstack-patronictl list --format json")
                # A member that was away may have told what it knew before.
                leader = database.execute("authstack-etcdctl get --print-value-only /service/authstack/leader")[1].strip()
                if status == 0:
                    found = {member["Member"]: member for member in json.loads(text)}
                    return found if found.get(leader, {}).get("Role") == "Leader" else {}
        return {}


    def named(role):
        """The machine of the member that has a role. All are well: one leads, one has each write as soon as it is acknowledged, one follows."""
        found = []

        def are_well(_last):
            now = members().values()
            found.clear()
            found.extend(database for database in databases for member in now if (member["Member"], member["Role"]) == (database.name, role))
            return (
                sorted(member["Role"] for member in now) == ["Leader", "Replica", "Sync Standby"]
                and all(member["State"] in ["running", "streaming"] for member in now)
                and len({member["TL"] for member in now}) == 1
            )

        retry(are_well, 120)
        return found[0]


    def wait_for_all():
        named("Leader")
        for gateway in gateways:
            address = gateway.succeed("sed -n 's/.*bind \\(.*:8404\\).*/\\1/p' /etc/haproxy.cfg").strip()
            for core in cores:
                gateway.wait_until_succeeds(
                    f"curl --silent http://{address}/metrics"
                    f" | grep -F 'haproxy_server_status{{proxy=\"auth-core\",server=\"{core.name}\",state=\"UP\"}} 1'",
                    timeout=120,
                )
            # Each request comes from another address.
            give_addresses(client, gateway)
        # Whoever was away has heard by now that the other one has the address.
        retry(lambda _last: len(holders()) == 1, 60)


    def holders():
        return [gateway for gateway in gateways if "192.168.1.250/" in gateway.succeed("ip -br address show dev eth1")]


    # Signs up one account after the other, and writes down what came of each: when it was asked for, when it was answered, and the answer.
    client.succeed(
        "cat > /tmp/sign-up <<'END'\n"
        "for number in $(seq 100000); do\n"
        "  email=user$1-$number@example.org begin=$(date +%s.%N)\n"
        "  answer=$(curl --silent --max-time 15 --connect-timeout 1 --interface 10.77.0.$((number % 80 + 80 * $1 + 1)) --cacert /tmp/ca.pem"
        " --header \"Idempotency-Key: $email\" --header 'Content-Type: application/json'"
        f" --data '{{\"query\":\"mutation {{ signUp(email: \\\"'$email'\\\", password: \\\"{PASSWORD}\\\") {{ accessToken }} }}\"}}'"
        f" https://{DOMAIN}/graphql) || answer=\"curl:$?\"\n"
        "  case $answer in *'\"accessToken\":\"ey'*) answer=ok ;; esac\n"
        "  printf '%s %s %s %s\\n' $begin $(date +%s.%N) $email \"$(printf %s \"$answer\" | tr -d '\\n')\" >> /tmp/answers-$1\n"
        "  sleep 0.1\n"
        "done\n"
        "END"
    )


    def answers():
        """[(begin, end, email, answer)] of all sign-ups that have been answered."""
        lines = client.succeed("cat /tmp/answers-*").splitlines()
        split = [line.split(" ", 3) for line in lines]
        return [(float(begin), float(end), email, answer) for begin, end, email, answer in split]


    def alerts(node=".*"):
        """The names of the alerts about the database's cluster, or one of its hosts, that fire or are going to."""
        names = "Database.+|NoSynchronousCopy|FailoverPaused|PostgresRestartPending|Etcd.+"
        return {series["metric"]["alertname"] for series in ask(monitor, f"ALERTS{{alertname=~'{names}',node=~'{node}'}}")}


    def lose(machine, what, allowed, comes_back=False):
        """Loses a machine, or the way to it for a while. Fails for an account that was acknowledged and is not there, and for requests that fail later than allowed."""
        known = len(answers())
        client.wait_until_succeeds(f"test $(cat /tmp/answers-* | wc -l) -ge {known + 10}", timeout=30)
        at = float(client.succeed("date +%s.%N"))
        # Nobody is told of its end: what its system would send as it dies does not arrive.
        machine.block()
        if not comes_back:
            machine.crash()
        # All that is noticed is noticed before the machine is back.
        client.wait_until_succeeds(
            "for worker in /tmp/answers-*; do"
            f" tail -n 1 $worker | awk '{{ exit !($1 > {at} + {max(allowed, OTHERS)}) }}' || exit 1; done",
            timeout=90,
        )
        if machine in databases:
            t.assertGreaterEqual(alerts(machine.name), {"DatabaseClusterDegraded", "EtcdMemberDown"}, what)
        failed = sorted((round(begin - at, 1), round(end - at, 1), answer) for begin, end, _, answer in answers() if end > at and answer != "ok")
        slowest = max(end - begin for begin, end, _, answer in answers() if end > at and answer == "ok")
        print(f"{what}: {len(failed)} failed, the last after {max((end for _, end, _ in failed), default=0)} s; the slowest that did not took {slowest:.1f} s")
        for begin, end, answer in failed[:3] + failed[-3:]:
            print(f"  {begin} to {end}: {answer[:200]}")
        assert all(begin <= allowed for begin, _, _ in failed), f"{what}: a request failed after more than {allowed} s"
        if not allowed:
            t.assertEqual(failed, [], what)
        if comes_back:
            machine.unblock()
        else:
            machine.start()
        wait_for_all()
        primary = named("Leader")
        stored = primary.succeed(
            "sudo -u patroni psql --no-psqlrc --host=/run/postgresql --username=postgres --no-align --tuples-only"
            " --command='SELECT email FROM accounts' auth-core"
        ).split()
        acknowledged = [email for _, _, email, answer in answers() if answer == "ok"]
        t.assertEqual(set(acknowledged) - set(stored), set(), what)
        for email in acknowledged[-3:]:
            t.assertNotIn("errors", log_in(client, email))


    for database in databases:
        database.wait_for_unit("patroni.service")
    named("Leader")
    trust(client, *gateways)
    wait_for_all()

    with subtest("the monitor reaches every part, reads what is there, and has nothing to tell"):
        retry(lambda _last: len(ask(monitor, "up == 1")) == 26, 180)
        t.assertEqual(ask(monitor, "up == 0"), [])
        for query in json.loads(r"""${builtins.toJSON panels}"""):
            retry(lambda _last, query=query: len(ask(monitor, query)) > 0, 120)
        rules = "curl --silent --fail http://127.0.0.1:9090/api/v1/rules"
        names = monitor.succeed(f"{rules} | grep -oE '(patroni|etcd)_[a-z_]+' | sort -u").split()
        t.assertEqual(len(names), 10, names)
        for name in names:
            t.assertEqual(len(ask(monitor, f"count by (node) ({name})")), len(databases), name)
        # Whatever was amiss while the cluster was made.
        retry(lambda _last: not alerts(), 60)

    for worker in range(WORKERS):
        client.succeed(f"systemd-run --unit=sign-up-{worker} --setenv=PATH=$PATH sh /tmp/sign-up {worker}")
    client.wait_until_succeeds(f"test $(ls /tmp/answers-* | wc -l) = {WORKERS}", timeout=30)

    with subtest("nobody else reaches the database"):
        for port in [2379, 2380, 2381, 5432, 8008]:
            client.fail(f"nc -z -w 2 {databases[0].name} {port}")

    with subtest("the primary of the database is lost"):
        lose(named("Leader"), "primary", allowed=PRIMARY)

    # Before that version it can take the lease from its successor (render/database/patroni.nix).
    ${lib.optionalString (lib.versionAtLeast pkgs.patroni.version "3.0.4") ''
      with subtest("the primary of the database is cut off, and comes back after another has taken over"):
          lose(named("Leader"), "primary that is cut off", allowed=PRIMARY, comes_back=True)
    ''}
    with subtest("the copy is lost that has each write when it is acknowledged"):
        lose(named("Sync Standby"), "synchronous standby", allowed=0)

    with subtest("the other copy is lost"):
        lose(named("Replica"), "replica", allowed=0)

    for core in cores:
        with subtest(f"{core.name} is lost"):
            lose(core, core.name, allowed=0)

    with subtest("the gateway is lost that has the address"):
        lose(holders()[0], "gateway with the address", allowed=GATEWAY)

    with subtest("the other gateway is lost"):
        lose([gateway for gateway in gateways if gateway not in holders()][0], "other gateway", allowed=0)

    with subtest("the monitor has nothing more to tell"):
        retry(lambda _last: not alerts(), 60)

    with subtest("the monitor is lost, and reaches every part when it is back"):
        lose(monitor, "monitor", allowed=0)
        monitor.wait_until_succeeds("curl --silent --fail http://127.0.0.1:9090/-/ready", timeout=120)
        retry(lambda _last: len(ask(monitor, "up == 1")) == 26, 180)

    with subtest("each member makes backups, of its own copy"):
        for database in databases:
            database.succeed("systemctl start authstack-backup.service")
            t.assertEqual(len(database.succeed("ls /var/backup/authstack").split()), 1)
  '';
}
