//! The story of this service: signing up, logging in, and telling who somebody is.

mod changes;
mod guessing;
mod repeats;
mod sessions;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

pub use guessing::delay_after;

use crate::email::Email;
use crate::error::AuthError;
use crate::hash_pool::{HashPermit, HashPool};
use crate::idempotency::IdempotencyKey;
use crate::password::Password;
use crate::password_policy::PasswordPolicy;
use crate::request_trace::trace_id;
use crate::store::{Account, Store, StoreError};
use crate::tokens::{Claims, Keys};
use crate::users::Role;

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

/// Who somebody is, as the outside sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's id.
    pub id: String,
    /// The e-mail address as it was typed at sign-up.
    pub email: String,
    /// What the account may do.
    pub role: String,
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
    /// `INVALID_EMAIL`, `WEAK_PASSWORD`, `BAD_REQUEST`, `EMAIL_TAKEN`, `OVERLOADED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn sign_up(
        &self,
        email: &str,
        password: Password,
        key: Option<&IdempotencyKey>,
    ) -> Result<Session, AuthError> {
        let email = Email::parse(email)?;
        self.password_policy.check(&password, email.normal())?;

        // First in line, then look: of a crowd with one e-mail only those who hash before the first is stored pay.
        let permit = self.hashes.permit().await?;
        if self.store.account_by_email(&email).await?.is_some() {
            return Err(AuthError::EmailTaken);
        }
        let account = Account {
            id: Uuid::now_v7().to_string(),
            email: email.as_given().to_owned(),
            password_hash: permit.hash(&Arc::new(password)).await?,
            role: Role::User.name().to_owned(),
            disabled: 0,
        };
        // The unique index has the last word on who was first.
        let session = self.new_session(&account, key)?;
        let added = self
            .store
            .add_account(&account, &email, key, Some(&session.stored), now());
        match added.await {
            Ok(()) => self.begun(account, &session),
            Err(StoreError::Conflict) => Err(AuthError::EmailTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks e-mail and password and issues a token; a caller who is logged in already keeps the one they have.
    ///
    /// # Errors
    /// `INVALID_CREDENTIALS`, `RATE_LIMITED`, `OVERLOADED`, `UNAVAILABLE`, `INTERNAL`
    pub async fn log_in(
        &self,
        email: &str,
        password: Password,
        bearer: Option<&str>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Session, AuthError> {
        match self.caller(bearer).await {
            Ok(account) => return Ok(Session::AlreadyLoggedIn(account.into())),
            Err(AuthError::Unauthenticated | AuthError::TokenExpired) => {}
            Err(error) => return Err(error),
        }
        // No account can have these, so refusing them at once tells nothing.
        let email = Email::parse(email).map_err(|_| AuthError::InvalidCredentials)?;
        if password.is_impossible() {
            return Err(AuthError::InvalidCredentials);
        }

        // Looked up first, so that nobody holds the right to hash while a slow database makes them wait.
        let account = self.store.account_by_email(&email).await?;
        let password = Arc::new(password);
        let permit = self
            .check_password(&email, account.as_ref(), &password)
            .await?;
        let account = account.ok_or(AuthError::InvalidCredentials)?;
        if permit.is_outdated(&account.password_hash)
            && let Err(error) = self.hash_again(&account, &permit, &password).await
        {
            tracing::warn!(trace_id = %trace_id(), %error, "a password could not be hashed again; its next log-in will try");
        }
        drop(permit);
        self.begin(account, key).await
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
    pub async fn me(&self, bearer: Option<&str>) -> Result<Identity, AuthError> {
        Ok(self.caller(bearer).await?.into())
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

impl From<&Claims> for Identity {
    fn from(claims: &Claims) -> Self {
        Self {
            id: claims.sub.clone(),
            email: claims.email.clone(),
            role: claims.role.clone(),
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
