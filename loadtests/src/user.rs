//! One virtual user on the way through a scenario: goose calls [`step`] for each request.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use goose::goose::{GooseMethod, GooseRequest, GooseUser, TransactionResult};
use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Client, RequestBuilder, Response};
use tokio::time::sleep;
use uuid::Uuid;

use crate::arrivals::Arrivals;
use crate::graphql::{Operation, Reason, Tokens, judge, printable};
use crate::samples::{Outcome, Recorder};
use crate::scenario::Scenario;
use crate::target::{Target, Visitor, root_cause};

/// The largest answer that is read, in bytes; the right ones are far below.
const LARGEST_ANSWER: usize = 1 << 20;

/// What a user waits after a request that failed, in the closed model: a service that is down is not hammered.
const PAUSE: Duration = Duration::from_millis(100);

/// A token that is good for less than this is not used any more: a request may take a while.
const MARGIN: Duration = Duration::from_secs(30);

/// So many accounts are made at once before the run.
const SIGN_UPS_AT_ONCE: usize = 4;

/// So often is an account asked for.
const ATTEMPTS: u32 = 5;

/// What all virtual users share.
pub(crate) struct Run {
    pub(crate) target: Arc<Target>,
    /// The route that is asked for; `None`: that of the scenario.
    pub(crate) path: Option<String>,
    pub(crate) recorder: Recorder,
    /// One for each user, where the scenario wants one.
    pub(crate) accounts: Vec<Mutex<Account>>,
}

/// A scenario, and when it is begun.
pub(crate) struct Part {
    pub(crate) scenario: Scenario,
    /// `None`: as soon as a user is free (the closed model).
    pub(crate) arrivals: Option<Arrivals>,
}

/// Somebody's credentials, and the tokens they got with them.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    email: String,
    password: String,
    tokens: Tokens,
    /// Until when the access token is good.
    good_until: Instant,
}

impl Account {
    fn fresh() -> Self {
        Self {
            email: format!("load-{}@example.com", Uuid::new_v4().simple()),
            password: Uuid::new_v4().to_string(),
            tokens: Tokens::default(),
            good_until: Instant::now(),
        }
    }

    fn keep(&mut self, tokens: Tokens) {
        self.good_until = Instant::now() + Duration::from_secs(tokens.seconds);
        self.tokens = tokens;
    }

    fn is_logged_in(&self) -> bool {
        self.tokens.access.is_some() && self.good_until > Instant::now() + MARGIN
    }
}

/// What a goose user has with it: the iteration that it is in, if none of its requests has failed.
#[derive(Clone, Default)]
struct Iteration(Option<Going>);

#[derive(Clone)]
struct Going {
    account: Account,
    /// When the first request was due, until it is sent.
    due: Option<Instant>,
}

/// The request of a scenario's step `number`, unless one before it failed.
pub(crate) async fn step(
    run: Arc<Run>,
    part: Arc<Part>,
    number: usize,
    user: &mut GooseUser,
) -> TransactionResult {
    let going = if number == 0 {
        begin(&run, &part, user).await
    } else {
        let iteration = user.get_session_data_mut::<Iteration>();
        iteration.and_then(|iteration| iteration.0.take())
    };
    let Some(mut going) = going else {
        // Nothing to do: goose is about to end the run, or there is no token to be had. It had better not turn in circles.
        if number == 0 {
            sleep(PAUSE).await;
        }
        return Ok(());
    };
    let index = user.weighted_users_index;
    let asked = match part.arrivals {
        None => closed(&run, user, part.scenario, number, &mut going).await,
        Some(_) => open(&run, user, part.scenario, number, &mut going).await,
    };
    if part.scenario.needs_account() {
        *run.account(index) = going.account.clone();
    }
    if asked.is_ok() {
        user.set_session_data(Iteration(Some(going)));
    } else if part.arrivals.is_none() {
        sleep(PAUSE).await;
    }
    asked
}

