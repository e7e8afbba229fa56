//! Access tokens that nobody should have: refused, for all input.

use auth_core::tokens::{LEEWAY_SECONDS, TokenError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::tokens::{FIXTURE, good, now, ring, signed};

#[test]
fn a_token_without_signature_is_refused() {
    let token = good();
    let (_, rest) = token.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    let own: Value = serde_json::to_value(jsonwebtoken::decode_header(&token).unwrap()).unwrap();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let mut header = own.clone();
        header["alg"] = alg.into();
        let header = URL_SAFE_NO_PAD.encode(header.to_string().as_bytes());
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
            jsonwebtoken::encode(&header, &*claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(FIXTURE.ring.verify(&forged), Err(TokenError::Invalid));
    }
}

/// Any bytes as header and claims, signed with our own key.
fn signed_bytes(header: &str, claims: impl AsRef<[u8]>) -> String {
    let pem = std::fs::read(FIXTURE.dir.path().join("own.pem")).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    let (header, claims) = (
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
    );
    let message = format!("{header}.{claims}");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
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
    let good = signed_bytes(&format!("{header}}}"), format!("{claims}}}"));
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
        let token = signed_bytes(&format!("{header}}}"), format!("{claims},{more}}}"));
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
        let token = signed_bytes(&format!("{header},{more}}}"), format!("{claims}}}"));
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
        let forged = jsonwebtoken::encode(&header, &*claims, &key).unwrap();
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
    assert_eq!(
        FIXTURE
            .ring
            .verify(&signed_bytes(&format!("{header}}}"), latin1)),
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
