//! Access tokens at the gateway: a service that asks for one sees no request without a good one, and is told by the gateway alone
//! whose it is.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use lab::programs;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{PASSWORD, TestStack, code, eventually, start};

const SERVING: &[&str] = &["auth1", "auth2", "gateway", "sample1"];
const WITH_KEYS: &[&str] = &["auth1", "auth2", "gateway", "sample1", "gateway-keys"];

/// Starts the lab's own routes: /sample for everybody, /members, /staff for administrators, /live.
async fn start_knowing_keys() -> TestStack {
    let stack = start(WITH_KEYS).await;
    until_keys(&stack, 1).await;
    stack
}

/// Waits until the gateway has taken up so many keys.
async fn until_keys(stack: &TestStack, count: usize) {
    eventually("the gateway knows the keys", || async {
        let map = admin(stack, "show map").await?;
        let id = map
            .lines()
            .find(|line| line.contains("kids.map"))?
            .split(' ')
            .next()?;
        let entries = admin(stack, &format!("show map #{id}")).await?;
        let known = entries.lines().filter(|line| line.contains("256-"));
        (known.count() == count).then_some(())
    })
    .await;
}

/// Asks the gateway that serves now; none answers while a reload replaces it.
async fn admin(stack: &TestStack, command: &str) -> Option<String> {
    let socket = stack.stack.admin_socket("gateway");
    lab::haproxy::admin(&socket, command).await.ok()
}

