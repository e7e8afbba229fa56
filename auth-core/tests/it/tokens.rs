//! Access tokens: what they say, and for how long they are good.

use std::path::Path;
use std::sync::LazyLock;

use auth_core::config::Tokens;
use auth_core::identity::Identity;
use auth_core::tokens::{KeyRing, LEEWAY_SECONDS, TokenError};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::key_pair;

pub struct Fixture {
    pub dir: TempDir,
    pub ring: KeyRing,
}

pub static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    key_pair(dir.path(), "own");
    key_pair(dir.path(), "foreign");
    let ring = ring(dir.path(), "own", &[]);
    Fixture { dir, ring }
});

pub fn ring(dir: &Path, signing: &str, others: &[&str]) -> KeyRing {
    let keys = tempfile::tempdir().unwrap();
    let copy = |name: &str, suffix: &str| {
        let to = keys.path().join(format!("{name}.pem"));
        std::fs::copy(dir.join(format!("{name}.{suffix}")), to).unwrap();
    };
    copy(signing, "pem");
    others.iter().for_each(|name| copy(name, "pub"));
    KeyRing::load(&Tokens {
        key_directory: keys.path().to_owned(),
        ..Tokens::default()
    })
    .unwrap()
}

pub fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

pub fn ann() -> Identity {
    Identity {
        id: "id".to_owned(),
        email: "ann@example.com".to_owned(),
        role: "user".to_owned(),
    }
}

pub fn good() -> String {
    FIXTURE.ring.issue(&ann(), "session", now()).unwrap()
}

/// A token signed with our own key, but with another header or other claims.
pub fn signed(header: Value, claims: Value) -> String {
    let mut merged: Value =
        serde_json::to_value(jsonwebtoken::decode_header(good()).unwrap()).unwrap();
    merged
        .as_object_mut()
        .unwrap()
        .extend(header.as_object().unwrap().clone());
    merged
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let mut all = json!({ "iss": "authstack", "aud": "authstack", "sub": "id", "sid": "session", "email": "ann@example.com",
        "role": "user", "iat": now(), "exp": now() + 60, "jti": "1" });
    all.as_object_mut()
        .unwrap()
        .extend(claims.as_object().unwrap().clone());
    all.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    let key = EncodingKey::from_ec_pem(&std::fs::read(FIXTURE.dir.path().join("own.pem")).unwrap())
        .unwrap();
    let header: Header = serde_json::from_value(merged).unwrap();
    jsonwebtoken::encode(&header, &all, &key).unwrap()
}

#[test]
fn a_token_says_what_was_signed() {
    let token = good();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!(
        (header.typ.as_deref(), header.alg),
        (Some("at+jwt"), Algorithm::ES256)
    );
    let claims = FIXTURE.ring.verify(&token).unwrap();
    assert_eq!(
        (claims.iss.as_str(), claims.aud.as_str()),
        ("authstack", "authstack")
    );
    assert_eq!(
        (
            claims.sub.as_str(),
            claims.email.as_str(),
            claims.role.as_str()
        ),
        ("id", "ann@example.com", "user")
    );
    assert_eq!(claims.exp - claims.iat, 900);
    assert!(claims.iat.abs_diff(now()) <= 60);
    assert_eq!(claims.jti.len(), 36);
    assert_eq!(
        FIXTURE
            .ring
            .verify(&signed(json!({}), json!({})))
            .map(|claims| claims.sub.clone()),
        Ok("id".to_owned())
    );
}

#[test]
fn an_expired_token_is_told_from_an_invalid_one() {
    let issue = |at| FIXTURE.ring.issue(&ann(), "session", at).unwrap();
    let ago = |seconds| now() - 900 - seconds;
    assert_eq!(
        FIXTURE.ring.verify(&issue(ago(LEEWAY_SECONDS + 5))),
        Err(TokenError::Expired)
    );
    assert!(
        FIXTURE
            .ring
            .verify(&issue(ago(LEEWAY_SECONDS - 20)))
            .is_ok(),
        "within the leeway"
    );
    let mut forged = issue(ago(3600));
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(
        FIXTURE.ring.verify(&forged),
        Err(TokenError::Invalid),
        "a forged token is not told to be expired"
    );
}

#[test]
fn wrong_headers_are_refused_even_with_a_good_signature() {
    let kid = |name: &str| {
        let ring = ring(FIXTURE.dir.path(), name, &[]);
        serde_json::from_str::<Value>(ring.jwks()).unwrap()["keys"][0]["kid"].clone()
    };
    for header in [
        json!({ "typ": "JWT" }),
        json!({ "typ": null }),
        json!({ "kid": null }),
        json!({ "kid": "" }),
        json!({ "kid": kid("foreign") }),
        json!({ "crit": ["b64"] }),
    ] {
        assert_eq!(
            FIXTURE.ring.verify(&signed(header.clone(), json!({}))),
            Err(TokenError::Invalid),
            "{header}"
        );
    }
}

#[test]
fn wrong_claims_are_refused_even_with_a_good_signature() {
    for claims in [
        json!({ "iss": "other" }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": ["authstack", "other"] }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "sid": null }),
        json!({ "email": null }),
        json!({ "exp": null }),
        json!({ "exp": "never" }),
        json!({ "exp": -1 }),
        json!({ "nbf": now() + 3600 }),
        json!({ "iat": now() + 3600, "exp": now() + 7200 }),
    ] {
        assert_eq!(
            FIXTURE.ring.verify(&signed(json!({}), claims.clone())),
            Err(TokenError::Invalid),
            "{claims}"
        );
    }
}

#[test]
fn keys_rotate_without_a_refused_token() {
    let dir = FIXTURE.dir.path();
    let issue = |ring: &KeyRing| ring.issue(&ann(), "session", now()).unwrap();
    let (old, new) = (
        ring(dir, "own", &["foreign"]),
        ring(dir, "foreign", &["own"]),
    );
    assert!(old.verify(&issue(&new)).is_ok() && new.verify(&issue(&old)).is_ok());
    let alone = ring(dir, "foreign", &[]);
    assert_eq!(alone.verify(&issue(&old)), Err(TokenError::Invalid));
    let keys: Value = serde_json::from_str(new.jwks()).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    for key in keys["keys"].as_array().unwrap() {
        let names: Vec<_> = key.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            ["alg", "crv", "kid", "kty", "use", "x", "y"],
            "nothing private is published"
        );
    }
}
