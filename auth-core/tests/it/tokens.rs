//! Access tokens, for all input.

use std::path::Path;
use std::sync::LazyLock;

use auth_core::accounts::Identity;
use auth_core::config::Tokens;
use auth_core::tokens::{KeyRing, LEEWAY_SECONDS, TokenError};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::key_pair;

struct Fixture {
    dir: TempDir,
    ring: KeyRing,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    key_pair(dir.path(), "own");
    key_pair(dir.path(), "foreign");
    let ring = ring(dir.path(), "own", &[]);
    Fixture { dir, ring }
});

fn ring(dir: &Path, signing: &str, others: &[&str]) -> KeyRing {
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

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

pub fn ann() -> Identity {
    Identity {
        id: "id".to_owned(),
        email: "ann@example.com".to_owned(),
        role: "user".to_owned(),
    }
}

fn good() -> String {
    FIXTURE.ring.issue(&ann(), "session", now()).unwrap()
}

/// A token signed with our own key, but with another header or other claims.
fn signed(header: Value, claims: Value) -> String {
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
fn a_token_without_signature_is_refused() {
    let token = good();
    let (_, rest) = token.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    let own: Value = serde_json::to_value(jsonwebtoken::decode_header(&token).unwrap()).unwrap();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let mut header = own.clone();
        header["alg"] = alg.into();
        let header = base64url(header.to_string().as_bytes());
        for forged in [format!("{header}.{claims}."), format!("{header}.{claims}")] {
            assert_eq!(
                FIXTURE.ring.verify(&forged),
                Err(TokenError::Invalid),
                "{alg}"
            );
        }
    }
}

#[test]
fn our_public_key_is_not_taken_for_a_shared_secret() {
    let public = std::fs::read(FIXTURE.dir.path().join("own.pub")).unwrap();
    let token = good();
    let own = jsonwebtoken::decode_header(&token).unwrap();
    let claims = FIXTURE.ring.verify(&token).unwrap();
    for secret in [public.clone(), FIXTURE.ring.jwks().as_bytes().to_vec()] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ.clone_from(&own.typ);
        header.kid.clone_from(&own.kid);
        let forged =
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(FIXTURE.ring.verify(&forged), Err(TokenError::Invalid));
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

/// A header and claims in any JSON text, signed with our own key.
fn signed_text(header: &str, claims: &str) -> String {
    let key = EncodingKey::from_ec_pem(&std::fs::read(FIXTURE.dir.path().join("own.pem")).unwrap());
    let message = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(claims.as_bytes())
    );
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.unwrap(), Algorithm::ES256);
    format!("{message}.{}", signature.unwrap())
}

/// The header and the claims of a good token, as JSON texts without their closing brackets.
fn open_texts() -> (String, String) {
    let kid = FIXTURE.ring.signing_kid();
    let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{kid}""#);
    let exp = now() + 60;
    let claims = format!(
        r#"{{"iss":"authstack","aud":"authstack","sub":"id","sid":"session","email":"ann@example.com","role":"user","iat":{},"exp":{exp},"jti":"1""#,
        now()
    );
    (header, claims)
}

