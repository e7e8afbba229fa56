//! What changes something: accounts and sessions.

use std::sync::Arc;

use async_graphql::{Context, Object, Result};

use super::answers::{Done, Session, shown};
use crate::accounts::{self, Accounts};
use crate::caller::Caller;
use crate::error::AuthError;
use crate::operation::Operation;
use crate::passwords::Password;
use crate::tokens::refresh::RefreshToken;
use crate::tokens::reset::ResetToken;

/// The root of all mutations.
#[derive(Default)]
pub struct Mutation;

/// What changes something, one field a request.
///
/// With an `Idempotency-Key` header a request can be repeated when its answer got lost. It is carried out once; a repeat within 24
/// hours gets the first answer, with the same refresh token and a new access token, unless that session has ended or, for
/// `refresh`, was refreshed again. The key has 8 to 255 visible ASCII characters that nobody can guess, such as a random UUID.
/// For another request, or with another access token, it is refused with IDEMPOTENCY_KEY_REUSED. What failed can be
/// repeated, too: it is checked again.
#[Object]
impl Mutation {
    /// Makes an account and logs it in.
    ///
    /// Error codes: INVALID_EMAIL, WEAK_PASSWORD, BAD_REQUEST, EMAIL_TAKEN, OVERLOADED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn sign_up(
        &self,
        context: &Context<'_>,
        email: String,
        password: String,
    ) -> Result<Session> {
        let (accounts, caller) = begin(context, Operation::SignUp);
        let session = accounts
            .sign_up(caller, &email, Password::new(password))
            .await;
        answer(accounts, session, "Signed up.")
    }

    /// Checks e-mail and password and issues an access token. With a valid token already in `Authorization` nothing is
    /// checked or issued, and the message says who is logged in.
    ///
    /// Error codes: INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn log_in(
        &self,
        context: &Context<'_>,
        email: String,
        password: String,
    ) -> Result<Session> {
        let (accounts, caller) = begin(context, Operation::LogIn);
        let session = accounts
            .log_in(caller, &email, Password::new(password))
            .await;
        if !matches!(session, Ok(accounts::Session::AlreadyLoggedIn(_))) {
            tell_gateway(context, &session);
        }
        answer(accounts, session, "Logged in.")
    }

    /// Trades a refresh token for a new one and a new access token. A token is good once: if an old one comes again, its
    /// session ends.
    ///
    /// Error codes: UNAUTHENTICATED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn refresh(&self, context: &Context<'_>, refresh_token: String) -> Result<Session> {
        let (accounts, caller) = begin(context, Operation::Refresh);
        let used = RefreshToken::parse(&refresh_token);
        let session = accounts.refresh(caller, used.as_ref()).await;
        answer(accounts, session, "Refreshed.")
    }

    /// Ends the session of the access token in `Authorization: Bearer`.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn log_out(&self, context: &Context<'_>) -> Result<Done> {
        let (accounts, caller) = begin(context, Operation::LogOut);
        accounts.log_out(caller).await.map_err(shown)?;
        Ok(Done {
            message: "Logged out.",
        })
    }

    /// Replaces the password of the account of the access token in `Authorization: Bearer`, ends all its sessions and
    /// begins a new one.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, INVALID_CREDENTIALS, RATE_LIMITED, WEAK_PASSWORD, BAD_REQUEST, OVERLOADED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn change_password(
        &self,
        context: &Context<'_>,
        current_password: String,
        new_password: String,
    ) -> Result<Session> {
        let (accounts, caller) = begin(context, Operation::ChangePassword);
        let (current, new) = (Password::new(current_password), Password::new(new_password));
        let session = accounts.change_password(caller, current, new).await;
        tell_gateway(context, &session);
        answer(accounts, session, "Password changed.")
    }

    /// Replaces the password of the account that a reset token is for, ends all its sessions and begins a new one. An operator makes
    /// the token (`auth-core user reset-password`); it is good once, for a day.
    ///
    /// Error codes: INVALID_RESET_TOKEN, WEAK_PASSWORD, BAD_REQUEST, OVERLOADED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn reset_password(
        &self,
        context: &Context<'_>,
        reset_token: String,
        new_password: String,
    ) -> Result<Session> {
        let (accounts, caller) = begin(context, Operation::ResetPassword);
        let token = ResetToken::parse(&reset_token);
        let session = accounts
            .reset_password(caller, token.as_ref(), Password::new(new_password))
            .await;
        answer(accounts, session, "Password changed.")
    }

    /// Removes the account of the access token in `Authorization: Bearer`, with all its sessions.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, INVALID_CREDENTIALS, RATE_LIMITED, OVERLOADED, IDEMPOTENCY_KEY_REUSED, UNAVAILABLE, INTERNAL.
    async fn delete_account(&self, context: &Context<'_>, password: String) -> Result<Done> {
        let (accounts, caller) = begin(context, Operation::DeleteAccount);
        let deleted = accounts
            .delete_account(caller, Password::new(password))
            .await;
        tell_gateway(context, &deleted);
        deleted.map_err(shown)?;
        Ok(Done {
            message: "Account deleted.",
        })
    }
}

/// Who carries a mutation out, and for whom. Writes down that it was begun.
fn begin<'a>(context: &'a Context<'_>, operation: Operation) -> (&'a Arc<Accounts>, &'a Caller) {
    let caller = context.data_unchecked::<Caller>();
    caller.executed.begin(operation);
    (context.data_unchecked(), caller)
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