/// Waits for an arrival, in the open model, and finds an account for it.
async fn begin(run: &Run, part: &Part, user: &mut GooseUser) -> Option<Going> {
    let index = user.weighted_users_index;
    let mut account = if part.scenario.needs_account() {
        run.account(index).clone()
    } else {
        Account::fresh()
    };
    // Before the arrival: logging in is not what is measured here.
    if part.scenario.needs_tokens() && !account.is_logged_in() {
        let client = run.target.client(index, Visitor::Known);
        let logged_in = run.prepare(&client, Operation::LogIn, &mut account).await;
        logged_in.ok()?;
    }
    let due = match &part.arrivals {
        None => None,
        Some(arrivals) => Some(arrivals.next().await?),
    };
    user.client = run.target.client(index, part.scenario.visitor());
    Some(Going { account, due })
}

/// Asks by goose, which counts it, and judges what came.
async fn closed(
    run: &Run,
    user: &mut GooseUser,
    scenario: Scenario,
    number: usize,
    going: &mut Going,
) -> TransactionResult {
    let operation = scenario.steps()[number];
    let request = run.request(&user.client, scenario, operation, &going.account);
    let method = match operation.is_route() {
        true => GooseMethod::Get,
        false => GooseMethod::Post,
    };
    let request = GooseRequest::builder()
        .method(method)
        .name(operation.name())
        .set_request_builder(request)
        .build();
    let mut asked = user.request(request).await?;
    let took = Duration::from_micros(asked.request.response_time_micros());
    let (headers, judged) = answer(operation, &going.account, asked.response).await;
    let failure = judged.as_ref().err().cloned();
    run.record(operation, took, failure.clone(), headers.as_ref());
    if let Ok(Some(tokens)) = judged {
        going.account.keep(tokens);
    }
    match failure {
        Some(reason) => {
            if operation == Operation::Refresh {
                going.account.tokens = Tokens::default();
            }
            user.set_failure(
                &reason.to_string(),
                &mut asked.request,
                headers.as_ref(),
                None,
            )
        }
        // Being refused was right.
        None if !asked.request.success => user.set_success(&mut asked.request),
        None => Ok(()),
    }
}

/// Asks, judges what came, and lets goose count it, with the time since it was due.
async fn open(
    run: &Run,
    user: &mut GooseUser,
    scenario: Scenario,
    number: usize,
    going: &mut Going,
) -> TransactionResult {
    let operation = scenario.steps()[number];
    let due = going.due.take().unwrap_or_else(Instant::now);
    let request = run.request(&user.client, scenario, operation, &going.account);
    let response = request.send().await;
    let status = response
        .as_ref()
        .ok()
        .map(|answer| answer.status().as_u16());
    let (headers, judged) = answer(operation, &going.account, response).await;
    let took = due.elapsed();
    let failure = judged.as_ref().err().cloned();
    run.record(operation, took, failure.clone(), headers.as_ref());
    let error = failure.as_ref().map(ToString::to_string);
    user.record_custom_request_duration(
        operation.method(),
        operation.name(),
        took,
        failure.is_none(),
        status,
        error.as_deref(),
    )
    .await?;
    match (judged, error) {
        (Ok(Some(tokens)), _) => going.account.keep(tokens),
        (Err(_), Some(error)) => {
            if operation == Operation::Refresh {
                going.account.tokens = Tokens::default();
            }
            return Err(Box::new(error.into()));
        }
        _ => {}
    }
    Ok(())
}

