//! The GraphQL schema: the public face of [`crate::accounts`].

mod documents;
mod limits;
mod mutation;
mod query;

use std::sync::Arc;

use async_graphql::{EmptySubscription, ErrorExtensions, SimpleObject};

pub use documents::Documents;
pub use limits::{Refusal, check_brackets, select};

use crate::accounts::{self, Accounts, Identity};
use crate::error::AuthError;
use crate::idempotency::IdempotencyKey;

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

/// What a request brings along besides its query.
#[derive(Default)]
pub struct Caller {
    /// The token of `Authorization: Bearer`, unverified.
    pub bearer: Option<String>,
    /// The `Idempotency-Key`, with the request it belongs to.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The operation that a request is about, for metrics, logs and spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    SignUp,
    LogIn,
    Refresh,
    LogOut,
    ChangePassword,
    DeleteAccount,
    Me,
    VerifyToken,
    Other,
}

impl Operation {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::SignUp,
        Self::LogIn,
        Self::Refresh,
        Self::LogOut,
        Self::ChangePassword,
        Self::DeleteAccount,
        Self::Me,
        Self::VerifyToken,
        Self::Other,
    ];

    /// The name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignUp => "signUp",
            Self::LogIn => "logIn",
            Self::Refresh => "refresh",
            Self::LogOut => "logOut",
            Self::ChangePassword => "changePassword",
            Self::DeleteAccount => "deleteAccount",
            Self::Me => "me",
            Self::VerifyToken => "verifyToken",
            Self::Other => "other",
        }
    }

    fn of_field(name: &str) -> Self {
        let named = Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name);
        named.unwrap_or(Self::Other)
    }

    /// Whether it changes something.
    pub fn is_mutation(self) -> bool {
        !matches!(self, Self::Me | Self::VerifyToken | Self::Other)
    }
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

fn shown(error: AuthError) -> async_graphql::Error {
    error.extend()
}