async fn token_of(stack: &TestStack, email: &str) -> String {
    let answer = stack.sign_up(email).await;
    let token = &answer["data"]["signUp"]["accessToken"];
    token
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

async fn get(stack: &TestStack, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Value) {
    let mut request = stack.client.get(stack.url("gateway") + path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.json().await.unwrap_or_default())
}

async fn get_with(stack: &TestStack, path: &str, token: &str) -> (u16, HeaderMap, Value) {
    get(
        stack,
        path,
        &[("authorization", &format!("Bearer {token}"))],
    )
    .await
}

/// How many requests services have got.
async fn reached(stack: &TestStack) -> usize {
    let stats = stack.text(&(stack.stats_page() + ";csv")).await;
    let rows = stats.lines().filter(|line| line.contains(",sample1:8080,"));
    rows.map(|row| row.split(',').nth(7).unwrap().parse::<usize>().unwrap())
        .sum()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Makes tokens with the very key that signs the core's.
struct Forger {
    pem: Vec<u8>,
    header: Value,
    claims: Value,
}

impl Forger {
    fn new(stack: &TestStack) -> Self {
        let pem = fs::read(stack.directory().join("keys/ring/signing-key.pem")).unwrap();
        Self {
            pem,
            header: json!({ "typ": "at+jwt", "alg": "ES256", "kid": "signing-key" }),
            claims: json!({
                "iss": stack.url("gateway"), "aud": "authstack", "sub": "id", "sid": "session",
                "email": "eve@example.com", "role": "user", "iat": now(), "exp": now() + 60, "jti": "1",
            }),
        }
    }

    /// In the order that the core's tokens have.
    fn text(object: &Value, names: &[&str]) -> String {
        let known = names.iter().filter(|name| !object[**name].is_null());
        let pairs: Vec<_> = known
            .map(|name| format!("\"{name}\":{}", object[*name]))
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    fn header(&self, name: &str, value: impl Into<Value>) -> String {
        let mut header = self.header.clone();
        header[name] = value.into();
        Self::text(&header, &["typ", "alg", "kid", "crit"])
    }

    fn claims(&self, name: &str, value: impl Into<Value>) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value.into();
        let names = [
            "iss", "aud", "sub", "sid", "email", "role", "nbf", "iat", "exp", "jti",
        ];
        Self::text(&claims, &names)
    }

    fn good_header(&self) -> String {
        self.header("typ", "at+jwt")
    }

    fn good_claims(&self) -> String {
        self.claims("role", "user")
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_with(header, claims, &self.pem)
    }

    fn sign_with(&self, header: &str, claims: &str, pem: &[u8]) -> String {
        let key = EncodingKey::from_ec_pem(pem).unwrap();
        Self::join(header, claims, |text| {
            crypto::sign(text, &key, Algorithm::ES256).unwrap()
        })
    }

    fn join(header: &str, claims: &str, sign: impl Fn(&[u8]) -> String) -> String {
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = sign(text.as_bytes());
        format!("{text}.{signature}")
    }
}

#[tokio::test]
async fn the_service_is_told_who_asks_and_nothing_that_the_client_says_of_it() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    let bearer = format!("Bearer {token}");
    let lies = [
        ("x-auth-subject", "root"),
        ("X-Auth-Email", "root@example.com"),
        ("x-auth-role", "admin"),
        ("x-auth-role", "admin"),
        ("x-auth-anything", "else"),
        ("x_auth_role", "admin"),
        ("x-auth_role", "admin"),
    ];
    for path in ["/members", "/live"] {
        let headers = [&lies[..], &[("authorization", bearer.as_str())]].concat();
        let (status, _, seen) = get(&stack, path, &headers).await;
        assert_eq!((status, &seen["email"]), (200, &"ana@example.com".into()));
        assert_eq!(seen["role"], "user");
        let subject = seen["subject"].as_str().unwrap();
        assert_eq!(subject.len(), 36, "{subject}");
        let mut about: Vec<_> = seen["headers"].as_object().unwrap().keys().collect();
        about.retain(|name| name.contains("auth-") || name.contains("auth_"));
        assert_eq!(about, ["x-auth-email", "x-auth-role", "x-auth-subject"]);
    }
    // Where nobody is asked who they are, nobody is anybody.
    let headers = [&lies[..], &[("authorization", bearer.as_str())]].concat();
    let (status, _, seen) = get(&stack, "/sample", &headers).await;
    assert_eq!(status, 200);
    let text = seen["headers"].to_string();
    assert!(
        !text.contains("x-auth") && !text.contains("auth_"),
        "{text}"
    );
}

#[tokio::test]
async fn who_has_no_good_token_is_told_so_as_rfc_6750_says() {
    let stack = start_knowing_keys().await;
    let challenge = |headers: &HeaderMap| headers[WWW_AUTHENTICATE].to_str().unwrap().to_owned();
    let (status, headers, answer) = get(&stack, "/members", &[]).await;
    assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"));
    assert_eq!(challenge(&headers), "Bearer realm=\"authstack\"");
    let (status, headers, answer) = get_with(&stack, "/members", "a.b.c").await;
    assert_eq!((status, code(&answer)), (401, "UNAUTHENTICATED"));
    assert_eq!(
        challenge(&headers),
        "Bearer realm=\"authstack\", error=\"invalid_token\""
    );
    let forger = Forger::new(&stack);
    let old = forger.sign(&forger.good_header(), &forger.claims("exp", now() - 31));
    let (status, headers, answer) = get_with(&stack, "/members", &old).await;
    assert_eq!((status, code(&answer)), (401, "TOKEN_EXPIRED"));
    assert!(challenge(&headers).contains("error=\"invalid_token\""));

    let user = forger.sign(&forger.good_header(), &forger.good_claims());
    let (status, headers, answer) = get_with(&stack, "/staff", &user).await;
    assert_eq!((status, code(&answer)), (403, "FORBIDDEN"));
    assert!(challenge(&headers).contains("error=\"insufficient_scope\""));
    let admin = forger.sign(&forger.good_header(), &forger.claims("role", "admin"));
    let (status, _, seen) = get_with(&stack, "/staff", &admin).await;
    assert_eq!((status, &seen["role"]), (200, &"admin".into()));
    for role in ["administrator", "Admin", "", "user,admin", "admin "] {
        let other = forger.sign(&forger.good_header(), &forger.claims("role", role));
        let status = get_with(&stack, "/staff", &other).await.0;
        assert!(matches!(status, 401 | 403), "{role:?}: {status}");
    }
}

#[tokio::test]
async fn no_forged_token_reaches_a_service() {
    refuse_forged_tokens(&start_knowing_keys().await).await;
}

/// Without keys of its own the gateway asks the core about each.
#[tokio::test]
async fn no_forged_token_reaches_a_service_where_the_core_judges() {
    refuse_forged_tokens(&start(SERVING).await).await;
}

async fn refuse_forged_tokens(stack: &TestStack) {
    let token = token_of(stack, "ana@example.com").await;
    assert_eq!(get_with(stack, "/members", &token).await.0, 200);
    let before = reached(stack).await;
    let tokens = forged(stack, &token);
    assert!(tokens.len() > 40);
    for (what, token) in &tokens {
        for path in ["/members", "/live"] {
            let (status, headers, answer) = get_with(stack, path, token).await;
            assert_eq!(status, 401, "{what}, {path}: {token} {answer}");
            assert!(headers.contains_key(WWW_AUTHENTICATE), "{what}");
        }
    }
    let good = format!("Bearer {token}");
    for headers in [
        &[("authorization", good.as_str()), ("authorization", &good)][..],
        &[("authorization", "Bearer a.b.c"), ("authorization", &good)],
        &[("authorization", &good), ("authorization", "Basic YTpi")],
        &[("authorization", &format!("{good}, {good}"))],
        &[("authorization", &format!("{good},"))],
        &[("authorization", &format!("{good} x"))],
        &[("authorization", &format!("Bearer\t{token}"))],
        &[("authorization", &token)],
        &[("authorization", &format!("Basic {token}"))],
        &[("authorization", "Bearer")],
        &[("authorization", "")],
        &[("x-authorization", &good)],
        &[("cookie", &good)],
    ] {
        let (status, _, _) = get(stack, "/members", headers).await;
        assert_eq!(status, 401, "{headers:?}");
    }
    let (status, _, _) = get(stack, &format!("/members?access_token={token}"), &[]).await;
    assert_eq!(status, 401);
    assert_eq!(reached(stack).await, before, "something reached a service");
    // The limits by address were not what refused them.
    assert_eq!(get_with(stack, "/members", &token).await.0, 200);
}

fn forged(stack: &TestStack, good: &str) -> Vec<(String, String)> {
    let forger = Forger::new(stack);
    let (header, claims) = (forger.good_header(), forger.good_claims());
    let mut tokens: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| tokens.push((what.to_owned(), token));

    let parts: Vec<_> = good.split('.').collect();
    for alg in [
        "none", "None", "nOnE", "", "HS256", "RS256", "ES384", "ES256K",
    ] {
        let other = URL_SAFE_NO_PAD.encode(forger.header("alg", alg));
        add(alg, format!("{other}.{}.", parts[1]));
        add(alg, format!("{other}.{}.{}", parts[1], parts[2]));
        add(alg, forger.sign(&forger.header("alg", alg), &claims));
    }
    let jwks = fs::read_to_string(stack.directory().join("parts/gateway/keys/kids.map"));
    let public = public_pem(stack);
    for secret in [
        public.as_bytes(),
        public.trim_end().as_bytes(),
        jwks.unwrap_or_default().as_bytes(),
        b"",
    ] {
        let key = EncodingKey::from_secret(secret);
        let token = Forger::join(&forger.header("alg", "HS256"), &claims, |text| {
            crypto::sign(text, &key, Algorithm::HS256).unwrap()
        });
        add("the public key as a secret", token);
    }
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    add(
        "another key",
        forger.sign_with(&header, &claims, other.serialize_pem().as_bytes()),
    );
    for kid in [
        "",
        "other",
        "signing-key.pem",
        "../signing-key",
        "1",
        "signing-key ES256-4",
        "SIGNING-KEY",
    ] {
        add(
            "another kid",
            forger.sign(&forger.header("kid", kid), &claims),
        );
    }
    for typ in ["JWT", "at+JWT", "application/at+jwt", "", "at+jwtx"] {
        add(
            "another typ",
            forger.sign(&forger.header("typ", typ), &claims),
        );
    }
    add(
        "no typ",
        forger.sign(&forger.header("typ", Value::Null), &claims),
    );
    add(
        "no kid",
        forger.sign(&forger.header("kid", Value::Null), &claims),
    );
    add(
        "crit",
        forger.sign(&forger.header("crit", json!(["exp"])), &claims),
    );
    for more in [
        r#""typ":"at+jwt""#,
        r#""typ":"JWT""#,
        r#""alg":"none""#,
        r#""alg":"ES256""#,
        r#""kid":"signing-key""#,
        r#""t\u0079p":"JWT""#,
    ] {
        add(
            "a name twice",
            forger.sign(&format!("{{{more},{}", &header[1..]), &claims),
        );
        let twice = format!("{},{more}}}", header.trim_end_matches('}'));
        add("a name twice", forger.sign(&twice, &claims));
    }
    for (name, value) in [
        ("iss", json!("https://elsewhere")),
        ("iss", json!("")),
        ("iss", json!(format!("{}/", stack.url("gateway")))),
        ("aud", json!("other")),
        ("aud", json!(["authstack"])),
        ("aud", json!("authstack2")),
        ("exp", json!(now() - 31)),
        ("exp", json!("never")),
        ("exp", json!(-1)),
        ("exp", json!(null)),
        ("iat", json!(now() + 60)),
        ("nbf", json!(now() + 60)),
        ("sub", json!(7)),
        ("sub", json!(null)),
        ("role", json!(["admin"])),
        ("email", json!(null)),
    ] {
        add(name, forger.sign(&header, &forger.claims(name, value)));
    }
    for more in [
        r#""role":"admin""#,
        r#""exp":9999999999"#,
        r#""sub":"x""#,
        r#""r\u006fle":"admin""#,
    ] {
        let twice = format!("{},{more}}}", claims.trim_end_matches('}'));
        add("a claim twice", forger.sign(&header, &twice));
    }
    let mut changed = good.to_owned().into_bytes();
    let middle = parts[0].len() + 20;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    add("another claim", String::from_utf8(changed).unwrap());
    add("cut", good[..good.len() - 4].to_owned());
    add("longer", format!("{good}AAAA"));
    add("a part more", format!("{good}.AAAA"));
    add("no signature", format!("{}.{}.", parts[0], parts[1]));
    add("two parts", format!("{}.{}", parts[0], parts[1]));
    add("padding", format!("{good}="));
    add("garbage", "x".to_owned());
    add("dots", "..".to_owned());
    add(
        "huge",
        forger.sign(&header, &forger.claims("email", "x".repeat(4_000))),
    );
    tokens
}

fn public_pem(stack: &TestStack) -> String {
    keys(stack, &["public", "signing-key"])
}

/// Runs `auth-core keys` on the stack's ring.
fn keys(stack: &TestStack, arguments: &[&str]) -> String {
    let ring = stack.directory().join("keys/ring");
    let output = Command::new(programs::built("auth-core").unwrap())
        .arg("keys")
        .args(arguments)
        .arg("--set")
        .arg(format!("tokens.key_directory={}", ring.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Lets the nodes read their keys again.
async fn reload(stack: &TestStack) {
    for part in stack.stack.status().await.parts {
        if let (Some(pid), true) = (part.pid, part.name.starts_with("auth")) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        }
    }
}

/// A token of the named key, once the nodes sign with it.
async fn token_signed_with(stack: &TestStack, email: &str, kid: &str) -> String {
    eventually("both nodes sign with the key", || async {
        let mut token = String::new();
        for _ in 0..2 {
            let query = "mutation($e: String!, $p: String!) { logIn(email: $e, password: $p) { accessToken } }";
            let sent = stack.try_send(query, json!({ "e": email, "p": PASSWORD }), None);
            let (_, _, answer) = sent.await.ok()?;
            token = answer["data"]["logIn"]["accessToken"].as_str()?.to_owned();
            let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).ok()?;
            let header: Value = serde_json::from_slice(&header).ok()?;
            if header["kid"] != kid {
                return None;
            }
        }
        Some(token)
    })
    .await
}

fn made(said: &str) -> String {
    said.split_whitespace().nth(1).expect("a kid").to_owned()
}

#[tokio::test]
async fn keys_rotate_under_load_without_a_refused_token() {
    let mut stack = start_knowing_keys().await;
    let old = token_of(&stack, "ana@example.com").await;
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let url = stack.url("gateway") + "/members";
    let client = stack.client.clone();
    stack.move_client_to(1);
    // Less than the limit of requests, and new connections now and then.
    let load = async {
        while !done.load(Ordering::Relaxed) {
            let answer = client.get(&url).bearer_auth(&old).send().await;
            let status = answer.expect("the gateway drops no connection").status();
            assert_eq!(status, 200);
            asked.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(150)).await;
        }
    };
    let rotation = async {
        let next = made(&keys(&stack, &["generate"]));
        // In a hurry: the gateway does not know the key yet when the first token of it comes.
        keys(&stack, &["rotate", "--now"]);
        reload(&stack).await;
        let new = token_signed_with(&stack, "ana@example.com", &next).await;
        for _ in 0..20 {
            assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
            sleep(Duration::from_millis(100)).await;
        }
        until_keys(&stack, 2).await;
        assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
        assert_eq!(get_with(&stack, "/members", &old).await.0, 200);
        done.store(true, Ordering::Relaxed);
        new
    };
    let ((), new) = tokio::join!(load, rotation);
    assert!(asked.load(Ordering::Relaxed) > 10);

    // A key that is removed takes its tokens along, those that were remembered too.
    keys(&stack, &["retire", "signing-key", "--now"]);
    reload(&stack).await;
    eventually("tokens of the old key are refused", || async {
        (get_with(&stack, "/members", &old).await.0 == 401).then_some(())
    })
    .await;
    until_keys(&stack, 1).await;
    assert_eq!(get_with(&stack, "/members", &old).await.0, 401);
    assert_eq!(get_with(&stack, "/members", &new).await.0, 200);
}

#[tokio::test]
async fn tokens_of_every_algorithm_that_the_core_signs_with_are_good() {
    let stack = start_knowing_keys().await;
    stack.sign_up("ana@example.com").await;
    for (algorithm, known) in [("rs256", 2), ("hs256", 2), ("eddsa", 2)] {
        let kid = made(&keys(&stack, &["generate", "--algorithm", algorithm]));
        keys(&stack, &["rotate", &kid, "--now"]);
        reload(&stack).await;
        let token = token_signed_with(&stack, "ana@example.com", &kid).await;
        until_keys(&stack, known).await;
        for path in ["/members", "/live"] {
            let (status, _, seen) = get_with(&stack, path, &token).await;
            assert_eq!(
                (status, &seen["email"]),
                (200, &"ana@example.com".into()),
                "{algorithm}"
            );
        }
        let cut = &token[..token.len() - 8];
        assert_eq!(
            get_with(&stack, "/members", cut).await.0,
            401,
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn the_gateway_judges_tokens_by_itself_and_refuses_where_it_cannot() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    for node in ["auth1", "auth2"] {
        stack.stack.kill_part(node).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
    }
    let forger = Forger::new(&stack);
    let unknown = forger.sign(&forger.header("kid", "unknown"), &forger.good_claims());
    for (path, token) in [("/live", &token), ("/members", &unknown)] {
        let (status, headers, answer) = get_with(&stack, path, token).await;
        assert_eq!((status, code(&answer)), (503, "UNAVAILABLE"), "{path}");
        assert_eq!(headers["retry-after"], "1");
    }
    assert_eq!(get(&stack, "/sample", &[]).await.0, 200);
}

#[tokio::test]
async fn a_token_that_is_remembered_is_refused_when_it_has_expired() {
    let stack = start_knowing_keys().await;
    let forger = Forger::new(&stack);
    // The leeway of 30 s has almost gone.
    let token = forger.sign(&forger.good_header(), &forger.claims("exp", now() - 27));
    assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
    let table = admin(&stack, "show table tokens").await.unwrap();
    assert!(table.contains("used:1"), "{table}");
    eventually("it has expired", || async {
        let (status, _, answer) = get_with(&stack, "/members", &token).await;
        (status == 401 && code(&answer) == "TOKEN_EXPIRED").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_log_out_is_seen_within_a_second_where_the_route_asks_for_it() {
    let stack = start_knowing_keys().await;
    let token = token_of(&stack, "ana@example.com").await;
    for _ in 0..2 {
        assert_eq!(get_with(&stack, "/live", &token).await.0, 200);
    }
    let answer = stack
        .ask("mutation { logOut { message } }", json!({}), Some(&token))
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    let ended = Instant::now();
    let seen = eventually("the session has ended for the route", || async {
        (get_with(&stack, "/live", &token).await.0 == 401).then(|| ended.elapsed())
    })
    .await;
    // And the time that the last request took.
    assert!(seen < Duration::from_millis(1_500), "{seen:?}");
    // Elsewhere the token is good until it expires.
    assert_eq!(get_with(&stack, "/members", &token).await.0, 200);
}
