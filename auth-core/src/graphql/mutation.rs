//! What changes something: accounts and sessions.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::{Caller, Done, Session, shown};
use crate::accounts::{self, Accounts};
use crate::error::AuthError;
use crate::password::Password;

/// The root of all mutations.
pub struct Mutation;

#[Object]
impl Mutation {
    /// Makes an account and logs it in. With an `Idempotency-Key` header a repeat of the same request succeeds again.
    ///
    /// Error codes: INVALID_EMAIL, WEAK_PASSWORD, BAD_REQUEST, EMAIL_TAKEN, IDEMPOTENCY_KEY_REUSED, OVERLOADED, UNAVAILABLE, INTERNAL.
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
            .await;
        answer(accounts, session, "Signed up.")
    }

    /// Checks e-mail and password and issues an access token. With a valid token already in `Authorization` nothing is
    /// checked or issued, and the message says who is logged in.
    ///
    /// Error codes: INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED, UNAVAILABLE, INTERNAL.
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
        if !matches!(session, Ok(accounts::Session::AlreadyLoggedIn(_))) {
            tell_gateway(context, &session);
        }
        answer(accounts, session, "Logged in.")
    }

    /// Trades a refresh token for a new one and a new access token. A token is good once: if an old one comes again, its
    /// session ends. With an `Idempotency-Key` header a repeat of the same request gets the same refresh token again.
    ///
    /// Error codes: UNAUTHENTICATED, UNAVAILABLE, INTERNAL.
    async fn refresh(&self, context: &Context<'_>, refresh_token: String) -> Result<Session> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        let session = accounts
            .refresh(&refresh_token, caller.idempotency_key.as_ref())
            .await;
        answer(accounts, session, "Refreshed.")
    }

    /// Ends the session of the access token in `Authorization: Bearer`.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, UNAVAILABLE, INTERNAL.
    async fn log_out(&self, context: &Context<'_>) -> Result<Done> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        accounts
            .log_out(caller.bearer.as_deref())
            .await
            .map_err(shown)?;
        Ok(Done {
            message: "Logged out.",
        })
    }

    /// Replaces the password of the account of the access token in `Authorization: Bearer`, ends all its sessions and
    /// begins a new one.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, INVALID_CREDENTIALS, RATE_LIMITED, WEAK_PASSWORD, BAD_REQUEST, OVERLOADED, UNAVAILABLE, INTERNAL.
    async fn change_password(
        &self,
        context: &Context<'_>,
        current_password: String,
        new_password: String,
    ) -> Result<Session> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        let (current, new) = (Password::new(current_password), Password::new(new_password));
        let session = accounts
            .change_password(caller.bearer.as_deref(), current, new)
            .await;
        tell_gateway(context, &session);
        answer(accounts, session, "Password changed.")
    }

    /// Removes the account of the access token in `Authorization: Bearer`, with all its sessions.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED, UNAVAILABLE, INTERNAL.
    async fn delete_account(&self, context: &Context<'_>, password: String) -> Result<Done> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        let password = Password::new(password);
        let deleted = accounts
            .delete_account(caller.bearer.as_deref(), password)
            .await;
        tell_gateway(context, &deleted);
        deleted.map_err(shown)?;
        Ok(Done {
            message: "Account deleted.",
        })
    }
}

/// The answer of an operation that leads to a session, with what happened in words.
fn answer(
    accounts: &Accounts,
    session: Result<accounts::Session, AuthError>,
    message: &str,
) -> Result<Session> {
    let session = session.map_err(shown)?;
    Ok(Session::new(
        session,
        message,
        accounts.keys.current().lifetime(),
    ))
}

/// Names the outcome of a credential check in a header.
///
/// The gateway counts failures for each client by it, whatever the client wrote into its query, and strips it.
/// `RATE_LIMITED` and `OVERLOADED` are none: no password was checked, and who is kept waiting by another's guesses should not
/// lose the right to their address, too.
fn tell_gateway<T>(context: &Context<'_>, checked: &Result<T, AuthError>) {
    let outcome = match checked {
        Ok(_) => "login-ok",
        Err(AuthError::InvalidCredentials) => "login-failed",
        Err(_) => return,
    };
    context.insert_http_header("x-auth-outcome", outcome);
}
