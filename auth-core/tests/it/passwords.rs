//! Passwords and their stored hashes, for all input.

use auth_core::config::Config;
use auth_core::passwords::{HashError, Hasher, MAX_BYTES, Password};
use proptest::prelude::*;
use scrypt::Params;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::refresh::{Tokens, change_password, delete_account};
use crate::users::user;

fn cheap() -> Hasher {
    Hasher::new(Params::new(2, 1, 1).unwrap())
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

const TAIL: &str = "c2FsdHNhbHRzYWx0$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";

proptest! {
    #[test]
    fn any_text_as_a_stored_hash_is_an_error_or_a_no(text in "\\PC{0,100}|\\$scrypt\\$ln=[0-9]{1,2},r=[0-3],p=[0-3]\\$[a-zA-Z0-9+/]{0,40}\\$[a-zA-Z0-9+/]{0,60}") {
        // Costs that pass are bounded by what the pattern makes: keep them tiny.
        prop_assume!(!text.contains("ln=1") && !text.contains("ln=2"));
        prop_assert_ne!(cheap().verify(&password("guess"), &text), Ok(true));
        // Whatever it is, this only reads it.
        cheap().is_outdated(&text);
    }

    #[test]
    fn work_beyond_the_cap_is_never_done(log_n in 0u32..=u32::MAX, r in 0u32..=u32::MAX, p in 0u32..=u32::MAX) {
        // 128 MiB and sixteen rounds are the cap when less is configured.
        let memory = (128u128 * u128::from(r)) << log_n.min(64);
        prop_assume!(memory > 128 << 20 || p > 16);
        let stored = format!("$scrypt$ln={log_n},r={r},p={p}${TAIL}");
        prop_assert_eq!(cheap().verify(&password("guess"), &stored), Err(HashError::TooExpensive));
    }

    #[test]
    fn a_password_verifies_against_its_own_hash_only(right in "[^\\x00]{0,40}", wrong in "[^\\x00]{0,40}") {
        let stored = cheap().hash(&password(&right)).unwrap();
        prop_assert_eq!(cheap().verify(&password(&right), &stored), Ok(true));
        prop_assert_eq!(cheap().verify(&password(&wrong), &stored), Ok(right.nfc().eq(wrong.nfc())));
    }

    #[test]
    fn however_a_text_is_composed_it_is_the_same_password(text in "[^\\x00]{0,40}|[à-žㄱ-힣ḁ-ỹが-ぽΰ-ώ]{1,30}") {
        let composed: String = text.nfc().collect();
        let decomposed: String = text.nfd().collect();
        let stored = cheap().hash(&password(&text)).unwrap();
        for form in [&composed, &decomposed] {
            prop_assert_eq!(cheap().verify(&password(form), &stored), Ok(true));
        }
        let again: String = composed.nfc().collect();
        prop_assert_eq!(composed, again);
    }

    #[test]
    fn what_only_looks_alike_is_another_password(text in "[a-z]{1,20}") {
        // Compatibility forms are not the same text: NFKC would make these one.
        let wide: String = text.chars().map(|c| char::from_u32(c as u32 + 0xFEE0).unwrap()).collect();
        let stored = cheap().hash(&password(&text)).unwrap();
        prop_assert_eq!(cheap().verify(&password(&wide), &stored), Ok(false));
        prop_assert_eq!(cheap().verify(&password(&text.to_uppercase()), &stored), Ok(false));
        prop_assert_eq!(cheap().verify(&password(&format!("{text} ")), &stored), Ok(false));
    }

    #[test]
    fn the_length_is_bounded_before_and_after_composing(text in "\\PC{0,600}|[\u{1D15E}\u{1D160}\u{FB2C}\u{390}]{200,600}") {
        let composed: usize = text.nfc().map(char::len_utf8).sum();
        let too_long = text.len() > MAX_BYTES || composed > MAX_BYTES;
        prop_assert_eq!(password(&text).is_too_long(), too_long);
    }
}

#[test]
fn a_planted_terabyte_hash_is_refused() {
    let stored = format!("$scrypt$ln=30,r=8,p=1${TAIL}");
    assert_eq!(
        cheap().verify(&password("guess"), &stored),
        Err(HashError::TooExpensive)
    );
}

#[test]
fn a_stored_hash_may_cost_what_owasp_advises_or_sixteen_rounds_and_no_more() {
    for (cost, expected) in [
        ("ln=17,r=8,p=1", Ok(false)),
        ("ln=17,r=9,p=1", Err(HashError::TooExpensive)),
        ("ln=2,r=1,p=16", Ok(false)),
        ("ln=2,r=1,p=17", Err(HashError::TooExpensive)),
    ] {
        let stored = format!("$scrypt${cost}${TAIL}");
        assert_eq!(cheap().verify(&password("guess"), &stored), expected);
    }
}

#[test]
fn a_stored_hash_of_another_algorithm_or_of_which_a_part_is_missing_is_an_error() {
    for stored in [
        format!("$pbkdf2$ln=2,r=1,p=1${TAIL}"),
        "$scrypt$ln=2,r=1,p=1$c2FsdHNhbHRzYWx0".to_owned(),
        "$scrypt$ln=2,r=1,p=1".to_owned(),
    ] {
        let answer = cheap().verify(&password("guess"), &stored);
        assert_eq!(answer, Err(HashError::Malformed), "{stored}");
    }
}

#[test]
fn a_hash_may_be_configured_to_take_a_gibibyte_and_no_more() {
    let refusal = |log_n, r| {
        let mut config = Config::default();
        (config.password.scrypt.log_n, config.password.scrypt.r) = (log_n, r);
        let refusal = Hasher::from_config(&config.password).err();
        refusal.map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refusal(20, 8), "");
    assert!(refusal(20, 9).contains("asks for 1152 MiB a hash"));
    assert!(refusal(21, 8).contains("asks for 2048 MiB a hash"));
}

#[test]
fn a_password_may_have_1024_bytes_and_no_nul() {
    for (text, is_impossible) in [
        ("a".repeat(1024), false),
        ("a".repeat(1025), true),
        ("a\0".to_owned(), true),
    ] {
        assert_eq!(password(&text).is_impossible(), is_impossible, "{text:?}");
    }
}

#[test]
fn the_hash_that_stands_in_for_an_unknown_user_has_the_current_cost_and_no_password() {
    let hasher = Hasher::new(Params::new(3, 2, 4).unwrap());
    let stored = hasher.unmatchable();
    assert!(stored.starts_with("$scrypt$ln=3,r=2,p=4$"), "{stored}");
    assert_eq!(hasher.verify(&password(""), &stored), Ok(false));
}

proptest! {
    #[test]
    fn a_wrong_password_costs_the_same_however_cheap_the_stored_hash_is(
        (log_n, r, p) in (1u8..=20, 1u32..=16, 1u32..=16),
        (old_log_n, old_r, old_p) in (1u8..=20, 1u32..=16, 1u32..=16),
    ) {
        let work = |log_n: u8, r: u32, p: u32| (1u64 << log_n) * u64::from(r) * u64::from(p);
        let hasher = Hasher::new(Params::new(log_n, r, p).unwrap());
        let padding = hasher.padding(old_log_n.into(), old_r, old_p);
        let padded: u64 = padding.iter().map(|params| work(params.log_n(), params.r(), params.p())).sum();
        let (current, old) = (work(log_n, r, p), work(old_log_n, old_r, old_p));
        // The least that can be added is a hash with N = 2.
        let missing = current.saturating_sub(old);
        prop_assert!(padded <= missing && missing - padded < work(1, r, 1), "{padded} of {missing}");
        if (old_r, old_p) == (r, p) {
            prop_assert_eq!(padded, missing);
        }
        prop_assert!(padding.iter().all(|params| params.log_n() <= log_n && params.r() == r));
        prop_assert!(padding.len() <= 16 + 20);
    }
}

#[test]
fn a_hash_of_an_older_cost_is_padded_with_the_powers_of_two_between_the_costs() {
    let hasher = Hasher::new(Params::new(17, 8, 1).unwrap());
    let padding = |log_n, r, p| -> Vec<_> {
        let padding = hasher.padding(log_n, r, p);
        padding.iter().map(Params::log_n).collect()
    };
    assert_eq!(padding(13, 8, 1), [16, 15, 14, 13]);
    assert!(padding(17, 8, 1).is_empty());
    assert_eq!(padding(15, 8, 3), [15], "another choice of OWASP's");
    assert!(
        padding(18, 8, 1).is_empty(),
        "nothing makes up for a dearer one"
    );
}

#[test]
fn what_owasp_advises_is_not_weak_and_anything_less_is() {
    let weak = |log_n, r, p| Hasher::new(Params::new(log_n, r, p).unwrap()).is_weak();
    assert!(!weak(17, 8, 1) && !weak(14, 8, 5) && !weak(18, 16, 2));
    assert!(weak(16, 8, 1) && weak(17, 4, 1) && weak(10, 8, 16));
    let by_default = Hasher::from_config(&Config::default().password).unwrap();
    assert!(!by_default.is_weak());
}

#[test]
fn a_password_is_never_printed() {
    assert_eq!(format!("{:?}", password("correct horse")), "Password(…)");
}

const COMPOSED: &str = "caf\u{e9} au lait à gogo";
const DECOMPOSED: &str = "cafe\u{301} au lait a\u{300} gogo";

#[test]
fn a_password_is_good_from_every_keyboard_wherever_it_is_asked_for() {
    assert_ne!(COMPOSED, DECOMPOSED);
    let node = Node::start();
    let signed_up = node.sign_up(EMAIL, DECOMPOSED);
    for form in [COMPOSED, DECOMPOSED] {
        assert!(node.log_in(EMAIL, form)["errors"].is_null(), "{form:?}");
    }
    let tokens = Tokens::of(&signed_up, "signUp");
    let changed = change_password(&node, &tokens, COMPOSED, "v\u{e9}lo \u{e9}lectrique bleu");
    let tokens = Tokens::of(&changed, "changePassword");
    let decomposed = "ve\u{301}lo e\u{301}lectrique bleu";
    assert!(node.log_in(EMAIL, decomposed)["errors"].is_null());
    let deleted = delete_account(&node, &tokens, decomposed);
    assert_eq!(deleted["errors"], Value::Null, "{deleted}");

    assert!(user(&node, &["add", EMAIL], DECOMPOSED).starts_with("exit 0\n"));
    assert!(node.log_in(EMAIL, COMPOSED)["errors"].is_null());
}

#[test]
fn characters_are_counted_as_composed() {
    let node = Node::start();
    // Fourteen that take fifteen code points before they are composed.
    let answer = node.sign_up(EMAIL, "e\u{301}bcdghklmpqsvz");
    assert_eq!(code(&answer), "WEAK_PASSWORD");
}

#[test]
fn a_new_hash_says_how_it_was_made_and_no_two_are_alike() {
    let hash = || cheap().hash(&password("one and the same")).unwrap();
    let (one, other) = (hash(), hash());
    assert!(one.starts_with("$scrypt$ln=2,r=1,p=1$"), "{one}");
    assert_ne!(one, other, "each has a salt of its own");
    let salt = one.split('$').nth(3).unwrap();
    assert_eq!(salt.len(), 22, "16 bytes in base64: {salt}");
}

#[test]
fn a_log_in_hashes_the_password_again_where_the_cost_has_grown_and_only_there() {
    let cheap = Node::start();
    cheap.sign_up(EMAIL, PASSWORD);
    let dear = cheap.beside_with(|config| config.password.scrypt.p = 5);
    let stored = |p: u32| {
        let like = format!("password_hash LIKE '$scrypt$ln=4,r=8,p={p}$%'");
        cheap.sql(&format!("SELECT COUNT(*) FROM accounts WHERE {like}")) == [1]
    };
    assert!(stored(1));
    // The first checks and hashes, and the others only check.
    for (node, hashes) in [(&dear, 2.0), (&dear, 1.0), (&cheap, 1.0)] {
        let before = node.hashes();
        let answer = node.log_in(EMAIL, PASSWORD);
        assert!(answer["data"]["logIn"].is_object(), "{answer}");
        assert_eq!(node.hashes() - before, hashes);
        assert!(stored(5));
    }
}
