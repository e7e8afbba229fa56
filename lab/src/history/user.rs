//! One of the two clients of an account, and what it does with it.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::Duration,
};

use fastrand::Rng;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Action, Answer, Id,
    client::{Request, Tokens},
    lock,
    log::{Key, Log},
    model::Refusal,
};

/// Calls that a client makes before it goes on to another account.
const CALLS: std::ops::Range<usize> = 10..40;
/// A call whose answer was lost is repeated so often, where it has an `Idempotency-Key`.
const REPEATS: u32 = 5;
/// A client pauses for up to so long between two calls: the machine has other things to do.
pub const PAUSE: Duration = Duration::from_millis(20);

/// What the two clients of an account know of its passwords, each by the call that made it.
#[derive(Default)]
pub struct Passwords {
    /// Those that it may have, the newest last.
    maybe: Vec<Id>,
    /// Those that it had.
    old: Vec<Id>,
}

/// A session that a client has.
struct Session {
    begun_by: Id,
    tokens: Tokens,
    /// The call that answered with the refresh token.
    token: Id,
    /// One that was good before.
    old_token: Option<(Id, String)>,
}

/// A client of an account.
pub struct User<'a> {
    pub url: &'a str,
    pub http: &'a Client,
    pub log: &'a Log,
    pub account: usize,
    /// Its number among those of the account.
    pub client: usize,
    pub passwords: Arc<Mutex<Passwords>>,
    pub random: Rng,
    session: Option<Session>,
}

impl<'a> User<'a> {
    pub fn new(
        url: &'a str,
        http: &'a Client,
        log: &'a Log,
        account: usize,
        client: usize,
        passwords: Arc<Mutex<Passwords>>,
        random: Rng,
    ) -> Self {
        Self {
            url,
            http,
            log,
            account,
            client,
            passwords,
            random,
            session: None,
        }
    }

    /// Makes some calls, until `stop`, and tells of each that was acknowledged.
    pub async fn use_account(&mut self, stop: &AtomicBool, acknowledged: impl Fn()) {
        for _ in 0..self.random.usize(CALLS) {
            if stop.load(Relaxed) {
                return;
            }
            let (action, keyed) = self.choose();
            if let Answer::Done(_) = self.call(action, keyed).await {
                acknowledged();
            }
            sleep(PAUSE.mul_f64(self.random.f64())).await;
        }
    }

    /// What to do next, and whether with an `Idempotency-Key`.
    fn choose(&mut self) -> (Action, bool) {
        let known = lock(&self.passwords);
        let Some(newest) = known.maybe.last().copied() else {
            return (Action::SignUp, self.random.bool());
        };
        let Some(Session {
            begun_by: session,
            token,
            old_token,
            ..
        }) = &self.session
        else {
            // Which of them is right is not known after a change whose answer was lost.
            let password = self.random.choice(&known.maybe).copied().unwrap_or(newest);
            return (Action::LogIn { password }, false);
        };
        let (session, token) = (*session, *token);
        match self.random.u8(0..100) {
            0..30 => (Action::Me { session }, false),
            30..55 => (Action::Refresh { session, token }, self.random.bool()),
            // An old token, as a thief would, or a client that has lost count.
            55..60 => {
                let token = old_token.as_ref().map_or(token, |(token, _)| *token);
                (Action::Refresh { session, token }, false)
            }
            60..80 => {
                let current = newest;
                let change = Action::ChangePassword { session, current };
                (change, self.random.bool())
            }
            80..86 => (Action::LogIn { password: newest }, false),
            86..90 => {
                let password = self.random.choice(&known.old).copied().unwrap_or(newest);
                (Action::LogIn { password }, false)
            }
            90..93 => (Action::SignUp, false),
            _ => (Action::LogOut { session }, false),
        }
    }

    /// Makes a call, and repeats it while its answer is lost and it has a key. Answers the last answer.
    pub async fn call(&mut self, action: Action, keyed: bool) -> Answer {
        let key = if keyed { Key::New } else { Key::None };
        let name = self.log.invoke(self.account, self.client, action, key);
        if matches!(action, Action::SignUp | Action::ChangePassword { .. }) {
            lock(&self.passwords).maybe.push(name);
        }
        let mut id = name;
        let mut repeat = 1;
        loop {
            let (answer, tokens) = self.ask(action, name, keyed).await;
            self.log.complete(id, answer.clone());
            self.learn(action, name, &answer, tokens, repeat == 1);
            if let Answer::Done(_) | Answer::Refused(_) = answer {
                return answer;
            }
            sleep(PAUSE * repeat).await;
            if !keyed || repeat > REPEATS {
                return answer;
            }
            repeat += 1;
            let key = Key::Of(name);
            id = self.log.invoke(self.account, self.client, action, key);
        }
    }

