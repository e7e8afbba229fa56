# What an attacker would look for: secrets in places that others can read, open ports, and a sandbox with holes.
{
  machines = [
    "single"
    "client"
  ];
  onlyVirtual = true;

  testScript = ''
    start_all()
    trust(client, single)
    t.assertNotIn("errors", sign_up(client, "ada@example.org", password="a password to look for"))
    token = log_in(client, "ada@example.org", password="a password to look for")["data"]["logIn"]["accessToken"]
    t.assertEqual(graphql(client, "{ me { email } }", token=token)[0], 200)

    with subtest("our units score as safe"):
        for unit, most in [("auth-core", 1.5), ("authstack-gateway-spans", 1.5), ("zipkin", 2.0)]:
            score = single.succeed(f"systemd-analyze security --no-pager {unit}.service | tail -n 1")
            print(score)
            t.assertLessEqual(float(score.split(":")[1].split()[0]), most, score)

    with subtest("the sandbox is there, and the service runs in it"):
        pid = single.succeed("systemctl show --property=MainPID --value auth-core").strip()
        status = single.succeed(f"cat /proc/{pid}/status")
        t.assertRegex(status, r"NoNewPrivs:\s+1")
        t.assertRegex(status, r"Seccomp:\s+2")
        t.assertRegex(status, r"CapEff:\s+0000000000000000")
        single.fail(f"nsenter --target {pid} --mount touch /etc/owned")
        single.succeed("echo private > /root/diary")
        single.fail(f"nsenter --target {pid} --mount cat /root/diary")

    with subtest("the service cannot take all memory, or more files than it has a use for"):
        kilobytes = int(single.succeed("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"))
        limit = int(single.succeed("systemctl show --property=MemoryMax --value auth-core"))
        t.assertTrue(0.7 * kilobytes < limit / 1024 < 0.8 * kilobytes, f"{limit} bytes of {kilobytes} kB")
        t.assertRegex(single.succeed(f"cat /proc/{pid}/limits"), r"Max open files\s+4096\s+4096\s")

    with subtest("secrets are their owner's alone"):
        single.succeed("test $(stat --format=%a /var/lib/private/auth-core/keys) = 700")
        for file in single.succeed("find /var/lib/private/auth-core/keys -type f").split():
            t.assertEqual(single.succeed(f"stat --format='%a %U' {file}").strip(), "600 auth-core", file)
        for file in single.succeed("find /var/lib/authstack -type f ! -name ca.pem").split():
            t.assertEqual(single.succeed(f"stat --format='%a %U' {file}").strip(), "600 root", file)
        single.succeed("test $(stat --format=%a /var/lib/private/auth-core/auth.db) = 600")

    with subtest("no secret shows where others can read"):
        secrets = ["a password to look for", token]
        for key in ["auth-core/keys/*.pem", "authstack/certificates/gateway.pem", "authstack/certificates/ca-key.pem"]:
            # A line from the midst of the key.
            line = single.succeed(f"sed -n '/PRIVATE KEY/,/PRIVATE KEY/p' /var/lib/{key} | sed -n 2p").strip()
            t.assertGreater(len(line), 20)
            secrets.append(line)
        for name in ["secret-key", "admin-password"]:
            secrets.append(single.succeed(f"cat /var/lib/authstack/grafana/{name}"))

        single.succeed("journalctl --flush; journalctl --no-pager --output=export > /tmp/journal")
        single.succeed("systemctl show --all '*' > /tmp/units")
        single.succeed("ps -eww -o args > /tmp/processes")
        # Kernel threads have no environment, nor has a process that ended meanwhile. Nothing else may be unreadable.
        single.succeed(
            "cat /proc/[0-9]*/environ 2>/tmp/unread | tr '\\0' '\\n' > /tmp/environments"
            " || ! grep -vE ': No such (process|file or directory)$' /tmp/unread"
        )
        for place in ["journal", "units", "processes", "environments"]:
            text = single.succeed(f"cat /tmp/{place}")
            t.assertGreater(len(text), 1000)
            for secret in secrets:
                t.assertNotIn(secret, text, f"{place} has a secret")

        # What the system is made of in the store: all files that its units and /etc name.
        single.succeed(
            "grep -RhoE '/nix/store/[a-z0-9]{32}-[^ /\"]*' /etc/systemd/system/ /etc/haproxy.cfg | sort -u > /tmp/paths"
        )
        for secret in secrets:
            single.fail(f"xargs --arg-file=/tmp/paths grep -rqsF -e {shlex.quote(secret)} --")

    with subtest("nobody but the gateway answers from outside"):
        for port in [3000, 8080, 8404, 9090, 9093, 9100, 9411]:
            single.wait_until_succeeds(f"ss -Htln | grep -q ':{port} '", timeout=120)
        listening = set(single.succeed("ss -Htln | awk '{print $4}' | sed 's/.*://' | sort -u").split())
        open_ports = {
            port
            for port in listening
            if client.execute(f"nc -z -w 2 {DOMAIN} {port}")[0] == 0
        }
        t.assertEqual(open_ports, {"80", "443"})
  '';
}
