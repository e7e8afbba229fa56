//! What changes something: `signUp`, and `logIn` for its tokens.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::{Caller, Session, shown};
use crate::accounts::{self, Accounts};
use crate::error::AuthError;
use crate::password::Password;

/// The root of all mutations.
pub struct Mutation;

#[Object]
impl Mutation {
    /// Makes an account and logs it in. With an `Idempotency-Key` header a repeat of the same request succeeds again.
    ///
    /// Error codes: INVALID_EMAIL, WEAK_PASSWORD, BAD_REQUEST, EMAIL_TAKEN, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn sign_up(
        &self,
        context: &Context<'_>,
        email: String,
        password: String,
    ) -> Result<Session> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        let session = accounts
            .sign_up(
                &email,
                Password::new(password),
                caller.idempotency_key.as_ref(),
            )
            .await
            .map_err(shown)?;
        Ok(Session::new(
            session,
            "Signed up.",
            accounts.keys.current().lifetime(),
        ))
    }

    /// Checks e-mail and password and issues an access token. With a valid token already in `Authorization` nothing is
    /// checked or issued, and the message says who is logged in.
    ///
    /// Error codes: INVALID_CREDENTIALS, UNAVAILABLE, INTERNAL.
    async fn log_in(
        &self,
        context: &Context<'_>,
        email: String,
        password: String,
    ) -> Result<Session> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        let session = accounts
            .log_in(&email, Password::new(password), caller.bearer.as_deref())
            .await;
        tell_gateway(context, &session);
        let session = session.map_err(shown)?;
        Ok(Session::new(
            session,
            "Logged in.",
            accounts.keys.current().lifetime(),
        ))
    }
}

/// Names the outcome of a credential check in a header.
///
/// The gateway counts failures for each client by it, whatever the client wrote into its query, and strips it.
fn tell_gateway(context: &Context<'_>, checked: &Result<accounts::Session, AuthError>) {
    let outcome = match checked {
        Ok(accounts::Session::New { .. }) => "login-ok",
        Err(AuthError::InvalidCredentials) => "login-failed",
        _ => return,
    };
    context.insert_http_header("x-auth-outcome", outcome);
}