    async fn ask(&self, action: Action, name: Id, keyed: bool) -> (Answer, Option<Tokens>) {
        let (email, secret) = {
            let history = self.log.lock();
            (history.emails[self.account].clone(), history.secret)
        };
        let password = |made_by: Id| format!("{secret:016x}, the password of call {made_by}");
        let refresh_token = |token: Id| {
            let session = self.session.as_ref()?;
            if session.token == token {
                return Some(&session.tokens.refresh);
            }
            session.old_token.as_ref().map(|(_, text)| text)
        };
        let (query, variables): (_, Value) = match action {
            Action::SignUp => (
                "mutation($email: String!, $password: String!) { signUp(email: $email, password: $password) { accessToken refreshToken } }",
                json!({ "email": email, "password": password(name) }),
            ),
            Action::LogIn { password: made_by } => (
                "mutation($email: String!, $password: String!) { logIn(email: $email, password: $password) { accessToken refreshToken } }",
                json!({ "email": email, "password": password(made_by) }),
            ),
            Action::ChangePassword { current, .. } => (
                "mutation($current: String!, $new: String!) { changePassword(currentPassword: $current, newPassword: $new) { accessToken refreshToken } }",
                json!({ "current": password(current), "new": password(name) }),
            ),
            Action::Refresh { token, .. } => (
                "mutation($token: String!) { refresh(refreshToken: $token) { accessToken refreshToken } }",
                json!({ "token": refresh_token(token) }),
            ),
            Action::LogOut { .. } => ("mutation { logOut { message } }", Value::Null),
            Action::Me { .. } => ("{ me { id } }", Value::Null),
        };
        // A valid token would answer a log-in without a look at the password.
        let with_session = matches!(
            action,
            Action::ChangePassword { .. } | Action::LogOut { .. } | Action::Me { .. }
        );
        let session = self.session.as_ref().filter(|_| with_session);
        let request = Request {
            query,
            variables,
            access_token: session.map(|session| session.tokens.access.as_str()),
            key: keyed.then(|| format!("{secret:016x}-{name}")),
        };
        request.send(self.http, self.url).await
    }

    /// Takes from an answer what the next calls need. What the answer proves is for the check to say.
    fn learn(
        &mut self,
        action: Action,
        name: Id,
        answer: &Answer,
        tokens: Option<Tokens>,
        first: bool,
    ) {
        let done = matches!(answer, Answer::Done(_));
        let known = &mut *lock(&self.passwords);
        match action {
            Action::SignUp | Action::ChangePassword { .. } if done => known.is(name),
            Action::LogIn { password } if done => known.is(password),
            Action::SignUp | Action::ChangePassword { .. }
                if first && !matches!(answer, Answer::Unknown(_)) =>
            {
                known.maybe.retain(|made_by| *made_by != name);
            }
            _ => {}
        }
        // One that is tried again and again would end in a delay for the account.
        if *answer == Answer::Refused(Refusal::InvalidCredentials)
            && known.maybe.len() > 1
            && let Action::LogIn { password: wrong } | Action::ChangePassword { current: wrong, .. } =
                action
        {
            known.maybe.retain(|made_by| *made_by != wrong);
        }
        match (action, tokens, &mut self.session) {
            (Action::Refresh { token, .. }, Some(tokens), Some(session)) => {
                let old = std::mem::replace(&mut session.tokens, tokens);
                session.old_token = Some((token, old.refresh));
                session.token = name;
            }
            (_, Some(tokens), session) => {
                *session = Some(Session {
                    begun_by: name,
                    tokens,
                    token: name,
                    old_token: None,
                });
            }
            _ => {}
        }
        if *answer == Answer::Refused(Refusal::Unauthenticated) {
            self.session = None;
        }
    }
}

impl Passwords {
    /// A password was the right one, so those before it are old.
    fn is(&mut self, right: Id) {
        let before = |made_by: &Id| *made_by < right;
        self.old.extend(self.maybe.iter().copied().filter(before));
        self.maybe.retain(|made_by| !before(made_by));
    }
}
