//! E-mail addresses, for all input.

use auth_core::email::{Email, MAX_BYTES};
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

proptest! {
    #[test]
    fn any_text_is_either_refused_or_kept_as_given(text in "\\PC{0,80}|[ -~]{0,12}@[ -~]{0,12}") {
        if let Ok(email) = Email::parse(&text) {
            prop_assert_eq!(email.as_given(), text.as_str());
            prop_assert!(!text.chars().any(|c| c.is_whitespace() || c.is_control()));
        }
    }

    #[test]
    fn the_normal_form_is_valid_stable_and_the_same_in_any_case(text in "[a-zA-Z0-9._%+-]{1,20}@[a-zA-Z0-9]{1,20}(\\.[a-zA-Z]{2,8}){0,2}") {
        if let Ok(email) = Email::parse(&text) {
            let again = Email::parse(email.normal()).unwrap();
            prop_assert_eq!(again.normal(), email.normal());
            let shouted = Email::parse(&text.to_uppercase()).unwrap();
            prop_assert_eq!(shouted.normal(), email.normal());
        }
    }

    #[test]
    fn however_an_address_is_composed_it_is_the_same(local in "[a-zà-žㄱ-힣]{1,7}", domain in "[a-zà-ö]{1,7}") {
        let text = format!("{local}@{domain}.example");
        let composed: String = text.nfc().collect();
        let decomposed: String = text.nfd().collect();
        if let Ok(email) = Email::parse(&composed) {
            prop_assert_eq!(email.normal(), composed.to_lowercase());
            let other = Email::parse(&decomposed).unwrap();
            prop_assert_eq!(other.normal(), email.normal());
        }
    }

    #[test]
    fn an_address_may_have_254_bytes_and_no_more(length in MAX_BYTES - 9..2 * MAX_BYTES) {
        let domain: String = "abcdefghi.".chars().cycle().take(length - 7).collect();
        let text = format!("ann@{domain}com");
        prop_assert_eq!(Email::parse(&text).is_ok(), length <= MAX_BYTES);
    }
}

#[test]
fn addresses_people_have_are_accepted() {
    for text in [
        "ann@example.com",
        "a.b+tag@sub.example.co.kr",
        "o'neil@example.com",
        "사용자@예시.한국",
    ] {
        assert!(Email::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn what_is_not_an_address_is_refused() {
    for text in [
        "",
        "ann",
        "@example.com",
        "ann@",
        "a@b@c",
        "Ann <ann@example.com>",
        "ann@[127.0.0.1]",
        "\"a b\"@example.com",
    ] {
        assert!(Email::parse(text).is_err(), "{text}");
    }
}
