# A user's day: sign up, log in, mistype the password, and log in again while logged in. Over TLS, as any client.
{
  machines = [
    "gateway"
    "core1"
    "core2"
    "database"
    "client"
  ];

  testScript = ''
    start_all()
    trust(client, *gateways)

    with subtest("a user signs up"):
        answer = sign_up(client, "ada@example.org")
        t.assertNotIn("errors", answer)
        t.assertEqual(answer["data"]["signUp"]["account"]["email"], "ada@example.org")

    with subtest("a taken address is refused"):
        t.assertEqual(error_code(sign_up(client, "ada@example.org")), "EMAIL_TAKEN")

    with subtest("the user logs in, whichever core answers"):
        served_by = set()
        for _ in range(4 * len(cores)):
            answer = log_in(client, "ada@example.org")
            t.assertNotIn("errors", answer)
            served_by.add(client.succeed("sed -n 's/^x-served-by: //p' /tmp/headers").strip())
        t.assertEqual(served_by, {core.name for core in cores})

    token = answer["data"]["logIn"]["accessToken"]

    with subtest("what one core signed, all accept"):
        for _ in range(2 * len(cores)):
            _, _, answer = graphql(client, "{ me { email } }", token=token)
            t.assertEqual(answer, {"data": {"me": {"email": "ada@example.org"}}})

    with subtest("who is logged in is told so"):
        answer = log_in(client, "ada@example.org", token=token)
        t.assertEqual(answer["data"]["logIn"]["message"], "이미 ada@example.org로 로그인 하였습니다.")
        t.assertIsNone(answer["data"]["logIn"]["accessToken"])

    with subtest("a wrong password and an unknown user get the same answer"):
        wrong = log_in(client, "ada@example.org", password="wrong horse battery staple")
        unknown = log_in(client, "nobody@example.org")
        t.assertEqual(error_code(wrong), "INVALID_CREDENTIALS")
        t.assertEqual(wrong, unknown)

    with subtest("a forged token is nobody's"):
        head, claims, signature = token.split(".")
        _, _, answer = graphql(client, "{ me { email } }", token=f"{head}.{claims}.{'A' * len(signature)}")
        t.assertEqual(error_code(answer), "UNAUTHENTICATED")

    with subtest("whoever does not trust the certificate authority does not get through"):
        client.fail(f"curl --silent https://{DOMAIN}/healthz")
  '';
}