impl Run {
    fn account(&self, user: usize) -> std::sync::MutexGuard<'_, Account> {
        let number = user % self.accounts.len();
        self.accounts[number].lock().expect("no panic")
    }

    /// Makes an account for each of `users`, from the addresses that they will have.
    ///
    /// # Errors
    /// When a sign-up is refused.
    pub(crate) async fn make_accounts(
        target: Arc<Target>,
        users: usize,
    ) -> Result<Vec<Mutex<Account>>> {
        let run = Arc::new(Self {
            target,
            path: None,
            recorder: Recorder::new(Instant::now()),
            accounts: Vec::new(),
        });
        let mut accounts = Vec::with_capacity(users);
        let mut sign_ups = tokio::task::JoinSet::new();
        for user in 0..users {
            if sign_ups.len() == SIGN_UPS_AT_ONCE {
                let made: Result<Account> = sign_ups.join_next().await.context("one")??;
                accounts.push(Mutex::new(made?));
            }
            let run = Arc::clone(&run);
            sign_ups.spawn(async move {
                let client = run.target.client(user, Visitor::Known);
                run.make_account(&client)
                    .await
                    .context("an account for a user cannot be made")
            });
        }
        for made in sign_ups.join_all().await {
            accounts.push(Mutex::new(made?));
        }
        Ok(accounts)
    }

    /// Signs somebody up. A service that sheds load, as a hash costs a good part of a second, is asked again.
    async fn make_account(&self, client: &Client) -> Result<Account> {
        let mut account = Account::fresh();
        for _ in 1..ATTEMPTS {
            if self
                .prepare(client, Operation::SignUp, &mut account)
                .await
                .is_ok()
            {
                return Ok(account);
            }
            sleep(PAUSE * 10).await;
            account = Account::fresh();
        }
        self.prepare(client, Operation::SignUp, &mut account)
            .await?;
        Ok(account)
    }

    /// Asks for tokens without counting it.
    async fn prepare(
        &self,
        client: &Client,
        operation: Operation,
        account: &mut Account,
    ) -> Result<()> {
        let request = self.request(client, Scenario::Session, operation, account);
        match answer(operation, account, request.send().await).await.1 {
            Ok(Some(tokens)) => account.keep(tokens),
            Ok(None) => bail!("there was no token"),
            Err(reason @ Reason::Http { status: 429 }) => bail!(
                "{reason}: limits count by address; let the users come from many by --from 127.9.8.0/24"
            ),
            Err(reason) => bail!("{reason}"),
        }
        Ok(())
    }

    fn request(
        &self,
        client: &Client,
        scenario: Scenario,
        operation: Operation,
        account: &Account,
    ) -> RequestBuilder {
        let mut request = if operation.is_route() {
            let path = self.path.as_deref().unwrap_or(scenario.path());
            client.get(format!("{}{path}", self.target.url()))
        } else {
            // A wrong password, that is.
            let other = matches!(operation, Operation::WrongPassword | Operation::Guess)
                .then(|| Uuid::new_v4().to_string());
            let password = other.as_ref().unwrap_or(&account.password);
            let body = operation.body(&account.email, password, &account.tokens);
            client
                .post(self.target.endpoint())
                .header(
                    ACCEPT,
                    "application/graphql-response+json, application/json;q=0.9",
                )
                .json(&body)
        };
        if operation.is_mutation() {
            request = request.header("idempotency-key", Uuid::new_v4().to_string());
        }
        match &account.tokens.access {
            Some(token) if operation.is_authenticated() => request.bearer_auth(token),
            _ => request,
        }
    }

    fn record(
        &self,
        operation: Operation,
        took: Duration,
        failure: Option<Reason>,
        headers: Option<&HeaderMap>,
    ) {
        let text = |name: &str| headers?.get(name)?.to_str().ok().map(printable);
        self.recorder.record(Outcome {
            operation,
            took,
            failure,
            answered: headers.is_some(),
            node: text("x-served-by"),
            trace_id: text("x-trace-id"),
        });
    }
}

/// The headers of an answer, if there was one, and what it meant.
async fn answer(
    operation: Operation,
    account: &Account,
    response: reqwest::Result<Response>,
) -> (Option<HeaderMap>, Result<Option<Tokens>, Reason>) {
    let headers = response
        .as_ref()
        .ok()
        .map(|answer| answer.headers().clone());
    let judged = match read(response).await {
        Ok((status, body)) => judge(operation, &account.email, status, &body),
        Err(reason) => Err(reason),
    };
    (headers, judged)
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
