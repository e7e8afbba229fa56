//! The key ring: made, rotated and reloaded under the feet of those who hold tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use auth_core::config::Tokens;
use auth_core::telemetry::metrics::Metrics;
use auth_core::tokens::keys::{HMAC_SECRET, PUBLISHED_MAX_AGE};
use auth_core::tokens::{KeyRing, Keys, TokenError};
use insta::assert_snapshot;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::Value;

use crate::database;
use crate::keys_command::{Operator, keys};
use crate::node::{EMAIL, Node, PASSWORD, code, config, key_pair};
use crate::process::{Process, wait_until};
use crate::tokens::ann;

pub fn load(directory: &Path) -> Result<KeyRing, String> {
    let tokens = Tokens {
        key_directory: directory.to_owned(),
        ..Tokens::default()
    };
    let name = directory.display().to_string();
    KeyRing::load(&tokens).map_err(|error| error.to_string().replace(&name, "KEYS"))
}

pub fn ring(directory: &Path) -> KeyRing {
    load(directory).unwrap()
}

pub fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

pub fn issue(ring: &KeyRing) -> String {
    ring.issue(&ann(), "session", now()).unwrap()
}

pub fn published(ring: &KeyRing) -> Vec<String> {
    let keys: Value = serde_json::from_str(ring.jwks()).unwrap();
    let keys = keys["keys"].as_array().unwrap().clone();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn each_key_has_one_algorithm_and_shared_secrets_are_not_published() {
    for (name, algorithm, is_published) in [
        ("es256", Algorithm::ES256, true),
        ("rs256", Algorithm::RS256, true),
        ("eddsa", Algorithm::EdDSA, true),
        ("hs256", Algorithm::HS256, false),
    ] {
        let operator = Operator::new();
        operator.generate(name);
        let ring = operator.ring();
        let token = issue(&ring);
        assert_eq!(jsonwebtoken::decode_header(&token).unwrap().alg, algorithm);
        assert!(ring.verify(&token).is_ok(), "{name}");
        assert_eq!(!published(&ring).is_empty(), is_published, "{name}");
        let private: Vec<_> = ["\"d\"", "\"p\"", "\"q\"", "\"k\""]
            .into_iter()
            .filter(|part| ring.jwks().contains(part))
            .collect();
        assert!(private.is_empty(), "{name}: {private:?} published");
    }
}

#[test]
fn a_key_is_not_accepted_with_the_algorithm_of_another_in_the_same_ring() {
    let operator = Operator::new();
    let kids = ["es256", "rs256", "eddsa", "hs256"].map(|name| (name, operator.generate(name)));
    let ring = operator.ring();
    let claims = ring.verify(&issue(&ring)).unwrap();
    for (signer, own) in &kids {
        let file = fs::read(operator.directory().join(format!("{own}.pem"))).unwrap();
        let (algorithm, key) = match *signer {
            "es256" => (Algorithm::ES256, EncodingKey::from_ec_pem(&file)),
            "rs256" => (Algorithm::RS256, EncodingKey::from_rsa_pem(&file)),
            "eddsa" => (Algorithm::EdDSA, EncodingKey::from_ed_pem(&file)),
            _ => (
                Algorithm::HS256,
                Ok(EncodingKey::from_secret(
                    pem::parse(&file).unwrap().contents(),
                )),
            ),
        };
        for (name, kid) in &kids {
            let mut header = Header::new(algorithm);
            header.typ = Some("at+jwt".to_owned());
            header.kid = Some(kid.clone());
            let token = jsonwebtoken::encode(&header, &*claims, key.as_ref().unwrap()).unwrap();
            assert_eq!(
                ring.verify(&token).is_ok(),
                own == kid,
                "signed by {signer}, said to be {name}"
            );
        }
    }
}

/// Families are told apart by the library; within one it goes by what it is told.
#[test]
fn a_key_is_not_accepted_with_another_algorithm_of_its_family() {
    for (name, algorithms) in [
        (
            "rs256",
            [Algorithm::RS256, Algorithm::RS512, Algorithm::PS256],
        ),
        (
            "hs256",
            [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        ),
    ] {
        let operator = Operator::new();
        let kid = operator.generate(name);
        let ring = operator.ring();
        let claims = ring.verify(&issue(&ring)).unwrap();
        let file = fs::read(operator.directory().join(format!("{kid}.pem"))).unwrap();
        let key = match name {
            "rs256" => EncodingKey::from_rsa_pem(&file).unwrap(),
            _ => EncodingKey::from_secret(pem::parse(&file).unwrap().contents()),
        };
        for (number, algorithm) in algorithms.into_iter().enumerate() {
            let mut header = Header::new(algorithm);
            header.typ = Some("at+jwt".to_owned());
            header.kid = Some(kid.clone());
            let token = jsonwebtoken::encode(&header, &*claims, &key).unwrap();
            let is_own = number == 0;
            assert_eq!(ring.verify(&token).is_ok(), is_own, "{algorithm:?}");
        }
    }
}

/// A byte too short.
const RSA_OF_2040_BITS: &str = "-----BEGIN PUBLIC KEY-----
MIIBITANBgkqhkiG9w0BAQEFAAOCAQ4AMIIBCQKCAQAA6AvGP/MqDTfFcflGD7gG
T7ddo1owmDzvE4w2saTFlZJ2fG/REzwMqOEPO8od/HVhT1kbQti96LUgEdDsFFKM
OlhLQrrOdUIQyQqya/egxmg/MnFmXqmQu0pDKmr2co3m1R/Ysofby25b7UoH03gx
Q9x4LdZohQKOU+kMxbFSkiXi5syB9TgNqE8jDCMU9md8FOK+QQJKFbMk6G439xOp
Fp4Qi1UO/vDyxxKvSiv0VgHBSQlGe9z2cKkI93nwO0mr2DFLqzv938h5i5kcWILK
SiZNFXyMWmuYlW/iB94guqTD69ZH4yw9OsNGMINHU5EXnyKBi5NUKEx4Kl5+sLo9
AgMBAAE=
-----END PUBLIC KEY-----";

#[test]
fn a_broken_ring_is_refused_by_the_name_of_what_is_wrong() {
    let wrong = |change: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        key_pair(dir.path(), "key");
        change(dir.path());
        load(dir.path()).err().unwrap_or_default()
    };
    let put = |name: &'static str, text: &'static str| {
        move |dir: &Path| fs::write(dir.join(name), text).unwrap()
    };
    let secret = |bytes: &[u8]| pem::encode(&pem::Pem::new(HMAC_SECRET, bytes));
    let all = [
        (
            "no key",
            wrong(&|dir| fs::remove_file(dir.join("key.pem")).unwrap()),
        ),
        ("two and no word", wrong(&|dir| key_pair(dir, "other"))),
        ("a signer that is gone", wrong(&put("signing", "1 gone\n"))),
        (
            "a signer that is public",
            wrong(&|dir| {
                fs::rename(dir.join("key.pub"), dir.join("seen.pem")).unwrap();
                fs::write(dir.join("signing"), "1 seen\n").unwrap();
            }),
        ),
        ("nonsense for a signer", wrong(&put("signing", "key"))),
        (
            "a folder for the file that says who signs",
            wrong(&|dir| fs::create_dir(dir.join("signing")).unwrap()),
        ),
        ("not PEM", wrong(&put("x.pem", "nonsense"))),
        (
            "a certificate",
            wrong(&put(
                "x.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            )),
        ),
        (
            "a private key of nothing",
            wrong(&put(
                "x.pem",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            )),
        ),
        ("a short RSA key", wrong(&put("x.pem", RSA_OF_2040_BITS))),
        (
            "a short secret",
            wrong(&|dir| fs::write(dir.join("x.pem"), secret(&[1; 31])).unwrap()),
        ),
        (
            "a name with dots",
            wrong(&|dir| {
                fs::copy(dir.join("key.pub"), dir.join("a.b.pem")).unwrap();
            }),
        ),
        (
            "readable by all",
            wrong(&|dir| {
                fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o644))
                    .unwrap();
            }),
        ),
        ("nothing wrong", wrong(&put("notes.txt", "none of ours"))),
    ];
    for (what, said) in &all {
        assert_eq!(said.is_empty(), *what == "nothing wrong", "{what}: {said}");
    }
    assert_snapshot!(all.map(|(what, said)| format!("{what}: {said}\n")).concat());
}

#[test]
fn a_reload_brings_new_keys_in_and_a_broken_directory_changes_nothing() {
    let process = Process::start(&[]);
    let folder = process.dir.path().to_owned();
    let jwks = || {
        process
            .get("/.well-known/jwks.json")
            .body_mut()
            .read_to_string()
            .unwrap()
    };
    let signing = || {
        let token = process.sign_up(&format!("{}@example.com", uuid()), &[])["data"]["signUp"]["accessToken"].clone();
        jsonwebtoken::decode_header(token.as_str().unwrap())
            .unwrap()
            .kid
            .unwrap()
    };
    let says = |text: &str| process.log.lock().unwrap().contains(text);
    assert_eq!(signing(), "key");

    let made = keys(&folder, &["generate", "--algorithm", "es256"]);
    let new = made.split_whitespace().nth(3).unwrap().to_owned();
    fs::write(folder.join("keys/broken.pem"), "nonsense").unwrap();
    process.signal("-HUP");
    wait_until("told why", || {
        says("broken.pem") && says("the keys stay as they were")
    });
    assert!(!jwks().contains(&new));
    assert_eq!(signing(), "key");

    fs::remove_file(folder.join("keys/broken.pem")).unwrap();
    process.signal("-HUP");
    wait_until("published", || jwks().contains(&new));
    assert_eq!(signing(), "key");
    assert!(keys(&folder, &["rotate", "--now"]).starts_with("exit 0"));
    process.signal("-HUP");
    wait_until("rotated", || signing() == new);
}

fn uuid() -> u128 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

#[test]
fn the_public_keys_may_be_cached_for_as_long_as_a_key_is_published_before_it_signs() {
    let answer = Node::start().get("/.well-known/jwks.json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(PUBLISHED_MAX_AGE, 300);
}

#[test]
fn nodes_that_start_together_on_an_empty_directory_make_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let database = database::fresh(dir.path());
    let first = |config: &mut auth_core::config::Config| {
        config.tokens.key_directory = dir.path().join("ring");
        config.tokens.generate_first_key = true;
        config.database.url.clone_from(&database);
    };
    let nodes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| Node::start_with(first)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let token = nodes[0].sign_up(EMAIL, PASSWORD)["data"]["signUp"]["accessToken"].clone();
    for node in &nodes {
        let me = node.with(token.as_str().unwrap()).me();
        assert_eq!(me["data"]["me"]["email"], EMAIL, "{}", code(&me));
    }
}

proptest! {
    #[test]
    fn any_bytes_as_a_key_file_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300), label in "PRIVATE KEY|PUBLIC KEY|RSA PRIVATE KEY") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.pem");
        for text in [bytes.clone(), pem::encode(&pem::Pem::new(label, bytes)).into_bytes()] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            prop_assert!(load(dir.path()).is_err());
        }
    }

    #[test]
    fn any_text_as_a_kid_is_refused_unless_it_names_the_key(kid in "\\PC{0,80}") {
        let dir = tempfile::tempdir().unwrap();
        key_pair(dir.path(), "own");
        let ring = ring(dir.path());
        prop_assume!(kid != "own");
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(kid);
        let key = EncodingKey::from_ec_pem(&fs::read(dir.path().join("own.pem")).unwrap()).unwrap();
        let claims = ring.verify(&issue(&ring)).unwrap();
        let token = jsonwebtoken::encode(&header, &*claims, &key).unwrap();
        prop_assert_eq!(ring.verify(&token), Err(TokenError::Invalid));
    }
}

#[test]
fn a_token_that_was_verified_is_refused_once_its_key_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = config(dir.path()).tokens;
    let folder = settings.key_directory.clone();
    let keys = Keys::open(&settings, Arc::new(Metrics::new("node").unwrap())).unwrap();
    let token = issue(&keys.current());
    for _ in 0..2 {
        assert!(keys.verify(&token).is_ok());
    }
    fs::remove_file(folder.join("signing.pem")).unwrap();
    key_pair(&folder, "other");
    keys.reload().unwrap();
    assert_eq!(keys.verify(&token), Err(TokenError::Invalid));
}
