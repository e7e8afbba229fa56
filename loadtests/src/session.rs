//! The scenario `session`: sign up, log in, ask who one is, and be refused with a wrong password.
//!
//! Every iteration has a new account, so iterations do not depend on each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Client, Response};
use tokio::time::sleep;
use uuid::Uuid;

use crate::graphql::{Operation, Reason, judge, printable};
use crate::pace::Pace;
use crate::recorder::{Outcome, Recorder};
use crate::target::{Clients, root_cause};

/// The largest answer that is read, in bytes; the right ones are far below.
const LARGEST_ANSWER: usize = 1 << 20;

/// What a user waits after an iteration that failed: a service that is down is not hammered.
const PAUSE: Duration = Duration::from_millis(100);

/// What all virtual users share.
pub(crate) struct Run {
    pub(crate) endpoint: String,
    pub(crate) clients: Arc<Clients>,
    pub(crate) pace: Pace,
    pub(crate) recorder: Recorder,
}

/// The iteration ended early: a request failed (which is recorded), or the run has ended.
struct EndedEarly;

/// A fresh account's credentials.
struct Account {
    email: String,
    password: String,
}

impl Account {
    fn fresh() -> Self {
        Self {
            email: format!("load-{}@example.com", Uuid::new_v4().simple()),
            password: Uuid::new_v4().to_string(),
        }
    }
}

/// One virtual user's way through the scenario, once.
pub(crate) async fn iterate(run: &Run, user: usize) {
    let client = run.clients.next(user).expect("one like those before");
    if steps(run, &client).await.is_err() {
        sleep(PAUSE).await;
    }
}

async fn steps(run: &Run, client: &Client) -> Result<(), EndedEarly> {
    let account = Account::fresh();
    let stranger = Account {
        email: account.email.clone(),
        ..Account::fresh()
    };
    ask(run, client, Operation::SignUp, &account, None).await?;
    let token = ask(run, client, Operation::LogIn, &account, None).await?;
    ask(run, client, Operation::Me, &account, token).await?;
    ask(run, client, Operation::WrongPassword, &stranger, None).await?;
    Ok(())
}

/// Waits for its turn, asks, judges the answer, and records it: the access token, where the answer has one.
async fn ask(
    run: &Run,
    client: &Client,
    operation: Operation,
    account: &Account,
    token: Option<String>,
) -> Result<Option<String>, EndedEarly> {
    if !run.pace.turn().await {
        return Err(EndedEarly);
    }
    let mut request = client
        .post(&run.endpoint)
        .header(
            ACCEPT,
            "application/graphql-response+json, application/json;q=0.9",
        )
        .json(&operation.body(&account.email, &account.password));
    if operation.is_mutation() {
        request = request.header("idempotency-key", Uuid::new_v4().to_string());
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }

    let sent = Instant::now();
    let answer = request.send().await;
    let answered = answer.is_ok();
    let headers = answer
        .as_ref()
        .map(|a| a.headers().clone())
        .unwrap_or_default();
    let judged = match read(answer).await {
        Ok((status, body)) => judge(operation, &account.email, status, &body),
        Err(reason) => Err(reason),
    };
    run.recorder.record(Outcome {
        operation,
        took: sent.elapsed(),
        failure: judged.as_ref().err().cloned(),
        answered,
        node: text(&headers, "x-served-by"),
        trace_id: text(&headers, "x-trace-id"),
    });
    judged.map_err(|_| EndedEarly)
}

/// The status and the whole body of an answer.
async fn read(answer: reqwest::Result<Response>) -> Result<(u16, Vec<u8>), Reason> {
    let mut answer = answer.map_err(no_answer)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            let what = "the answer is larger than 1 MiB".into();
            return Err(Reason::Content { what });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((answer.status().as_u16(), body))
}

fn no_answer(error: reqwest::Error) -> Reason {
    Reason::Transport {
        what: printable(&root_cause(&error)),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(printable)
}
