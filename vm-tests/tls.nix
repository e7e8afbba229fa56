# What a client meets before the first request: the way from HTTP to HTTPS, modern TLS only, and a certificate that is
# replaced while it talks.
{
  machines = [
    "single"
    "client"
  ];

  settings.single.services.authstack.gateway.hstsSeconds = 86400;

  testScript = ''
    start_all()
    trust(client, single)
    curl = "curl --silent --show-error --cacert /tmp/ca.pem --output /dev/null --dump-header - "

    with subtest("plain HTTP is answered with the way to HTTPS"):
        answer = client.succeed(curl + f"http://{DOMAIN}/graphql?query=x")
        t.assertIn("308", answer.splitlines()[0])
        t.assertIn(f"location: https://{DOMAIN}/graphql?query=x", answer)

    with subtest("browsers are told to insist on HTTPS, in errors too"):
        for path in ["/.well-known/jwks.json", "/no-such-path"]:
            t.assertIn("strict-transport-security: max-age=86400", client.succeed(curl + f"https://{DOMAIN}{path}"))

    with subtest("TLS 1.2 and 1.3 are spoken, older versions are not"):
        # The client would speak them: its own refusal must not be taken for the gateway's.
        def handshake(version):
            return client.execute(
                f"echo | openssl s_client -connect {DOMAIN}:443 -{version} -cipher 'DEFAULT:@SECLEVEL=0' -CAfile /tmp/ca.pem 2>&1"
            )

        for version in ["tls1_2", "tls1_3"]:
            status, text = handshake(version)
            t.assertEqual(status, 0, text)
            t.assertIn("Verify return code: 0 (ok)", text)
        for version in ["tls1", "tls1_1"]:
            status, text = handshake(version)
            t.assertNotEqual(status, 0, text)
            t.assertRegex(text, "alert protocol version|tlsv1 alert|alert number 70")

    with subtest("what Mozilla's guidelines leave out is not spoken"):
        for offer in ["-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", "-tls1_2 -cipher AES128-GCM-SHA256", "-groups X448", "-groups P-521"]:
            status, text = client.execute(f"echo | openssl s_client -connect {DOMAIN}:443 {offer} -CAfile /tmp/ca.pem 2>&1")
            t.assertNotEqual(status, 0, offer)
            t.assertIn("handshake failure", text, offer)

    with subtest("a new certificate is taken up without a failed request or a new process"):
        serial = f"openssl s_client -connect {DOMAIN}:443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
        before, main_pid = client.succeed(serial), single.succeed("systemctl show --property=MainPID haproxy")
        begin_load(client)
        # A request that begins before the change and ends after it.
        client.succeed(
            "systemd-run --unit=slow-request --setenv=PATH=$PATH sh -c '"
            f"(printf \"GET /.well-known/jwks.json HTTP/1.1\\r\\nHost: {DOMAIN}\\r\\n\";"
            " while [ ! -e /tmp/go-on ]; do sleep 0.1; done; printf \"Connection: close\\r\\n\\r\\n\"; sleep 2)"
            f" | openssl s_client -quiet -connect {DOMAIN}:443 -CAfile /tmp/ca.pem -verify_return_error > /tmp/slow-request 2>&1'"
        )
        client.wait_until_succeeds("ss -tn state established '( dport = :443 )' | grep -q :443")
        single.succeed("rm /var/lib/authstack/certificates/gateway.pem && systemctl restart authstack-certificate")
        t.assertEqual(client.succeed(serial), before)
        single.succeed("systemctl reload haproxy")
        client.wait_until_succeeds(f"test \"$({serial})\" != '{before.strip()}'", timeout=10)
        t.assertEqual(single.succeed("systemctl show --property=MainPID haproxy"), main_pid)
        client.succeed("touch /tmp/go-on")
        client.wait_until_succeeds("grep -q 'HTTP/1.1 200' /tmp/slow-request", timeout=20)
        report = end_load(client)
        t.assertTrue(report["passed"], report)

    with subtest("a broken certificate is refused, and the good one stays"):
        kept = client.succeed(serial)
        single.succeed("cp /var/lib/authstack/certificates/gateway.pem /tmp/good.pem")
        single.succeed("echo broken > /var/lib/authstack/certificates/gateway.pem")
        single.fail("systemctl reload haproxy")
        t.assertEqual(client.succeed(serial), kept)
        single.succeed("cp /tmp/good.pem /var/lib/authstack/certificates/gateway.pem && systemctl reload haproxy")

    with subtest("the certificate's key is readable by HAProxy alone"):
        t.assertEqual(single.succeed("stat --format='%a %U' /run/haproxy/gateway.pem").strip(), "400 haproxy")
  '';
}
