//! What queries and mutations answer alike.

use async_graphql::{ErrorExtensions, SimpleObject};

use crate::accounts;
use crate::error::AuthError;
use crate::identity::Identity;

/// An account, as far as others may see it.
#[derive(SimpleObject)]
pub(super) struct Account {
    /// UUID.
    pub(super) id: String,
    /// E-mail address, as typed at sign-up.
    pub(super) email: String,
    /// What the account may do.
    pub(super) role: String,
}

impl From<Identity> for Account {
    fn from(Identity { id, email, role }: Identity) -> Self {
        Self { id, email, role }
    }
}

/// The answer to what begins a session or carries one on.
#[derive(SimpleObject)]
pub(super) struct Session {
    /// What happened, for people.
    pub(super) message: String,
    /// JWT for `Authorization: Bearer`; null where none was issued.
    pub(super) access_token: Option<String>,
    /// Opaque token for `refresh`, good once; null where none was issued.
    pub(super) refresh_token: Option<String>,
    /// Lifetime of the access token in seconds; null where none was issued.
    pub(super) expires_in: Option<u64>,
    /// Who is logged in.
    pub(super) account: Account,
}

impl Session {
    pub(super) fn new(session: accounts::Session, message: &str, lifetime: u64) -> Self {
        match session {
            accounts::Session::New {
                access_token,
                refresh_token,
                identity,
            } => Self {
                message: message.to_owned(),
                access_token: Some(access_token),
                refresh_token: Some(refresh_token),
                expires_in: Some(lifetime),
                account: identity.into(),
            },
            accounts::Session::AlreadyLoggedIn(identity) => Self {
                message: format!("이미 {}로 로그인 하였습니다.", identity.email),
                access_token: None,
                refresh_token: None,
                expires_in: None,
                account: identity.into(),
            },
        }
    }
}

/// The answer to what leaves nothing to hand out.
#[derive(SimpleObject)]
pub(super) struct Done {
    /// What happened, for people.
    pub(super) message: &'static str,
}

/// An error as GraphQL shows it. It carries the [`AuthError`] along, for those who want to know more than its text.
pub(super) fn shown(error: AuthError) -> async_graphql::Error {
    let (code, retry_after) = (error.code(), error.retry_after_seconds());
    async_graphql::Error::new_with_source(error).extend_with(|_, extensions| {
        extensions.set("code", code.name());
        if let Some(seconds) = retry_after {
            extensions.set("retryAfterSeconds", seconds);
        }
    })
}
