//! The story of this service: signing up, logging in, and telling who somebody is.

mod changes;
mod idempotency;
mod login_throttling;
mod reset;
mod sessions;

use std::sync::Arc;

use uuid::Uuid;

pub use login_throttling::delay_after;

use crate::audit::{Entry, Event};
use crate::caller::Caller;
use crate::email::Email;
use crate::error::AuthError;
use crate::identity::{Identity, Role};
use crate::passwords::Password;
use crate::passwords::hash_pool::{HashPermit, HashPool};
use crate::passwords::policy::PasswordPolicy;
use crate::store::{Account, Store, StoreError};
use crate::telemetry::request_trace::trace_id;
use crate::tokens::Keys;

/// What the operations need.
pub struct Accounts {
    /// Where accounts are stored.
    pub store: Store,
    /// Where passwords are hashed.
    pub hashes: HashPool,
    /// What signs and verifies tokens.
    pub keys: Keys,
    /// Which passwords an account can get.
    pub password_policy: PasswordPolicy,
    /// How long a session lasts after its log-in, in seconds.
    pub session_seconds: u64,
}

/// What a log-in or sign-up leads to.
pub enum Session {
    /// A new token.
    New {
        /// The access token.
        access_token: String,
        /// The refresh token.
        refresh_token: String,
        /// Whose it is.
        identity: Identity,
    },
    /// The caller had a valid token already, and keeps it.
    AlreadyLoggedIn(Identity),
}

impl Accounts {
    /// Makes an account and logs it in.
    ///
    /// # Errors
    /// `INVALID_EMAIL`, `WEAK_PASSWORD`, `BAD_REQUEST`, `EMAIL_TAKEN`, `OVERLOADED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn sign_up(
        &self,
        caller: &Caller,
        email: &str,
        password: Password,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let signing_up = async {
            let email = Email::parse(email)?;
            self.password_policy.check(&password, email.normal())?;

            // Hashed before anybody looks whether the e-mail is taken: one that goes away in between has learned nothing.
            let permit = self.hashes.permit(caller).await?;
            let account = Account {
                id: Uuid::now_v7().to_string(),
                email: email.as_given().to_owned(),
                password_hash: permit.hash(&Arc::new(password)).await?,
                role: Role::User.name().to_owned(),
                disabled: 0,
            };
            drop(permit);
            // The unique index says who was first.
            let session = self.new_session(&account, key)?;
            let entry = Entry::by_caller(Event::SignUp, Some(&account.id), caller);
            let added =
                self.store
                    .add_account(&account, &email, key, Some(&session.stored), &entry);
            match added.await {
                Ok(()) => self.begun(account, &session),
                Err(StoreError::Conflict) => Err(AuthError::EmailTaken),
                Err(error) => Err(error.into()),
            }
        };
        self.once(key, None, signing_up).await
    }

    /// Checks e-mail and password and issues a token; a caller who is logged in already keeps the one they have.
    ///
    /// # Errors
    /// `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `IDEMPOTENCY_KEY_REUSED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn log_in(
        &self,
        caller: &Caller,
        email: &str,
        password: Password,
    ) -> Result<Session, AuthError> {
        let key = caller.idempotency_key.as_ref();
        let logging_in = async {
            match self.account_of(caller).await {
                Ok(account) => return Ok(Session::AlreadyLoggedIn(account.into())),
                Err(AuthError::Unauthenticated | AuthError::TokenExpired) => {}
                Err(error) => return Err(error),
            }
            // No account can have these, so refusing them at once tells nothing.
            let email = Email::parse(email).map_err(|_| AuthError::InvalidCredentials)?;
            if password.is_impossible() {
                return Err(AuthError::InvalidCredentials);
            }
            let password = Arc::new(password);
            if let Some(session) = self.check_and_begin(caller, &email, &password).await? {
                return Ok(session);
            }
            // The account has changed since its password was checked. If that was another log-in which hashed the same password
            // again, this one is right, too.
            let checked_again = self.check_and_begin(caller, &email, &password).await?;
            checked_again.ok_or(AuthError::InvalidCredentials)
        };
        self.once(key, None, logging_in).await
    }

    /// Checks a password and begins a session; none if the account has changed in between.
    async fn check_and_begin(
        &self,
        caller: &Caller,
        email: &Email,
        password: &Arc<Password>,
    ) -> Result<Option<Session>, AuthError> {
        // Looked up first, so that nobody holds the right to hash while a slow database makes them wait.
        let account = self.store.account_by_email(email).await?;
        let permit = self
            .check_password(caller, email, account.as_ref(), password)
            .await?;
        let account = account.ok_or(AuthError::InvalidCredentials)?;
        let permit = Some(permit).filter(|permit| permit.is_outdated(&account.password_hash));
        let session = self.begin(&account, caller).await?;
        if session.is_some()
            && let Some(permit) = permit
            && let Err(error) = self.hash_again(&account, &permit, password).await
        {
            tracing::warn!(trace_id = %trace_id(), %error, "a password could not be hashed again; its next log-in will try");
        }
        Ok(session)
    }

    /// Stores a hash of the cost that is configured now, unless the password was changed meanwhile.
    async fn hash_again(
        &self,
        account: &Account,
        permit: &HashPermit,
        password: &Arc<Password>,
    ) -> Result<(), AuthError> {
        let hash = permit.hash(password).await?;
        Ok(self.store.replace_hash(account, &hash).await?)
    }

    /// The account of a valid token whose session has not ended, read from the store.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `TOKEN_EXPIRED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn me(&self, caller: &Caller) -> Result<Identity, AuthError> {
        Ok(self.account_to_show(caller).await?.into())
    }
}

impl From<Account> for Identity {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            email: account.email,
            role: account.role,
        }
    }
}
