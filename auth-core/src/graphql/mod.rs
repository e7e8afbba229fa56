//! The GraphQL schema: the public face of [`crate::accounts`].

mod documents;
mod limits;
mod mutation;
mod query;

use std::sync::Arc;

use async_graphql::{EmptySubscription, ErrorExtensions, SimpleObject};

pub use documents::Documents;
pub use limits::{INPUT_TYPES, Refusal, check_brackets, check_variables, select};

use crate::accounts::{self, Accounts};
use crate::error::AuthError;
use crate::identity::Identity;

/// The executable schema.
pub type Schema = async_graphql::Schema<query::Query, mutation::Mutation, EmptySubscription>;

/// Builds the schema. Without introspection, unless it is for development (ASVS 5.0, 4.3.2).
pub fn schema(accounts: Arc<Accounts>, introspection: bool) -> Schema {
    let builder = builder().data(accounts);
    if introspection {
        return builder.finish();
    }
    builder.disable_introspection().finish()
}

/// The schema definition language text.
pub fn sdl() -> String {
    builder().disable_introspection().finish().sdl()
}

fn builder() -> async_graphql::SchemaBuilder<query::Query, mutation::Mutation, EmptySubscription> {
    Schema::build(query::Query, mutation::Mutation, EmptySubscription).disable_suggestions()
}

/// An account, as far as others may see it.
#[derive(SimpleObject)]
struct Account {
    /// UUID.
    id: String,
    /// E-mail address, as typed at sign-up.
    email: String,
    /// What the account may do.
    role: String,
}

impl From<Identity> for Account {
    fn from(Identity { id, email, role }: Identity) -> Self {
        Self { id, email, role }
    }
}

/// The answer to what begins a session or carries one on.
#[derive(SimpleObject)]
struct Session {
    /// What happened, for people.
    message: String,
    /// JWT for `Authorization: Bearer`; null where none was issued.
    access_token: Option<String>,
    /// Opaque token for `refresh`, good once; null where none was issued.
    refresh_token: Option<String>,
    /// Lifetime of the access token in seconds; null where none was issued.
    expires_in: Option<u64>,
    /// Who is logged in.
    account: Account,
}

impl Session {
    fn new(session: accounts::Session, message: &str, lifetime: u64) -> Self {
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
struct Done {
    /// What happened, for people.
    message: &'static str,
}

/// An error as GraphQL shows it. It carries the [`AuthError`] along, for those who want to know more than its text.
fn shown(error: AuthError) -> async_graphql::Error {
    let (code, retry_after) = (error.code(), error.retry_after_seconds());
    async_graphql::Error::new_with_source(error).extend_with(|_, extensions| {
        extensions.set("code", code.name());
        if let Some(seconds) = retry_after {
            extensions.set("retryAfterSeconds", seconds);
        }
    })
}
