//! Which passwords are refused, and that all others are taken.

use auth_core::config::Config;
use auth_core::passwords::Password;
use auth_core::passwords::policy::PasswordPolicy;
use insta::{assert_json_snapshot, assert_snapshot};
use proptest::prelude::*;
use serde_json::json;

use crate::node::{EMAIL, Node, PASSWORD, code};
use crate::refresh::{Tokens, change_password};
use crate::users::user;

const OWNER: &str = "mary.neil@mail.example.org";

fn policy(change: impl FnOnce(&mut Config)) -> PasswordPolicy {
    let mut config = Config::default();
    change(&mut config);
    PasswordPolicy::new(&config).unwrap()
}

/// A policy with a list of these lines.
fn policy_with_list(lines: &str) -> PasswordPolicy {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), lines).unwrap();
    policy(|config| config.password.blocklist_file = Some(list.path().to_owned()))
}

fn said(policy: &PasswordPolicy, password: &str) -> String {
    match policy.check(&Password::new(password.to_owned()), OWNER) {
        Ok(()) => "taken".to_owned(),
        Err(refusal) => format!("{}: {refusal}", refusal.code().name()),
    }
}

const GUESSABLE: [&str; 40] = [
    "password password",
    "PasswordPassword",
    "p@ssw0rdP@ssw0rd",
    "password123456789",
    "passwort passwort",
    "this is my password",
    "ThisIsMyPassword!",
    "this-is_my.password 2026",
    "i love you i love you",
    "IloveyouIloveyou",
    "correct horse battery staple",
    "CorrectHorseBatteryStaple1!",
    "admin administrator",
    "welcome to the summer 2026",
    "qwertyuiopasdfgh",
    "QWERTYUIOP[]qwerty",
    "1qaz2wsx3edc4rfv",
    "zxcvbnm,./zxcvbnm",
    "poiuytrewqlkjhgf",
    "1q2w3e4r5t6y7u8i",
    "abcdefghijklmnop",
    "ponmlkjihgfedcba",
    "qwertzuiop123456",
    "aaaaaaaaaaaaaaaa",
    "abcabcabcabcabcab",
    "네이버네이버네이버네이버네이버",
    "비밀번호 비밀번호 비밀번호 1234",
    "пароль пароль пароль",
    "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
    "               ",
    "123456789012345",
    "1984-06-01 1984-06-01",
    "+82 (10) 1234-5678",
    "९८७६५४३२१०९८७६५४",
    OWNER,
    "Mary.Neil@mail.example.org1",
    "mary neil 1984",
    "example mail mary",
    "authstack password",
    "AuthStackAuthStack",
];

const GOOD: [&str; 18] = [
    PASSWORD,
    "seven quiet otters paint",
    "another good password",
    "my dog eats green umbrellas",
    "password of the lighthouse keeper",
    "mary had a little lamb",
    "password 84 01 73 51 92 6",
    "84 01 73 51 92 6 password123456",
    "qwertyuiop and a violin",
    "Tr0ub4dor&3 with cream",
    "kZ8!vQ2#nW5@xR1$",
    "8#4?9~2$7%1^6&3*",
    "xkqjzvwpmhgtrnbd",
    "우리집 강아지는 복슬강아지 꿈을 꾼다",
    "синий трактор едет к морю",
    "海辺で七匹の亀が静かに泳いでいる",
    "🦦🎺🌵🧭🪁🍋🛶🔭🧶🥁🐌🎈🪐🧊🌻",
    "0b27e8f4-5d3c-4b6a-9f10-7c2d81e6a953",
];

#[test]
fn what_others_try_first_is_refused_with_the_reason_and_advice() {
    let policy = policy(|_| {});
    let all = GUESSABLE.map(|password| format!("{password:?} {}\n", said(&policy, password)));
    assert!(
        all.iter().all(|said| said.contains("WEAK_PASSWORD")),
        "{}",
        all.concat()
    );
    assert_snapshot!(all.concat());
}

#[test]
fn a_good_passphrase_is_taken_whatever_it_is_made_of() {
    let policy = policy(|_| {});
    for password in GOOD {
        assert_eq!(said(&policy, password), "taken", "{password}");
    }
}

#[test]
fn a_sign_stands_for_the_letters_that_it_looks_like_and_for_no_others() {
    let policy = policy(|_| {});
    for (word, letter, alike) in [
        ("password", 'a', "4@"),
        ("secret", 'e', "3"),
        ("admin", 'i', "1!"),
        ("welcome", 'l', "1"),
        ("password", 'o', "0"),
        ("sunflower", 's', "5$"),
        ("secret", 't', "7"),
        ("dragon", 'g', ""),
    ] {
        for sign in "4@31!05$7".chars() {
            let disguised = word.replacen(letter, &sign.to_string(), 1);
            let password = format!("my {disguised} password");
            let is_taken = said(&policy, &password) == "taken";
            assert_eq!(is_taken, !alike.contains(sign), "{password}");
        }
    }
}

#[test]
fn only_the_whole_password_counts_not_a_word_in_it() {
    let policy = policy(|_| {});
    for guessable in ["password password", "qwertyuiopasdfgh", "mary neil 1984"] {
        assert!(said(&policy, guessable).starts_with("WEAK_PASSWORD"));
        assert_eq!(said(&policy, &format!("{guessable} otter")), "taken");
    }
}

