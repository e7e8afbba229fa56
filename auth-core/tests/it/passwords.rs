//! Stored password hashes, for all input.

use auth_core::password::{HashError, Hasher, Password};
use proptest::prelude::*;
use scrypt::Params;

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
        prop_assert_eq!(cheap().verify(&password(&wrong), &stored), Ok(right == wrong));
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
fn the_hash_that_stands_in_for_an_unknown_user_has_the_current_cost_and_no_password() {
    let hasher = Hasher::new(Params::new(3, 2, 4).unwrap());
    let stored = hasher.unmatchable();
    assert!(stored.starts_with("$scrypt$ln=3,r=2,p=4$"), "{stored}");
    assert_eq!(hasher.verify(&password(""), &stored), Ok(false));
}

#[test]
fn what_owasp_advises_is_not_weak_and_anything_less_is() {
    let weak = |log_n, r, p| Hasher::new(Params::new(log_n, r, p).unwrap()).is_weak();
    assert!(!weak(17, 8, 1) && !weak(14, 8, 5) && !weak(18, 16, 2));
    assert!(weak(16, 8, 1) && weak(17, 4, 1) && weak(10, 8, 16));
}

#[test]
fn a_password_is_never_printed() {
    assert_eq!(format!("{:?}", password("correct horse")), "Password(…)");
}
