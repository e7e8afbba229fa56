//! `auth-core keys`: what an operator does with the ring, and what it says.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use auth_core::tokens::keys::PUBLISHED_MAX_AGE;
use auth_core::tokens::{KeyRing, LEEWAY_SECONDS, TokenError};
use insta::assert_snapshot;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::Value;
use tempfile::TempDir;

use crate::keys::{issue, load, now, published, ring};
use crate::node::key_pair;

/// A directory that is changed by `auth-core keys` only.
pub struct Operator(TempDir);

impl Operator {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn directory(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    pub fn keys(&self, command: &[&str]) -> String {
        keys(self.0.path(), command)
    }

    /// Makes a key and returns its name.
    pub fn generate(&self, algorithm: &str) -> String {
        let said = self.keys(&["generate", "--algorithm", algorithm]);
        let kid = said
            .split_whitespace()
            .skip_while(|word| *word != "made")
            .nth(1);
        kid.unwrap_or_else(|| panic!("{said}")).to_owned()
    }

    pub fn ring(&self) -> KeyRing {
        ring(&self.directory())
    }

    /// Makes a key as old as it must be to be known everywhere.
    pub fn age(&self, kid: &str) {
        let file = fs::File::open(self.directory().join(format!("{kid}.pem"))).unwrap();
        let old = SystemTime::now() - Duration::from_secs(PUBLISHED_MAX_AGE);
        file.set_modified(old).unwrap();
    }
}

/// Runs `auth-core keys` in a folder with the ring `keys`.
pub fn keys(dir: &Path, command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_auth-core"))
        .arg("keys")
        .args(command)
        .args(["--set", "tokens.key_directory=keys"])
        .env_clear()
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    format!("exit {}\n{text}", output.status.code().unwrap())
}

#[test]
fn the_next_key_is_published_before_it_signs_and_the_old_one_stays_until_its_last_token_has_expired()
 {
    let operator = Operator::new();
    let old = operator.generate("es256");
    let first = operator.ring();
    assert_eq!(first.signing_kid(), old, "the first key signs at once");
    let token = issue(&first);

    let new = operator.generate("es256");
    let published_early = operator.ring();
    assert_eq!(published_early.signing_kid(), old);
    assert_eq!(published(&published_early), [old.clone(), new.clone()]);

    assert!(operator.keys(&["rotate"]).contains("others may remember"));
    assert_eq!(
        operator.ring().signing_kid(),
        old,
        "refused, so nothing changed"
    );
    operator.age(&new);
    assert!(operator.keys(&["rotate"]).starts_with("exit 0\n"));
    let rotated = operator.ring();
    assert_eq!(rotated.signing_kid(), new);
    assert!(
        operator.keys(&["rotate"]).contains("there is no next key"),
        "a key that has signed is none"
    );
    assert!(
        rotated.verify(&token).is_ok(),
        "tokens of the old key stay good"
    );
    assert!(
        published_early.verify(&issue(&rotated)).is_ok(),
        "a node that was not reloaded since knows the new key"
    );

    assert_eq!(
        operator.keys(&["retire"]),
        "exit 0\nnothing to remove yet\n"
    );
    assert!(
        operator
            .keys(&["retire", &old])
            .contains("may still be good")
    );
    // What the clock would do: the old key stopped signing when its last token can have expired.
    let ago = now() - 900 - LEEWAY_SECONDS - PUBLISHED_MAX_AGE - 10;
    fs::write(
        operator.directory().join("signing"),
        format!("1 {old}\n{ago} {new}\n"),
    )
    .unwrap();
    assert!(
        operator
            .keys(&["retire"])
            .contains(&format!("removed {old}"))
    );
    assert_eq!(published(&operator.ring()).join(" "), new);
    assert!(
        operator
            .keys(&["retire", &new, "--now"])
            .contains("rotate` first")
    );
}

#[test]
fn a_new_key_does_not_sign_where_it_is_open_which_of_several_does() {
    let operator = Operator::new();
    key_pair(&operator.directory(), "one");
    key_pair(&operator.directory(), "other");
    operator.generate("es256");
    let refusal = load(&operator.directory()).err().unwrap();
    assert!(refusal.contains("several private keys"), "{refusal}");
}

#[test]
fn the_commands_say_what_comes_next() {
    let operator = Operator::new();
    let mut names = Vec::new();
    let mut said = String::new();
    let mut step = |name: &str, text: String| said += &format!("== {name}\n{text}");
    step("no ring", operator.keys(&["list"]));
    names.push(operator.generate("es256"));
    names.push(operator.generate("rs256"));
    step("no third key", operator.keys(&["rotate", &names[0]]));
    names.push(operator.generate("eddsa"));
    step("two next keys", operator.keys(&["rotate"]));
    step("unknown key", operator.keys(&["rotate", "nothing"]));
    step("in a hurry", operator.keys(&["rotate", &names[1], "--now"]));
    key_pair(&operator.directory(), "other");
    fs::rename(
        operator.directory().join("other.pub"),
        operator.directory().join("other.pem"),
    )
    .unwrap();
    step("a public key", operator.keys(&["rotate", "other"]));
    step("list", operator.keys(&["list"]));
    for (number, name) in names.iter().enumerate() {
        said = said
            .replace(&format!("{name:<36}"), &format!("KID-{number}"))
            .replace(name, &format!("KID-{number}"));
    }
    insta::with_settings!({filters => vec![(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "DATE"), (r"made \S+", "made KID"), (r"is \d+ s old", "is AGE s old")]}, {
        assert_snapshot!(said);
    });
}

#[test]
fn the_public_half_of_a_key_is_printed_for_gateways_and_shared_secrets_never_are() {
    let operator = Operator::new();
    let names = [
        ("es256", Algorithm::ES256),
        ("rs256", Algorithm::RS256),
        ("eddsa", Algorithm::EdDSA),
    ];
    for (name, algorithm) in names {
        let kid = operator.generate(name);
        operator.keys(&["rotate", &kid, "--now"]);
        let token = issue(&operator.ring());
        let said = operator.keys(&["public", &kid]);
        let public = said.strip_prefix("exit 0\n").unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n") && !public.contains('\r'));
        let key = match algorithm {
            Algorithm::ES256 => DecodingKey::from_ec_pem(public.as_bytes()),
            Algorithm::RS256 => DecodingKey::from_rsa_pem(public.as_bytes()),
            _ => DecodingKey::from_ed_pem(public.as_bytes()),
        };
        let mut expected = Validation::new(algorithm);
        expected.set_audience(&["authstack"]);
        let token = jsonwebtoken::decode::<Value>(&token, &key.unwrap(), &expected);
        let claims = token.unwrap().claims;
        assert_eq!(claims["sub"], "id", "{name}");

        // What everybody may know must not do as a shared secret.
        let der = pem::parse(public).unwrap().into_contents();
        for secret in [public.as_bytes(), public.trim().as_bytes(), &der] {
            let mut header = Header::new(Algorithm::HS256);
            header.typ = Some("at+jwt".to_owned());
            header.kid = Some(kid.clone());
            let secret = EncodingKey::from_secret(secret);
            let forged = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
            assert_eq!(operator.ring().verify(&forged), Err(TokenError::Invalid));
        }

        // A public key in the ring is printed as it is.
        fs::write(operator.directory().join("other.pem"), public).unwrap();
        assert_eq!(operator.keys(&["public", "other"]), said);
    }
    let secret = operator.generate("hs256");
    for (kid, why) in [
        (secret.as_str(), "is a shared secret: it has no public half"),
        ("nothing", "there is no key nothing"),
        ("../keys/other", "there is no key ../keys/other"),
    ] {
        let said = operator.keys(&["public", kid]);
        assert!(said.starts_with("exit 1\n") && said.contains(why), "{said}");
    }
}

#[test]
fn keys_are_private_files_and_nothing_unfinished_is_left() {
    let operator = Operator::new();
    operator.generate("es256");
    operator.generate("hs256");
    assert_eq!(
        fs::metadata(operator.directory())
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    let mut names = Vec::new();
    for entry in fs::read_dir(operator.directory()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert!(
        names.len() == 3 && names[2] == "signing" && names[0].ends_with(".pem"),
        "{names:?}"
    );
}

#[test]
fn what_root_makes_in_the_directory_of_a_service_is_the_services() {
    let operator = Operator::new();
    operator.generate("es256");
    let service = (65534, 65534);
    if let Err(error) = chown(operator.directory(), Some(service.0), Some(service.1)) {
        eprintln!("not tried: only root gives files away ({error})");
        return;
    }
    let kid = operator.generate("es256");
    let key = fs::metadata(operator.directory().join(format!("{kid}.pem"))).unwrap();
    assert_eq!((key.uid(), key.gid()), service);
}
