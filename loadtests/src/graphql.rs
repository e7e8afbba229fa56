//! What users ask for, and the judgement of an answer: did it mean what it should?
//!
//! The HTTP status alone does not say: GraphQL answers errors with 200 (GraphQL over HTTP, "application/json"),
//! and for a wrong password an error is the right answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a virtual user asks of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Create an account.
    SignUp,
    /// Log in with the account's password.
    LogIn,
    /// Ask whose token this is.
    Me,
    /// Log in with another password; being refused is the success.
    WrongPassword,
    /// The same until the gateway has had enough; being told to wait is a success, too.
    Guess,
    /// Ask whether a token is good.
    VerifyToken,
    /// Trade the refresh token for a new one.
    Refresh,
    /// Ask for a route that wants a token.
    Edge,
    /// Ask for a route that some of the servers answer in a new version.
    Canary,
}

/// What of an answer a user keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// For `Authorization: Bearer`.
    pub(crate) access: Option<String>,
    /// For `refresh`, good once.
    pub(crate) refresh: Option<String>,
    /// How long `access` is good, in seconds.
    pub(crate) seconds: u64,
}

/// Why a request counts as failed. Holds nothing secret and nothing longer than a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// No GraphQL answer, only an HTTP status (a gateway's 503, a 429, a 404 …).
    Http {
        /// The HTTP status code.
        status: u16,
    },
    /// A GraphQL error where none was expected, or another one than expected.
    Graphql {
        /// The HTTP status code it came with.
        status: u16,
        /// The error's `extensions.code`, or `no code`.
        code: String,
    },
    /// A well-formed answer that says the wrong thing.
    Content {
        /// What is wrong with it.
        what: String,
    },
    /// No complete answer came.
    Transport {
        /// The cause, as the operating system or the HTTP client names it.
        what: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { status } => write!(f, "HTTP {status}"),
            Self::Graphql { status, code } => write!(f, "GraphQL {code} (HTTP {status})"),
            Self::Content { what } | Self::Transport { what } => f.write_str(what),
        }
    }
}

impl Operation {
    /// All operations, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::SignUp,
        Self::LogIn,
        Self::Me,
        Self::WrongPassword,
        Self::Guess,
        Self::VerifyToken,
        Self::Refresh,
        Self::Edge,
        Self::Canary,
    ];

    /// The name in tables and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignUp => "signUp",
            Self::LogIn => "logIn",
            Self::Me => "me",
            Self::WrongPassword => "logIn wrong password",
            Self::Guess => "logIn guess",
            Self::VerifyToken => "verifyToken",
            Self::Refresh => "refresh",
            Self::Edge => "protected route",
            Self::Canary => "canary route",
        }
    }

    /// Whether it is a `GET` of a route, not a question in GraphQL.
    pub(crate) fn is_route(self) -> bool {
        matches!(self, Self::Edge | Self::Canary)
    }

    /// The HTTP method, with which goose names the request.
    pub fn method(self) -> &'static str {
        if self.is_route() { "GET" } else { "POST" }
    }

    /// Mutations carry an `Idempotency-Key`, queries need none.
    pub(crate) fn is_mutation(self) -> bool {
        !self.is_route() && !matches!(self, Self::Me | Self::VerifyToken)
    }

    /// Whether the access token goes along.
    pub(crate) fn is_authenticated(self) -> bool {
        matches!(self, Self::Me | Self::Edge)
    }

    /// The request body: a constant document, the operation's name, and the values as variables.
    pub(crate) fn body(self, email: &str, password: &str, tokens: &Tokens) -> Value {
        let credentials = json!({ "email": email, "password": password });
        let (name, document, variables) = match self {
            Self::SignUp => ("SignUp", SIGN_UP, credentials),
            Self::LogIn | Self::WrongPassword | Self::Guess => ("LogIn", LOG_IN, credentials),
            Self::VerifyToken => ("VerifyToken", VERIFY, json!({ "token": tokens.access })),
            Self::Refresh => ("Refresh", REFRESH, json!({ "token": tokens.refresh })),
            Self::Me | Self::Edge | Self::Canary => ("Me", ME, json!({})),
        };
        json!({ "query": document, "operationName": name, "variables": variables })
    }

    /// The field of `data` that answers this operation.
    fn field(self) -> &'static str {
        match self {
            Self::SignUp => "signUp",
            Self::LogIn | Self::WrongPassword | Self::Guess => "logIn",
            Self::VerifyToken => "verifyToken",
            Self::Refresh => "refresh",
            Self::Me | Self::Edge | Self::Canary => "me",
        }
    }
}

