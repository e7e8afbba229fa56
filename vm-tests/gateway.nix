# Services of one's own behind the gateway: routes, tokens that it checks by itself, and keys that reach it by themselves.
{
  machines = [
    "single"
    "client"
  ];

  settings.single =
    { config, pkgs, ... }:
    let
      inherit (config.services.authstack.nodes.single) address;
      sample = version: port: {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${
          pkgs.callPackage ../lab/sample-service.nix { }
        }/bin/sample-service 127.0.0.1:${toString port} ${version}";
        serviceConfig.DynamicUser = true;
      };
      servers = {
        "127.0.0.1:9001".weight = 50;
        "127.0.0.1:9002".weight = 50;
      };
    in
    {
      environment.systemPackages = [ pkgs.netcat ];
      systemd.services.sample1 = sample "v1" 9001;
      systemd.services.sample2 = sample "v2" 9002;
      # Between gateway and core, too: certificates of an authority that the test makes.
      services.authstack.internalTls = {
        ca = "/etc/internal/ca.pem";
        certificate = "/etc/internal/single.pem";
        key = "/etc/internal/single-key.pem";
      };
      systemd.services.make-certificates = {
        requiredBy = [
          "auth-core.service"
          "haproxy.service"
        ];
        before = [
          "auth-core.service"
          "haproxy.service"
        ];
        path = [ pkgs.openssl ];
        script = ''
          mkdir -p /etc/internal
          cd /etc/internal
          new="-x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30"
          openssl req $new -subj "/CN=internal" -addext keyUsage=critical,keyCertSign -keyout ca-key.pem -out ca.pem
          sign="-CA ca.pem -CAkey ca-key.pem -addext basicConstraints=critical,CA:FALSE"
          openssl req $new $sign -subj /CN=single -addext subjectAltName=DNS:single,IP:${address} -keyout single-key.pem -out single.pem
          openssl req $new $sign -subj /CN=partner -keyout partner-key.pem -out partner.pem
          chmod a+r ca.pem
        '';
        serviceConfig.Type = "oneshot";
        serviceConfig.RemainAfterExit = true;
      };
      services.authstack.gateway.tls.clientCa = "/etc/internal/ca.pem";
      services.authstack.gateway.routes = {
        "/machines" = {
          inherit servers;
          apiKeys = true;
        };
        "/partners" = {
          inherit servers;
          requireClientCertificate = true;
        };
        "/sample" = {
          inherit servers;
          stripPrefix = true;
        };
        "/members" = {
          inherit servers;
          requireToken = true;
          # The one client of this test asks for as long as its keys take to rotate.
          limits.windows = [
            {
              count = 1000;
              seconds = 60;
            }
          ];
        };
        "/shut" = {
          inherit servers;
          deny = [ "0.0.0.0/0" ];
        };
        "/staff" = {
          inherit servers;
          requireToken = true;
          roles = [ "admin" ];
        };
        "/live" = {
          inherit servers;
          requireToken = "live";
        };
      };
    };

  testScript = ''
    start_all()
    trust(client, single)


    def get(path, token=None, more=""):
        """The status and the body."""
        authorization = f"--header {shlex.quote('Authorization: Bearer ' + token)}" if token else ""
        status = client.succeed(
            f"curl --silent --cacert /tmp/ca.pem --output /tmp/body --write-out '%{{http_code}}' {authorization} {more} https://{DOMAIN}{path}"
        )
        return int(status), json.loads(client.succeed("cat /tmp/body"))


    def known_keys():
        return len(single.succeed("cat /run/authstack-edge-keys/kids.map").splitlines())


    def keys(command):
        """Changes the keys as an operator does, and lets the core know."""
        said = single.succeed(f"auth-core keys {command} --config /etc/auth-core.toml")
        single.succeed("systemctl reload auth-core")
        return said

    with subtest("requests are spread over the servers of a route"):
        seen = [get("/sample/x?a=b")[1] for _ in range(4)]
        t.assertEqual({answer["version"] for answer in seen}, {"v1", "v2"})
        t.assertEqual({answer["target"] for answer in seen}, {"/x?a=b"})
        t.assertEqual(get("/sampleX")[0], 404)

    with subtest("a route's rules hold"):
        t.assertEqual(get("/shut")[0], 403)
        told = client.succeed(f"curl --silent --head --cacert /tmp/ca.pem https://{DOMAIN}/sample/x").lower()
        t.assertIn('ratelimit-policy: "60s";q=100;w=60, "3600s";q=1000;w=3600', told)
        t.assertIn("x-content-type-options: nosniff", told)

    with subtest("an API key opens the route that it is for, until it is revoked"):
        pid = single.succeed("systemctl show --property=MainPID haproxy")
        key = single.succeed("auth-core api-key add billing --scope /machines --config /etc/auth-core.toml").strip()
        t.assertEqual(get("/machines")[0], 401)
        retry(lambda _: get("/machines", more=f"--header 'X-API-Key: {key}'")[0] == 200, 30)
        t.assertEqual(get("/machines", more=f"--header 'X-API-Key: {key}'")[1]["subject"], "api-key/billing")
        single.succeed("auth-core api-key revoke billing --config /etc/auth-core.toml")
        retry(lambda _: get("/machines", more=f"--header 'X-API-Key: {key}'")[0] == 401, 30)
        t.assertEqual(single.succeed("systemctl show --property=MainPID haproxy"), pid)

    with subtest("a client certificate opens the route that asks for one"):
        t.assertEqual(get("/partners")[0], 403)
        for name in ("partner", "partner-key"):
            pem = shlex.quote(single.succeed(f"cat /etc/internal/{name}.pem"))
            client.succeed(f"printf %s {pem} > /tmp/{name}.pem")
        status, seen = get("/partners", more="--cert /tmp/partner.pem --key /tmp/partner-key.pem")
        t.assertEqual((status, seen["headers"]["x-auth-certificate"]), (200, ["partner"]))

    with subtest("between gateway and core nothing is plain"):
        address = single.succeed("sed -n 's/.*bind \\(.*\\):8404.*/\\1/p' /etc/haproxy.cfg").strip()
        single.fail(f"curl --silent --fail http://{address}:8080/healthz")
        single.succeed(f"curl --silent --fail --cacert /etc/internal/ca.pem https://{address}:8080/healthz")
        def scraped(_):
            up = json.loads(single.succeed("curl --silent 'http://127.0.0.1:9090/api/v1/query?query=up'"))
            return any((row["metric"]["job"], row["value"][1]) == ("auth-core", "1") for row in up["data"]["result"])

        retry(scraped, 60)

    token = sign_up(client, "ada@example.org")["data"]["signUp"]["accessToken"]

    with subtest("the public keys reach the gateway by themselves, for HAProxy to read and nobody else to write"):
        single.wait_until_succeeds("test -s /run/authstack-edge-keys/kids.map", timeout=30)
        single.wait_until_succeeds("echo 'show map' | nc -U /run/haproxy/haproxy.sock | grep 'kids.map.* entry_cnt=1'", timeout=30)

    with subtest("a service that asks for a token sees none without a good one"):
        t.assertEqual(get("/members")[0], 401)
        t.assertEqual(get("/members", token[:-8])[0], 401)
        status, seen = get("/members", token, "--header 'X-Auth-Role: admin'")
        t.assertEqual((status, seen["email"], seen["role"]), (200, "ada@example.org", "user"))
        t.assertEqual(get("/staff", token)[0], 403)
        t.assertEqual(get("/live", token)[0], 200)

    with subtest("keys rotate under load without a refused token or a dropped connection"):
        pid = single.succeed("systemctl show --property=MainPID haproxy")
        client.succeed(
            "systemd-run --unit=asking --property=Type=exec --setenv=PATH=$PATH sh -c 'while sleep 0.2; do"
            " curl --silent --show-error --cacert /tmp/ca.pem --output /dev/null --write-out \"%{http_code}\\n\""
            f" --header \"Authorization: Bearer {token}\" https://{DOMAIN}/members; done > /tmp/asked 2>&1'"
        )
        keys("generate")
        keys("rotate --now")
        new = log_in(client, "ada@example.org")["data"]["logIn"]["accessToken"]
        t.assertNotEqual(kid(token), kid(new))
        for _ in range(10):
            t.assertEqual(get("/members", new)[0], 200)
        single.wait_until_succeeds("echo 'show map' | nc -U /run/haproxy/haproxy.sock | grep 'kids.map.* entry_cnt=2'", timeout=30)
        t.assertEqual(known_keys(), 2)
        t.assertEqual((get("/members", token)[0], get("/members", new)[0]), (200, 200))
        client.succeed("systemctl stop asking")
        asked = client.succeed("cat /tmp/asked").split()
        t.assertGreater(len(asked), 10)
        t.assertEqual(set(asked), {"200"})
        t.assertEqual(single.succeed("systemctl show --property=MainPID haproxy"), pid)

    with subtest("a key that is removed takes its tokens along"):
        keys(f"retire {kid(token)} --now")
        single.wait_until_succeeds("echo 'show map' | nc -U /run/haproxy/haproxy.sock | grep 'kids.map.* entry_cnt=1'", timeout=30)
        t.assertEqual((get("/members", token)[0], get("/members", new)[0]), (401, 200))

    with subtest("a log-out is seen within a second where the route asks for it"):
        t.assertEqual(get("/live", new)[0], 200)
        graphql(client, "mutation { logOut { message } }", token=new)
        retry(lambda _: get("/live", new)[0] == 401, 5)
        t.assertEqual(get("/members", new)[0], 200)

    with subtest("without a core the gateway judges by the keys that it has, and starts without any"):
        single.succeed("systemctl stop auth-core")
        t.assertEqual((get("/members", new)[0], get("/live", new)[0]), (200, 503))
        single.succeed("systemctl stop authstack-edge-keys haproxy && rm -r /run/authstack-edge-keys && systemctl start haproxy")
        t.assertEqual((get("/sample")[0], get("/members", new)[0]), (200, 503))
        single.succeed("systemctl start authstack-edge-keys auth-core")
        client.wait_until_succeeds(
            f"curl --silent --fail --cacert /tmp/ca.pem --header 'Authorization: Bearer {new}' https://{DOMAIN}/members", timeout=60
        )
  '';
}