#[test]
fn a_name_that_comes_twice_is_refused_whichever_value_is_right() {
    let (header, claims) = open_texts();
    let good = signed_text(&format!("{header}}}"), &format!("{claims}}}"));
    assert!(FIXTURE.ring.verify(&good).is_ok());
    let exp = (now() + 60).to_string();
    let past = (now() - 3600).to_string();
    for more in [
        r#""iss":"authstack""#.to_owned(),
        r#""aud":"other""#.to_owned(),
        r#""sub":"admin""#.to_owned(),
        r#""email":"eve@example.com""#.to_owned(),
        r#""role":"admin""#.to_owned(),
        r#""sid":"session""#.to_owned(),
        r#""jti":"2""#.to_owned(),
        format!(r#""exp":{exp}"#),
        format!(r#""exp":{past}"#),
        format!(r#""iat":{past}"#),
        format!(r#""nbf":{past},"nbf":{past}"#),
        // The same name by another spelling.
        r#""r\u006fle":"admin""#.to_owned(),
    ] {
        let token = signed_text(&format!("{header}}}"), &format!("{claims},{more}}}"));
        assert_eq!(
            FIXTURE.ring.verify(&token),
            Err(TokenError::Invalid),
            "{more}"
        );
    }
    for more in [
        r#""alg":"none""#,
        r#""alg":"ES256""#,
        r#""kid":"foreign""#,
        r#""typ":"JWT""#,
    ] {
        let token = signed_text(&format!("{header},{more}}}"), &format!("{claims}}}"));
        assert_eq!(
            FIXTURE.ring.verify(&token),
            Err(TokenError::Invalid),
            "{more}"
        );
    }
}

#[test]
fn a_key_that_a_token_brings_along_is_not_used() {
    let foreign = ring(FIXTURE.dir.path(), "foreign", &[]);
    let jwk = serde_json::from_str::<Value>(foreign.jwks()).unwrap()["keys"][0].clone();
    let claims = FIXTURE.ring.verify(&good()).unwrap();
    let pem = std::fs::read(FIXTURE.dir.path().join("foreign.pem")).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    for more in [
        json!({ "jwk": jwk }),
        json!({ "jku": "http://127.0.0.1:1/keys.json" }),
        json!({ "x5u": "http://127.0.0.1:1/chain.pem" }),
    ] {
        let mut header =
            serde_json::to_value(jsonwebtoken::decode_header(good()).unwrap()).unwrap();
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let header: Header = serde_json::from_value(header).unwrap();
        let forged = jsonwebtoken::encode(&header, &claims, &key).unwrap();
        assert_eq!(
            FIXTURE.ring.verify(&forged),
            Err(TokenError::Invalid),
            "{more}"
        );
    }
}

#[test]
fn a_token_of_another_shape_is_refused() {
    let token = good();
    let (signed, _) = token.rsplit_once('.').unwrap();
    for other in [
        // Encrypted tokens have five parts (RFC 7516).
        format!("{token}.a.b"),
        format!("{signed}."),
        signed.to_owned(),
        format!("{token}\n"),
        format!(" {token}"),
        format!("Bearer {token}"),
        String::new(),
        "..".to_owned(),
    ] {
        assert_eq!(
            FIXTURE.ring.verify(&other),
            Err(TokenError::Invalid),
            "{other:?}"
        );
    }
    let (header, claims) = open_texts();
    let claims = claims.replace(r#""role":"user","#, "");
    let latin1 = [claims.as_bytes(), b",\"role\":\"\xe9\"}"].concat();
    let message = format!(
        "{}.{}",
        base64url(format!("{header}}}").as_bytes()),
        base64url(&latin1)
    );
    let pem = std::fs::read(FIXTURE.dir.path().join("own.pem")).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    assert_eq!(
        FIXTURE.ring.verify(&format!("{message}.{signature}")),
        Err(TokenError::Invalid),
        "claims are UTF-8"
    );
}

proptest! {
    #[test]
    fn a_token_may_have_4096_bytes_and_no_more(padding in 2000usize..4000) {
        let token = signed(json!({}), json!({ "padding": "x".repeat(padding) }));
        prop_assert_eq!(FIXTURE.ring.verify(&token).is_ok(), token.len() <= 4096);
    }

    #[test]
    fn whatever_a_claim_holds_only_what_it_must_is_accepted(
        claim in "iss|aud|sub|sid|email|role|iat|exp|nbf|jti",
        value in prop_oneof![
            Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from), Just(json!([])), Just(json!(["authstack"])), Just(json!({})),
        ],
    ) {
        let (name, text) = (claim.as_str(), value.is_string());
        if let Ok(claims) = FIXTURE.ring.verify(&signed(json!({}), json!({ name: value.clone() }))) {
            let harmless = match name {
                "iss" => false,
                "aud" => value == json!(["authstack"]) && claims.aud == "authstack",
                "iat" => value.as_u64().is_some_and(|iat| iat <= now() + LEEWAY_SECONDS),
                "exp" => value.as_f64().is_some_and(|exp| exp >= now() as f64 - 60.0),
                "nbf" => value.is_null() || value.as_f64().is_some_and(|nbf| nbf <= now() as f64 + 60.0),
                _ => text,
            };
            prop_assert!(harmless, "{name}: {value} was accepted: {claims:?}");
        }
    }

    #[test]
    fn a_token_of_the_future_or_the_past_is_refused(seconds in LEEWAY_SECONDS + 5..10_000_000) {
        let past = json!({ "exp": now() - seconds });
        prop_assert_eq!(FIXTURE.ring.verify(&signed(json!({}), past)), Err(TokenError::Expired));
        for claim in ["nbf", "iat"] {
            let future = json!({ claim: now() + seconds, "exp": now() + seconds + 900 });
            prop_assert_eq!(FIXTURE.ring.verify(&signed(json!({}), future)), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn any_text_is_refused(text in "\\PC{0,300}|[a-zA-Z0-9_-]{0,60}\\.[a-zA-Z0-9_-]{0,60}\\.[a-zA-Z0-9_-]{0,90}") {
        prop_assert_eq!(FIXTURE.ring.verify(&text), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_with_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let mut token = good().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert_eq!(FIXTURE.ring.verify(&String::from_utf8(token).unwrap()), Err(TokenError::Invalid));
    }

    #[test]
    fn a_token_cut_short_or_made_longer_is_refused(at in any::<prop::sample::Index>(), more in "[a-zA-Z0-9_.=-]{1,8}") {
        let token = good();
        prop_assert_eq!(FIXTURE.ring.verify(&token[..at.index(token.len())]), Err(TokenError::Invalid));
        prop_assert_eq!(FIXTURE.ring.verify(&format!("{token}{more}")), Err(TokenError::Invalid));
    }
}

fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(
                ALPHABET[(bits >> (18 - 6 * place) & 63) as usize],
            ));
        }
    }
    text
}
