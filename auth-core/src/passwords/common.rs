//! What people choose most, by construction instead of by list: the common lists are of short passwords, and where fifteen
//! characters are asked for, people put the same few pieces together.
//!
//! Only the whole password is judged (NIST SP 800-63B-4, 3.1.1.2): one that has any other word in it passes. All texts here
//! are folded: in lower case, and in normal form.

use zeroize::Zeroizing;

/// The words of the passwords that leak most often, and the small words that people put between them.
const WORDS: &str = "
    password passwords passwort passwd passcode passphrase pass pwd senha parola contraseña motdepasse wachtwoord haslo
    пароль 비밀번호 密码 パスワード qlalfqjsgh
    admin administrator root user username login logon signin account guest test tester testing demo default secret
    private secure security system server computer internet access welcome hello hi changeme change changeit letmein
    openup opensesame sesame temp temporary example sample master boss god
    correcthorsebatterystaple iloveyou ilove love lover loves sarang saranghae 사랑해 안녕하세요 tkfkdgo dkssud dkssudgktpdy
    monkey dragon tiger lion eagle falcon panther wolf bear dog cat kitty pokemon pikachu
    football soccer baseball basketball hockey golf ninja samurai hunter killer warrior knight wizard
    princess prince queen king angel baby babygirl sunshine sunflower flower rainbow butterfly star moon shadow
    superman batman spiderman starwars superstar whatever trustno nothing forever blessed jesus christ
    freedom liberty lucky happy cool awesome great best money diamond silver golden gold
    chocolate cookie banana cheese pepper ginger coffee pizza
    michael jessica ashley daniel jordan charlie thomas robert andrew matthew anthony joshua nicole jennifer michelle
    spring summer autumn fall winter monday tuesday wednesday thursday friday saturday sunday
    january february march april may june july august september october november december
    liverpool chelsea arsenal barcelona realmadrid london paris berlin
    one two three four five six seven eight nine ten zero
    this that is are was the a an my me mine your our i am you we it to in on of for not no yes and or
    new old very really super strong long good bad please now let work home family first last";

/// Keys as they lie side by side, on the common keyboards, and the alphabet.
const ROWS: [&str; 12] = [
    "01234567890",
    "!@#$%^&*()_+",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "azertyuiop",
    "qsdfghjklm",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
];

/// Fewest keys of a row that count as a piece of it.
const SHORTEST_ROW: usize = 3;

/// Longest piece whose repetition is no password, in characters.
const LONGEST_REPEATED: usize = 8;

/// Most digits and symbols between and around words, as in "password 2026!".
const MOST_LOOSE: usize = 10;

/// Shorter words are not disguised by digits, in characters.
const SHORTEST_DISGUISED: usize = 4;

/// Shorter pieces of names say nothing, in characters.
const SHORTEST_NAME: usize = 3;

/// Whether there are only digits, in the groups that dates and telephone numbers have.
pub fn is_digits_only(password: &str) -> bool {
    let digit = |c: char| c.is_numeric() || c.is_whitespace() || "-./:+()".contains(c);
    password.chars().all(digit)
}

/// Whether a short piece is repeated from the beginning to the end, where it may break off.
pub fn is_repeated(password: &str) -> bool {
    let text = characters(password, |_| true);
    (1..=LONGEST_REPEATED.min(text.len() / 2)).any(|piece| {
        text.iter()
            .eq(text[..piece].iter().cycle().take(text.len()))
    })
}

/// A name, as in an e-mail address or a URL, and its words.
pub fn words_of(name: &str) -> Vec<String> {
    let (local, _) = name.split_once('@').unwrap_or((name, ""));
    let mut words = vec![name.to_owned(), local.to_owned()];
    words.extend(name.split(|c: char| !c.is_alphabetic()).map(str::to_owned));
    words.retain(|word| word.chars().count() >= SHORTEST_NAME);
    words
}

/// Whether a password is nothing but these names, rows of keys and, if they count, the common words, with a few digits and
/// symbols between or around.
pub fn is_made_of(password: &str, names: &[String], common_words: bool) -> bool {
    let common = WORDS.split_whitespace().filter(|_| common_words);
    let words: Vec<Vec<char>> = common
        .chain(names.iter().map(String::as_str))
        .map(|word| word.chars().collect())
        .collect();
    // As it is, symbols may stand for letters; without them, "i-love-you" is "iloveyou".
    let plain = |c: char| c.is_alphanumeric();
    [characters(password, |_| true), characters(password, plain)]
        .iter()
        .any(|text| can_be_made(text, &words))
}

fn can_be_made(text: &[char], words: &[Vec<char>]) -> bool {
    let rows: Vec<Vec<char>> = ROWS
        .iter()
        .flat_map(|row| [row.chars().collect(), row.chars().rev().collect()])
        .collect();
    // For each place: the fewest loose characters before it, if all before it can be made of words.
    let mut loose: Vec<Option<usize>> = vec![None; text.len() + 1];
    loose[0] = Some(0);
    for at in 0..text.len() {
        let Some(before) = loose[at] else { continue };
        let rest = &text[at..];
        let mut reach = |length: usize, more: usize| {
            let end = &mut loose[at + length];
            *end = Some(end.map_or(before + more, |known| known.min(before + more)));
        };
        if rest[0].is_whitespace() {
            reach(1, 0);
        } else if rest[0].is_ascii_digit() || rest[0].is_ascii_punctuation() {
            reach(1, 1);
        }
        for word in words.iter().filter(|word| begins_with(rest, word)) {
            reach(word.len(), 0);
        }
        for length in SHORTEST_ROW..=longest_row(rest, &rows) {
            reach(length, 0);
        }
    }
    let visible = text.iter().filter(|c| !c.is_whitespace()).count();
    loose[text.len()].is_some_and(|loose| loose <= MOST_LOOSE && loose < visible)
}

fn characters(password: &str, counts: impl Fn(char) -> bool) -> Zeroizing<Vec<char>> {
    let mut text = Zeroizing::new(Vec::with_capacity(password.len()));
    text.extend(password.chars().filter(|c| counts(*c)));
    text
}

fn begins_with(text: &[char], word: &[char]) -> bool {
    // A digit stands for a letter only where the rest of a longer word is around it.
    let alike = |(typed, meant): (&char, &char)| {
        typed == meant || word.len() >= SHORTEST_DISGUISED && stands_for(*typed, *meant)
    };
    text.len() >= word.len() && text.iter().zip(word).all(alike)
}

/// "P@ssw0rd" is "password".
fn stands_for(typed: char, meant: char) -> bool {
    match meant {
        'a' => matches!(typed, '4' | '@'),
        'e' => typed == '3',
        'i' => matches!(typed, '1' | '!'),
        'l' => typed == '1',
        'o' => typed == '0',
        's' => matches!(typed, '5' | '$'),
        't' => typed == '7',
        _ => false,
    }
}

/// How many characters, from the first on, are one row of keys.
fn longest_row(text: &[char], rows: &[Vec<char>]) -> usize {
    let common = |row: &[char]| {
        row.iter()
            .zip(text)
            .take_while(|(key, typed)| key == typed)
            .count()
    };
    rows.iter()
        .flat_map(|row| (0..row.len()).map(move |from| common(&row[from..])))
        .max()
        .unwrap_or(0)
}
