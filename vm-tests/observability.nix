# Who runs the stack sees what it does: every part is measured, an outage is told and its end too, a request can be followed
# from the gateway into the core, and the dashboards show something in every panel.
{ lib, ... }:
let
  empty = [
    # Where all is well.
    "Authstack: hosts: Units that failed, by name"
    "Authstack: overview: What fires"
    # In a container, which must not ask the kernel about its clock.
    "Authstack: hosts: Clock kept right"
    # This fleet makes none; the test `backup` does.
    "Authstack: database: Backups: age of the newest"
    "Authstack: database: Backups: size of the newest"
    # Of which the exporter of Debian 12 knows nothing.
    "Authstack: database: PostgreSQL: replication lag"
  ];
  queries = map (query: query.expr) (
    lib.filter (query: !lib.elem query.panel empty) (
      import ../nixos-modules/render/tests/queries.nix { clustered = false; }
    )
  );
in
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "monitor"
    "client"
  ];

  settings.monitor =
    { config, pkgs, ... }:
    {
      # No patience in tests.
      services.prometheus.alertmanager.configuration = lib.mkForce (
        import ../nixos-modules/render/alertmanager.nix {
          inherit (config.services.authstack.monitoring) receivers;
          groupWait = "1s";
          groupInterval = "1s";
        }
      );
      # The test puts the files there.
      services.authstack.monitoring.probe = {
        enable = true;
        caFile = "/run/canary/ca.pem";
        account.email = "canary@example.org";
        account.passwordFile = "/run/canary/password";
      };
      services.authstack.monitoring.receivers = [
        {
          name = "listener";
          webhook_configs = [ { url = "http://127.0.0.1:5001/"; } ];
        }
      ];
      # Writes down what a receiver of alerts is told.
      systemd.services.listener = {
        wantedBy = [ "multi-user.target" ];
        script = "exec ${pkgs.python3}/bin/python3 ${./listener.py}";
      };
    };

  testScript = ''
    start_all()
    trust(client, gateway)
    # The probe waits for its files.
    certificates = gateway.succeed("cat /var/lib/authstack/certificates/ca.pem")
    monitor.succeed(f"mkdir /run/canary; printf %s '{PASSWORD}' > /run/canary/password; cat > /run/canary/ca.pem <<'END'\n{certificates}END")
    monitor.wait_for_unit("authstack-probe.service")
    for unit in ["prometheus", "alertmanager", "zipkin", "grafana", "listener"]:
        monitor.wait_for_unit(f"{unit}.service")


    def wait_for(what, condition, seconds=180):
        def check(_):
            return bool(condition())

        with monitor.nested(f"waiting until {what}"):
            retry(check, seconds)


    with subtest("every part is measured"):
        wait_for("all targets are up", lambda: len(ask(monitor, "up == 1")) == 13)
        t.assertEqual(ask(monitor, "up == 0"), [])
        jobs = {(series["metric"]["job"], series["metric"]["node"]) for series in ask(monitor, "up")}
        t.assertEqual(
            jobs,
            {("auth-core", "core1"), ("auth-core", "core2"), ("gateway", "gateway")}
            | {("node-exporter", node) for node in ["core1", "core2", "database", "gateway", "monitor"]}
            | {("postgres-exporter", "database")}
            | {(job, "monitor") for job in ["alertmanager", "probe", "prometheus", "zipkin"]},
        )

    with subtest("PostgreSQL lets its exporter in, by the socket and without rights to read what is stored"):
        t.assertEqual([series["value"][1] for series in ask(monitor, "pg_up")], ["1"])
        t.assertEqual(ask(monitor, "pg_database_size_bytes{datname='auth-core'}")[0]["metric"]["node"], "database")
        as_exporter = "setpriv --reuid=postgres-exporter --regid=postgres-exporter --clear-groups psql --host=/run/postgresql --dbname=auth-core --no-align --tuples-only --command="
        t.assertEqual(database.succeed(as_exporter + "'SELECT rolsuper FROM pg_roles WHERE rolname = current_user'").strip(), "f")
        t.assertIn("permission denied", database.fail(as_exporter + "'SELECT email FROM accounts' 2>&1"))
        client.fail("curl --silent --max-time 3 http://database:9187/metrics")

    with subtest("every part says in which format its metrics are: Prometheus 3 guesses no longer"):
        accepts = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
        targets = json.loads(monitor.succeed("curl --silent http://127.0.0.1:9090/api/v1/targets"))["data"]["activeTargets"]
        t.assertEqual(len(targets), 13)
        for url in [target["scrapeUrl"] for target in targets]:
            kind = monitor.succeed(f"curl --silent --output /dev/null --write-out '%{{content_type}}' --header 'Accept: {accepts}' {url}")
            t.assertRegex(kind, r"^(text/plain; ?version=0\.0\.4|text/plain; ?version=1\.0\.0|application/openmetrics-text)", url)

    with subtest("a request is one trace, from the gateway to the core"):
        answer = sign_up(client, "ada@example.org")
        t.assertNotIn("errors", answer)
        _, headers, _ = graphql(client, "{ __typename }")
        trace = headers["x-trace-id"]
        found = f"curl --silent --fail http://$(sed -n 's/.*ip=\\([0-9.]*\\).*/\\1/p' /etc/systemd/system/zipkin.service | head -n 1):9411/api/v2/trace/{trace}"
        # Both report once a second.
        spans = json.loads(monitor.wait_until_succeeds(f"{found} | grep '\"gateway\"' | grep '\"auth-core\"'", timeout=60))
        roots = [span for span in spans if "parentId" not in span]
        t.assertEqual([span["localEndpoint"]["serviceName"] for span in roots], ["gateway"], spans)
        cores = [span for span in spans if span["localEndpoint"]["serviceName"] == "auth-core"]
        t.assertIn(roots[0]["id"], {span["parentId"] for span in cores})
        t.assertEqual({span["tags"].get("node") for span in spans}, {headers["x-served-by"]})
        gateway.succeed(f"journalctl --unit=haproxy --no-pager | grep {trace}")

    with subtest("every panel of the dashboards shows something"):
        begin_load(client)
        for query in json.loads(r"""${builtins.toJSON queries}"""):
            wait_for(f"there is data for {query}", lambda query=query: ask(monitor, query))
        end_load(client)

    with subtest("the monitor sees the public name as a client does, and nobody else asks its probe"):
        t.assertNotIn("errors", sign_up(client, "canary@example.org"))
        for step in ["certificate", "answer", "log_in"]:
            wait_for(f"the probe's {step} succeeds", lambda step=step: ask(monitor, f"auth_probe_success{{step='{step}'}} == 1"))
        # As the internal authority makes them.
        t.assertGreater(float(ask(monitor, "auth_probe_certificate_expires_timestamp_seconds - time()")[0]["value"][1]), 86400)
        client.fail("curl --silent --max-time 3 http://monitor:9412/metrics")
        monitor.succeed("systemctl stop authstack-probe.service && rm /run/canary/password && systemctl start --no-block authstack-probe.service")
        wait_for("it is told that nobody probes", lambda: ask(monitor, "ALERTS{alertname='TargetDown',alertstate='firing',job='probe'}"))
        monitor.succeed(f"printf %s '{PASSWORD}' > /run/canary/password")
        monitor.wait_for_unit("authstack-probe.service")

    with subtest("a core's end is told, and its return"):
        told = "cat /tmp/alerts"
        core1.succeed("systemctl stop auth-core.service")
        monitor.wait_until_succeeds(f"{told} | grep -E 'firing NodeOutOfRotation.* core1'", timeout=180)
        monitor.succeed("curl --silent --fail http://127.0.0.1:9093/api/v2/alerts | grep -q NodeOutOfRotation")
        core1.succeed("systemctl start auth-core.service")
        monitor.wait_until_succeeds(f"{told} | grep -E 'resolved NodeOutOfRotation.* core1'", timeout=120)

    with subtest("Grafana answers, and has its files"):
        monitor.succeed("curl --silent --fail http://127.0.0.1:3000/api/health")
  '';
}
