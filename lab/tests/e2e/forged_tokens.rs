//! Forged tokens at the gateway: none reaches a service.

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use reqwest::header::WWW_AUTHENTICATE;
use serde_json::{Value, json};

use crate::{edge::*, support::*};

/// Makes tokens with the very key that signs the core's.
pub struct Forger {
    pem: Vec<u8>,
    header: Value,
    claims: Value,
}

impl Forger {
    pub fn new(stack: &TestStack) -> Self {
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
    pub fn text(object: &Value, names: &[&str]) -> String {
        let known = names.iter().filter(|name| !object[**name].is_null());
        let pairs: Vec<_> = known
            .map(|name| format!("\"{name}\":{}", object[*name]))
            .collect();
        format!("{{{}}}", pairs.join(","))
    }

    pub fn header(&self, name: &str, value: impl Into<Value>) -> String {
        let mut header = self.header.clone();
        header[name] = value.into();
        Self::text(&header, &["typ", "alg", "kid", "crit"])
    }

    pub fn claims(&self, name: &str, value: impl Into<Value>) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value.into();
        let names = [
            "iss", "aud", "sub", "sid", "email", "role", "nbf", "iat", "exp", "jti",
        ];
        Self::text(&claims, &names)
    }

    pub fn good_header(&self) -> String {
        self.header("typ", "at+jwt")
    }

    pub fn good_claims(&self) -> String {
        self.claims("role", "user")
    }

    pub fn sign(&self, header: &str, claims: &str) -> String {
        self.sign_with(header, claims, &self.pem)
    }

    pub fn sign_with(&self, header: &str, claims: &str, pem: &[u8]) -> String {
        let key = EncodingKey::from_ec_pem(pem).unwrap();
        Self::join(header, claims, |text| {
            crypto::sign(text, &key, Algorithm::ES256).unwrap()
        })
    }

    pub fn join(header: &str, claims: &str, sign: impl Fn(&[u8]) -> String) -> String {
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
async fn no_forged_token_reaches_a_service() {
    refuse_forged_tokens(&start_knowing_keys().await).await;
}

/// Without keys of its own the gateway asks the core about each.
#[tokio::test]
async fn no_forged_token_reaches_a_service_where_the_core_judges() {
    refuse_forged_tokens(&start(WITHOUT_KEYS).await).await;
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