const SIGN_UP: &str = "mutation SignUp($email: String!, $password: String!) { \
    signUp(email: $email, password: $password) \
    { message accessToken refreshToken expiresIn account { id email role } } }";
const LOG_IN: &str = "mutation LogIn($email: String!, $password: String!) { \
    logIn(email: $email, password: $password) \
    { message accessToken refreshToken expiresIn account { id email role } } }";
const REFRESH: &str = "mutation Refresh($token: String!) { refresh(refreshToken: $token) \
    { message accessToken refreshToken expiresIn account { id email role } } }";
const VERIFY: &str = "query VerifyToken($token: String!) { verifyToken(token: $token) \
    { valid reason account { id email role } } }";
const ME: &str = "query Me { me { id email role } }";

/// Judges an answer to `operation` made for the account `email`: the tokens in it, where it holds any.
///
/// # Errors
/// The [`Reason`] why this is not the answer that the operation should have had.
pub(crate) fn judge(
    operation: Operation,
    email: &str,
    status: u16,
    body: &[u8],
) -> Result<Option<Tokens>, Reason> {
    let refused = matches!(operation, Operation::WrongPassword | Operation::Guess);
    if operation == Operation::Guess && status == 429 {
        return Ok(None);
    }
    if operation.is_route() {
        return match status {
            200..=299 => Ok(None),
            _ => Err(Reason::Http { status }),
        };
    }
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else {
        return Err(match status {
            200..=299 => content("the answer is not JSON"),
            _ => Reason::Http { status },
        });
    };
    let field = answer
        .get("data")
        .and_then(|data| data.get(operation.field()));
    let text = |name: &str| {
        let text = field?.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let token = text("accessToken");
    let code = error_code(answer.get("errors"));

    if refused {
        return match (token, code) {
            (Some(_), _) => Err(content("a wrong password was given a token")),
            (None, Some(code)) if code == "INVALID_CREDENTIALS" && status < 500 => Ok(None),
            (None, Some(code)) if code == "RATE_LIMITED" && operation == Operation::Guess => {
                Ok(None)
            }
            (None, Some(code)) => Err(Reason::Graphql { status, code }),
            (None, None) if !(200..=299).contains(&status) => Err(Reason::Http { status }),
            (None, None) => Err(content("a wrong password was not refused")),
        };
    }

    if let Some(code) = code {
        return Err(Reason::Graphql { status, code });
    }
    if !(200..=299).contains(&status) {
        return Err(Reason::Http { status });
    }
    if operation == Operation::VerifyToken {
        let valid = field.and_then(|verdict| verdict.get("valid"));
        match valid.and_then(Value::as_bool) {
            None => return Err(content("the answer holds no verdict")),
            Some(false) => return Err(content("a good token was refused")),
            Some(true) => {}
        }
    }
    let account = match operation {
        Operation::Me => field,
        _ => field.and_then(|session| session.get("account")),
    };
    match account
        .and_then(|account| account.get("email"))
        .and_then(Value::as_str)
    {
        None => return Err(content("the answer holds no account")),
        Some(answered) if answered != email => return Err(content("answered for another account")),
        Some(_) => {}
    }
    if matches!(operation, Operation::Me | Operation::VerifyToken) {
        return Ok(None);
    }
    if token.is_none() {
        return Err(content("the answer holds no access token"));
    }
    Ok(Some(Tokens {
        access: token,
        refresh: text("refreshToken"),
        seconds: field
            .and_then(|session| session.get("expiresIn"))
            .and_then(Value::as_u64)
            .unwrap_or(0),
    }))
}

/// The first error's `extensions.code`, if there is any error.
fn error_code(errors: Option<&Value>) -> Option<String> {
    let first = errors?.as_array()?.first()?;
    let code = first
        .pointer("/extensions/code")
        .and_then(Value::as_str)
        .unwrap_or("no code");
    Some(printable(code))
}

/// One short line, safe to print on a terminal, of text that the other side chose.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

fn content(what: &str) -> Reason {
    Reason::Content { what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "load@example.com";

    /// The access token in an answer that is right.
    fn judged(operation: Operation, status: u16, body: &Value) -> Result<Option<String>, Reason> {
        let tokens = judge(operation, EMAIL, status, body.to_string().as_bytes())?;
        Ok(tokens.and_then(|tokens| tokens.access))
    }

    fn session(email: &str, token: Option<&str>) -> Value {
        json!({ "message": "", "accessToken": token, "expiresIn": 900,
                "account": { "id": "1", "email": email, "role": "USER" } })
    }

    fn refused_with(code: &str) -> Value {
        json!({ "data": null, "errors": [{ "message": "no", "extensions": { "code": code } }] })
    }

    #[test]
    fn a_right_answer_holds_and_hands_over_its_token() {
        let answer = json!({ "data": { "logIn": session(EMAIL, Some("t")) } });
        assert_eq!(judged(Operation::LogIn, 200, &answer), Ok(Some("t".into())));
        let answer = json!({ "data": { "signUp": session(EMAIL, Some("t")) } });
        assert_eq!(
            judged(Operation::SignUp, 200, &answer),
            Ok(Some("t".into()))
        );
        let answer = json!({ "data": { "me": { "id": "1", "email": EMAIL, "role": "USER" } } });
        assert_eq!(judged(Operation::Me, 200, &answer), Ok(None));
    }

    #[test]
    fn a_graphql_error_in_a_200_is_a_failure_with_its_code() {
        for operation in [Operation::SignUp, Operation::LogIn, Operation::Me] {
            assert_eq!(
                judged(operation, 200, &refused_with("OVERLOADED")),
                Err(Reason::Graphql {
                    status: 200,
                    code: "OVERLOADED".into()
                })
            );
        }
        let codeless = json!({ "errors": [{ "message": "secret detail" }] });
        let reason = judged(Operation::Me, 400, &codeless).unwrap_err();
        assert_eq!(reason.to_string(), "GraphQL no code (HTTP 400)");
    }

    #[test]
    fn an_error_beside_data_is_still_a_failure() {
        let mut answer = refused_with("OVERLOADED");
        answer["data"] = json!({ "logIn": session(EMAIL, Some("t")) });
        assert!(judged(Operation::LogIn, 200, &answer).is_err());
    }

    #[test]
    fn a_wrong_password_must_be_refused_as_just_that() {
        let refused = refused_with("INVALID_CREDENTIALS");
        assert_eq!(judged(Operation::WrongPassword, 200, &refused), Ok(None));
        assert_eq!(judged(Operation::WrongPassword, 401, &refused), Ok(None));
        assert_eq!(
            judged(Operation::WrongPassword, 200, &refused_with("RATE_LIMITED")),
            Err(Reason::Graphql {
                status: 200,
                code: "RATE_LIMITED".into()
            })
        );
        let accepted = json!({ "data": { "logIn": session(EMAIL, Some("t")) } });
        let reason = judged(Operation::WrongPassword, 200, &accepted).unwrap_err();
        assert_eq!(reason.to_string(), "a wrong password was given a token");
        let both = json!({ "data": accepted["data"], "errors": refused["errors"] });
        assert!(judged(Operation::WrongPassword, 200, &both).is_err());
        let neither = json!({ "data": { "logIn": null } });
        assert!(judged(Operation::WrongPassword, 200, &neither).is_err());
    }

    #[test]
    fn refused_credentials_are_a_failure_where_the_password_is_right() {
        assert!(judged(Operation::LogIn, 200, &refused_with("INVALID_CREDENTIALS")).is_err());
    }

    #[test]
    fn who_guesses_may_be_told_to_wait_but_not_let_in() {
        let limited = refused_with("RATE_LIMITED");
        assert_eq!(judged(Operation::Guess, 200, &limited), Ok(None));
        assert_eq!(judge(Operation::Guess, EMAIL, 429, b"wait"), Ok(None));
        assert!(judge(Operation::Guess, EMAIL, 503, b"none").is_err());
        let accepted = json!({ "data": { "logIn": session(EMAIL, Some("t")) } });
        assert!(judged(Operation::Guess, 200, &accepted).is_err());
    }

    #[test]
    fn a_good_token_must_be_found_good_and_its_owners() {
        let verdict = |valid: bool, email: &str| json!({ "data": { "verifyToken": { "valid": valid, "account": { "email": email } } } });
        let judged = |answer| judged(Operation::VerifyToken, 200, &answer);
        assert_eq!(judged(verdict(true, EMAIL)), Ok(None));
        assert!(judged(verdict(true, "other@example.com")).is_err());
        let reason = judged(verdict(false, EMAIL)).unwrap_err();
        assert_eq!(reason.to_string(), "a good token was refused");
    }

    #[test]
    fn an_answer_for_another_account_is_a_failure() {
        let other = session("other@example.com", Some("t"));
        for (operation, answer) in [
            (Operation::SignUp, json!({ "data": { "signUp": other } })),
            (Operation::LogIn, json!({ "data": { "logIn": other } })),
            (Operation::Me, json!({ "data": { "me": other["account"] } })),
        ] {
            let reason = judged(operation, 200, &answer).unwrap_err();
            assert_eq!(reason.to_string(), "answered for another account");
        }
    }

    #[test]
    fn a_session_without_a_token_or_an_account_is_a_failure() {
        for token in [None, Some("")] {
            for operation in [Operation::SignUp, Operation::LogIn] {
                let answer = json!({ "data": { operation.name(): session(EMAIL, token) } });
                let reason = judged(operation, 200, &answer).unwrap_err();
                assert_eq!(reason.to_string(), "the answer holds no access token");
            }
        }
        for answer in [
            json!({}),
            json!({ "data": null }),
            json!({ "data": { "me": null } }),
        ] {
            let reason = judged(Operation::Me, 200, &answer).unwrap_err();
            assert_eq!(reason.to_string(), "the answer holds no account");
        }
    }

    #[test]
    fn a_page_that_is_no_graphql_answer_is_named_by_its_status() {
        let page = b"<html>no server is available</html>";
        for operation in Operation::ALL {
            assert_eq!(
                judge(operation, EMAIL, 503, page),
                Err(Reason::Http { status: 503 })
            );
            if operation.is_route() {
                assert_eq!(judge(operation, EMAIL, 200, page), Ok(None));
                continue;
            }
            let reason = judge(operation, EMAIL, 200, page).unwrap_err();
            assert_eq!(reason.to_string(), "the answer is not JSON");
        }
        assert_eq!(
            judged(
                Operation::WrongPassword,
                429,
                &json!({ "error": "slow down" })
            ),
            Err(Reason::Http { status: 429 })
        );
    }

    #[test]
    fn a_code_cannot_write_control_sequences_to_the_terminal() {
        let hostile = refused_with(&format!("\u{1b}[2J{}", "x".repeat(500)));
        let reason = judged(Operation::Me, 200, &hostile)
            .unwrap_err()
            .to_string();
        assert!(
            !reason.contains('\u{1b}') && reason.len() < 120,
            "{reason:?}"
        );
    }

    #[test]
    fn values_travel_as_variables_never_in_the_document() {
        let body = Operation::LogIn.body("\"}evil@example.com", "p", &Tokens::default());
        assert_eq!(body["query"], LOG_IN);
        assert_eq!(body["variables"]["email"], "\"}evil@example.com");
    }
}
