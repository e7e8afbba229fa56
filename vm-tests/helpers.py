# What several test scripts need. Put in front of each.
import base64
import json
import shlex

PASSWORD = "seven quiet otters paint"


def trust(client, *gateways):
    """Lets the client trust the gateways' internal certificate authorities, and waits until somebody can answer it."""
    ca = ""
    for gateway in gateways:
        gateway.wait_for_unit("haproxy.service")
        ca += gateway.succeed("cat /var/lib/authstack/certificates/ca.pem")
    client.succeed(f"cat > /tmp/ca.pem <<'END'\n{ca}END")
    client.wait_until_succeeds(f"curl --fail --silent --cacert /tmp/ca.pem https://{DOMAIN}/healthz", timeout=60)


def graphql(client, query, token=None, **variables):
    """What the gateway answers: the status, the headers (lower-case names) and the body."""
    body = json.dumps({"query": query, "variables": variables})
    authorization = f"--header {shlex.quote('Authorization: Bearer ' + token)}" if token else ""
    answer = client.succeed(
        f"curl --silent --show-error --cacert /tmp/ca.pem --dump-header /tmp/headers --output /tmp/body"
        f" --write-out '%{{http_code}}' --header 'Content-Type: application/json' {authorization}"
        f" --data {shlex.quote(body)} https://{DOMAIN}/graphql"
    )
    headers = {}
    for line in client.succeed("cat /tmp/headers").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    return int(answer), headers, json.loads(client.succeed("cat /tmp/body"))


def sign_up(client, email, password=PASSWORD):
    return graphql(
        client,
        "mutation($email: String!, $password: String!) { signUp(email: $email, password: $password)"
        " { message accessToken account { email } } }",
        email=email,
        password=password,
    )[2]


def log_in(client, email, password=PASSWORD, token=None):
    return graphql(
        client,
        "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password)"
        " { message accessToken account { email } } }",
        token=token,
        email=email,
        password=password,
    )[2]


def kid(token):
    """The name of the key that signed a token."""
    header = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]


def error_code(answer):
    assert len(answer["errors"]) == 1, answer
    return answer["errors"][0]["extensions"]["code"]


def give_addresses(client, gateway):
    """Makes the client two hundred clients: from here on 10.77.0.0/24 is its own, and the gateway knows the way there."""
    address = client.succeed("ip -4 -o address show dev eth1 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p;q'").strip()
    client.succeed("ip route replace local 10.77.0.0/24 dev lo")
    gateway.succeed(f"ip route replace 10.77.0.0/24 via {address}")


def ask(monitor, query):
    """Prometheus' answer: a list of series."""
    answer = monitor.succeed(f"curl --silent --data-urlencode {shlex.quote('query=' + query)} http://127.0.0.1:9090/api/v1/query")
    return json.loads(answer)["data"]["result"]


def begin_load(client, scenario="session", pace="--users 40 --throttle-requests 20", unit="load"):
    """Puts a scenario of authload's on the gateway, in the background, until `end_load`. Each iteration comes from another address,
    as limits count by them."""
    for gateway in gateways:
        give_addresses(client, gateway)
    client.succeed(
        f"systemd-run --unit={unit} --property=Type=oneshot --property=RemainAfterExit=yes --no-block --setenv=PATH=$PATH"
        f" sh -c 'exec authload run {scenario} --url https://{DOMAIN} --ca /tmp/ca.pem --from 10.77.0.0/24 {pace}"
        f" --run-time 3600 --report /tmp/{unit}.json > /tmp/{unit}.txt 2>&1'"
    )
    # It prints nothing before its end, but its users' connections are there to see.
    client.wait_until_succeeds("ss -Htn state established '( dport = :443 )' | grep -q 10.77.0.", timeout=30)


def end_load(client, unit="load"):
    """Ends the load, keeps its report as the test's output, and returns it."""
    running = client.succeed(f"systemctl show --property=SubState --value {unit}").strip()
    assert running == "start", "the load ended by itself:\n" + client.succeed(f"cat /tmp/{unit}.txt")
    client.succeed(f"systemctl kill --signal=INT {unit}")
    client.wait_until_succeeds(f"systemctl show --property=SubState {unit} | grep -E 'exited|failed'", timeout=60)
    print(client.succeed(f"cat /tmp/{unit}.txt"))
    client.copy_from_machine(f"/tmp/{unit}.json")
    return json.loads(client.succeed(f"cat /tmp/{unit}.json"))