#[test]
fn a_short_minimum_does_not_refuse_random_signs() {
    let policy = policy(|config| config.password.min_length = 8);
    for password in ["8#4!9@2$", "kZ8!vQ2#", "otter-19", "가나다라마바사아"] {
        assert_eq!(said(&policy, password), "taken", "{password}");
    }
    for password in [
        "password",
        "P@ssw0rd!",
        "qwerty12",
        "12345678",
        "Summer2026!",
        "letmein1",
    ] {
        assert!(
            said(&policy, password).starts_with("WEAK_PASSWORD"),
            "{password}"
        );
    }
}

proptest! {
    #[test]
    fn no_kind_of_character_is_asked_for(text in "[b-df-hj-np-tv-z]{15,64}|[B-DF-HJ-NP-TV-Z]{15,64}|[가-힣]{15,64}|[^\\x00\\s\\pN]{24,64}") {
        let kinds: std::collections::HashSet<char> = text.chars().collect();
        prop_assume!(kinds.len() > 8);
        prop_assert_eq!(said(&policy(|_| {}), &text), "taken");
    }

    #[test]
    fn any_text_is_judged_within_bounds(text in "\\PC{0,300}|[a1!p@s$w0rd ]{900,1024}") {
        said(&policy(|_| {}), &text);
    }

    #[test]
    fn common_words_in_any_case_with_any_signs_between_are_refused(
        words in prop::collection::vec(prop::sample::select(vec!["password", "dragon", "welcome", "letmein", "사랑해"]), 4..8),
        sign in "[ _.!-]", capitals in any::<bool>(), year in 1900u32..2100,
    ) {
        let mut text = words.join(&sign);
        if capitals {
            text = text.to_uppercase();
        }
        prop_assume!(text.chars().count() >= 15);
        let text = format!("{text}{year}");
        prop_assert!(said(&policy(|_| {}), &text).starts_with("WEAK_PASSWORD"), "{}", text);
    }
}

#[test]
fn a_list_takes_the_place_of_the_words_and_is_compared_whole_in_any_case_and_form() {
    let policy = policy_with_list(
        "short\n#not a comment line\r\nseven quiet otters paint\ncafe\u{301} au lait a\u{300} gogo\n",
    );
    for listed in [
        "seven quiet otters paint",
        "Seven Quiet OTTERS Paint",
        "caf\u{e9} au lait \u{e0} gogo",
        "#not a comment line",
    ] {
        assert!(said(&policy, listed).contains("on the list"), "{listed}");
    }
    for other in [
        "seven quiet otters paint!",
        "seven quiet otters",
        "password password one",
    ] {
        assert_eq!(said(&policy, other), "taken", "{other}");
    }
    // What needs no list of words is refused as before.
    for guessable in [
        "qwertyuiopasdfgh",
        "123456789012345",
        "abcabcabcabcabcab",
        "mary neil 1984",
    ] {
        assert!(
            said(&policy, guessable).starts_with("WEAK_PASSWORD"),
            "{guessable}"
        );
    }
}

#[test]
fn a_list_that_cannot_be_used_is_refused_by_name_and_line() {
    let refusal = |bytes: &[u8]| {
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), bytes).unwrap();
        let mut config = Config::default();
        config.password.blocklist_file = Some(list.path().to_owned());
        let refusal = PasswordPolicy::new(&config).err().unwrap().to_string();
        refusal.replace(&list.path().display().to_string(), "LIST")
    };
    let said = [
        refusal(b""),
        refusal(b"123456\nhunter2\n"),
        refusal(b"good enough to be one\n\xff\xfe\n"),
        refusal(&vec![b'a'; (16 << 20) + 1]),
    ];
    // What is refused of one that is no longer than it may be is that it has nothing to refuse.
    let longest = refusal(&vec![b'a'; 16 << 20]);
    assert!(longest.contains("none of its lines"), "{longest}");
    assert_snapshot!(said.join("\n"));
}

#[test]
fn passwords_on_the_list_are_refused_wherever_one_is_chosen() {
    let list = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(list.path(), "seven quiet otters paint\n").unwrap();
    let listed = "Seven quiet otters paint";
    let node = Node::start_with(|config| {
        config.password.blocklist_file = Some(list.path().to_owned());
    });
    assert_json_snapshot!(node.sign_up(EMAIL, listed));
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    assert_eq!(
        code(&change_password(&node, &tokens, PASSWORD, listed)),
        "WEAK_PASSWORD"
    );
    let file = format!("password.blocklist_file={}", list.path().display());
    let added = user(&node, &["add", "bob@example.com", "--set", &file], listed);
    assert!(added.contains("on the list"), "{added}");
}

#[test]
fn the_owners_address_is_refused_wherever_a_password_is_chosen() {
    let node = Node::start();
    let own = "ann@example.com ANN";
    assert_eq!(code(&node.sign_up(EMAIL, own)), "WEAK_PASSWORD");
    let tokens = Tokens::of(&node.sign_up(EMAIL, PASSWORD), "signUp");
    assert_eq!(
        code(&change_password(&node, &tokens, PASSWORD, own)),
        "WEAK_PASSWORD"
    );
    assert!(
        user(&node, &["add", "bob@example.com"], "Bob bob example.com 1").contains("easy to guess")
    );
    assert_eq!(
        node.graphql(&[], "{ __typename }", json!({}))["errors"],
        json!(null)
    );
}
