# What all hosts log is on the monitor: a request's lines are found there by its trace, none is lost of those that are written while the way
# there is cut, and nobody who is not of the fleet writes there.
{
  machines = [
    "gateway"
    "core1"
    "monitor"
    "client"
  ];

  settings =
    let
      # Of an authority that the test makes, and one of a stranger's.
      sending =
        {
          config,
          pkgs,
          ...
        }:
        let
          stack = config.services.authstack;
          certificates = import ./certificates.nix {
            inherit pkgs;
            inherit (stack) nodes;
          };
        in
        {
          environment.systemPackages = [ pkgs.curl ];
          environment.etc."throwaway-certificates".source = certificates;
          services.authstack = {
            monitoring.logs.enable = true;
            internalTls = {
              ca = "/etc/throwaway-certificates/ca.pem";
              certificate = "/etc/throwaway-certificates/${stack.host}.pem";
              key = "/etc/throwaway-certificates/${stack.host}-key.pem";
            };
          };
        };
    in
    {
      gateway = sending;
      core1 = sending;
      monitor = sending;
    };

  testScript = ''
    start_all()
    trust(client, gateway)
    for host in [gateway, core1]:
        host.wait_for_unit("systemd-journal-upload.service")
    monitor.wait_for_unit("authstack-logs.service")
    # As docs/how-to/search-logs.md has it.
    search = "journalctl --quiet --merge --output=cat --grep="


    def request(query="{ me { email } }", **variables):
        """Something that gateway and core have a line of, here because it is refused: its trace."""
        return graphql(client, query, **variables)[1]["x-trace-id"]


    def lines(trace):
        """What the monitor has of a trace: who wrote a line, sorted."""
        found = monitor.execute(f"{search}{trace}")[1].splitlines()
        parsed = [json.loads(line) for line in found]
        assert all(line["trace_id"] == trace for line in parsed), found
        return sorted("gateway" if "route" in line else "core" for line in parsed)


    def wait_for_lines(traces):
        def all_there(_):
            # What was on its way when the way was cut can come twice.
            return all(set(lines(trace)) == {"core", "gateway"} for trace in traces)

        with monitor.nested(f"waiting until both lines of {len(traces)} traces are on the monitor"):
            retry(all_there, 240)


    def wait_until_taken(host):
        """Until the monitor has said that it has what the services of this host have written."""
        taken = "$(sed -n 's/^LAST_CURSOR=//p' /var/lib/systemd/journal-upload/state)"
        lines_after = f"journalctl --quiet --unit=auth-core --unit=haproxy --output=cat --after-cursor=\"{taken}\""
        host.wait_until_succeeds(f"lines=$({lines_after}) && test -z \"$lines\"", timeout=60)


    with subtest("the lines of a request are found on the monitor by its trace: the gateway's and the core's"):
        t.assertNotIn("errors", sign_up(client, "ada@example.org"))
        log_in_query = "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { message } }"
        first = request(log_in_query, email="ada@example.org", password=PASSWORD)
        wait_for_lines([first])
        hosts = monitor.succeed("journalctl --directory=/var/log/journal/remote --field=_HOSTNAME").split()
        t.assertEqual(set(hosts), {"gateway", "core1"})
        # Not of the two services alone.
        monitor.succeed("journalctl --quiet --directory=/var/log/journal/remote _PID=1 _HOSTNAME=core1 | grep -q auth-core")

    # The last line that was taken is sent once more after a restart: let it be another's.
    request()
    for host in [gateway, core1]:
        wait_until_taken(host)

    with subtest("what is written while the way to the monitor is cut comes later, and all of it"):
        monitor.succeed("ip link set eth1 down")
        meanwhile = [request() for _ in range(20)]
        # Both have tried, and one of them is killed at it.
        trying = "ss -Htn '( dport = :19532 )' | grep -E '^SYN-SENT|^ESTAB +[0-9]+ +[1-9]|^FIN-WAIT-1'"
        gateway.wait_until_succeeds(trying, timeout=60)
        core1.wait_until_succeeds(trying, timeout=60)
        core1.succeed("systemctl kill --signal=KILL systemd-journal-upload.service")
        core1.wait_until_succeeds(trying, timeout=60)
        meanwhile += [request() for _ in range(20)]
        t.assertEqual([trace for trace in meanwhile if lines(trace)], [])
        monitor.succeed("ip link set eth1 up")
        wait_for_lines(meanwhile)

    with subtest("nor is a line lost where those who take them are killed"):
        around = []
        for unit in ["systemd-journal-remote.service", "authstack-logs.service"]:
            around += [request() for _ in range(5)]
            monitor.succeed(f"systemctl kill --signal=KILL {unit}")
            around += [request() for _ in range(5)]
        wait_for_lines(around)

    with subtest("who goes on after a restart does not send all of it again"):
        for host in [gateway, core1]:
            wait_until_taken(host)
            host.succeed("systemctl restart systemd-journal-upload.service")
        last = request()
        wait_for_lines([last])
        t.assertEqual(lines(first), ["core", "gateway"])

    with subtest("a host that cannot send is told of, though for systemd it never fails"):
        def values(query):
            return [float(series["value"][1]) for series in ask(monitor, query)]

        upload = "name='systemd-journal-upload.service',node='core1'"
        restarts = f"node_systemd_service_restart_total{{{upload}}}"
        monitor.wait_for_unit("prometheus.service")
        with monitor.nested("waiting until Prometheus knows of core1"):
            retry(lambda _: len(values(restarts)) == 1, 60)
        before = values(restarts)[0]
        monitor.succeed("systemctl stop authstack-logs.service")
        with monitor.nested("waiting until the sender was started again twice"):
            retry(lambda _: values(restarts) > [before + 1], 120)
        t.assertEqual(values(f"node_systemd_unit_state{{{upload},state='failed'}}"), [0])
        # It fires when it is so for a quarter of an hour.
        with monitor.nested("waiting until the alert is pending"):
            retry(lambda _: len(values("ALERTS{alertname='LogsNotSent',node='core1'}")) == 1, 60)
        monitor.succeed("systemctl start authstack-logs.service")

    with subtest("only the fleet's hosts are taken in"):
        forged = "__REALTIME_TIMESTAMP=1700000000000000\\nMESSAGE=forged by someone\\n\\n"
        address = monitor.succeed("ss -Htln '( sport = :19532 )'").split()[3]


        def send(machine, certificate):
            """The status, 000 for none, of an upload with this certificate."""
            files = "/etc/throwaway-certificates"
            shown = f"--cert {files}/{certificate}.pem --key {files}/{certificate}-key.pem" if certificate else ""
            return machine.execute(
                f"printf '{forged}' | curl --silent --output /dev/null --write-out '%{{http_code}}' --max-time 5 --insecure {shown}"
                f" --header 'Content-Type: application/vnd.fdo.journal' --header 'Transfer-Encoding: chunked' --data-binary @- https://{address}/upload"
            )[1]


        t.assertEqual(send(core1, None), "000")
        t.assertEqual(send(core1, "stranger"), "000")
        # Hosts that are not of the fleet do not even reach it.
        t.assertNotEqual(client.execute(f"nc -z -w 2 {address.replace(':', ' ')}")[0], 0)
        monitor.fail("journalctl --quiet --merge --grep='forged by someone'")
        # It is not for another reason that they are refused.
        t.assertEqual(send(core1, "core1"), "202")
        monitor.wait_until_succeeds("journalctl --quiet --merge --grep='forged by someone'", timeout=30)
        monitor.succeed("journalctl --unit=authstack-logs | grep -E 'SSL handshake failure|SSL client'")
        # On the monitor itself nobody else can write there, but root.
        monitor.succeed("test $(stat --format=%a:%U:%G /run/authstack-logs.sock) = 660:root:systemd-journal-remote")
  '';
}
