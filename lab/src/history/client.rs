//! One request, and what its answer says about the account.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{Answer, model::Refusal};

/// What is sent: a mutation or query, what it needs, and who asks.
pub struct Request<'a> {
    pub query: &'static str,
    pub variables: Value,
    pub access_token: Option<&'a str>,
    pub key: Option<String>,
}

/// The tokens of an answer, where it has some.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// The end of a refresh token tells it from others; the beginning is its session's.
const END: usize = 12;

impl Request<'_> {
    /// Sends it to the gateway at `url`.
    pub async fn send(&self, client: &Client, url: &str) -> (Answer, Option<Tokens>) {
        match self.on(client.post(format!("{url}/graphql"))).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                match response.json().await {
                    Ok(body) => read(status, &body),
                    Err(_) => (Answer::Unknown("the answer broke off".into()), None),
                }
            }
            Err(error) if error.is_connect() => {
                (Answer::NotCarriedOut("no connection".into()), None)
            }
            Err(_) => (Answer::Unknown("the connection broke".into()), None),
        }
    }

    fn on(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(token) = self.access_token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        request.json(&json!({ "query": self.query, "variables": self.variables }))
    }
}

/// What an answer says, by docs/reference/errors.md.
fn read(status: u16, body: &Value) -> (Answer, Option<Tokens>) {
    if let Some(done) = body["data"]
        .as_object()
        .and_then(|data| data.values().next())
        && !done.is_null()
    {
        let text = |name: &str| done[name].as_str().map(str::to_owned);
        let tokens = text("accessToken").zip(text("refreshToken"));
        let tokens = tokens.map(|(access, refresh)| Tokens { access, refresh });
        let end = |tokens: &Tokens| tokens.refresh[tokens.refresh.len() - END..].to_owned();
        return (Answer::Done(tokens.as_ref().map(end)), tokens);
    }
    let code = body["errors"][0]["extensions"]["code"].as_str();
    let code = code.unwrap_or_default().to_owned();
    let answer = match code.as_str() {
        "EMAIL_TAKEN" => Answer::Refused(Refusal::EmailTaken),
        "INVALID_CREDENTIALS" => Answer::Refused(Refusal::InvalidCredentials),
        "UNAUTHENTICATED" => Answer::Refused(Refusal::Unauthenticated),
        "RATE_LIMITED" | "OVERLOADED" | "TOKEN_EXPIRED" => Answer::NotCarriedOut(code),
        "UNAVAILABLE" if status == 503 => Answer::NotCarriedOut("503 UNAVAILABLE".into()),
        "UNAVAILABLE" | "INTERNAL" => Answer::Unknown(format!("{status} {code}")),
        _ => Answer::Refused(Refusal::Unexpected(format!("{status} {code}"))),
    };
    (answer, None)
}
