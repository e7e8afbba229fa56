//! The audit stream: who did what to whom, when and from where (OWASP ASVS 5.0, 16.3).
//!
//! An entry is written in the transaction of what it tells of: either both are there or none. The one exception is
//! [`Event::SigningKeyChanged`], for the key ring is files, and no database's. No entry has an e-mail, a password, a token or
//! a key; an account is named by its id, so that nothing but the id is left of an account that was deleted.

use std::net::IpAddr;

use crate::caller::Caller;
use crate::clock::now;
use crate::telemetry::request_trace::trace_id;

/// The longest name of an operator that is kept, in characters.
const LONGEST_OPERATOR: usize = 64;

/// What happened. The words are stable: `docs/reference/audit.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An account was made, and its first session begun.
    SignUp,
    /// A session was begun.
    LogIn,
    /// A password was wrong, or right for an account that is disabled; the detail is the operation.
    WrongPassword,
    /// A password was replaced, and all sessions of the account ended; the detail is `resetPassword` where it was by a reset token.
    PasswordChanged,
    /// An account was removed, by its owner or by an operator.
    AccountDeleted,
    /// A session was ended by its owner.
    LogOut,
    /// A refresh token came for the second time, and its session was ended.
    RefreshTokenReused,
    /// A node signs with another key; the detail is its id.
    SigningKeyChanged,
    /// An operator added an account.
    AccountAdded,
    /// An operator changed what an account may do; the detail is the new role.
    RoleChanged,
    /// An operator took a password away, and all sessions with it, and got a reset token.
    PasswordResetBegun,
    /// An operator ended sessions; the detail is the one that was named, or `all`.
    SessionsRevoked,
    /// An operator read all that there is of an account.
    AccountExported,
    /// An operator locked an account out, and ended its sessions.
    AccountDisabled,
    /// An operator let an account in again.
    AccountEnabled,
    /// An operator made a key for a machine; the detail is its name.
    ApiKeyAdded,
    /// An operator revoked a key of a machine; the detail is its name.
    ApiKeyRevoked,
    /// An operator copied the database.
    BackupMade,
    /// An operator put a copy in the place of the database; the detail says how many sessions that ended.
    BackupRestored,
}

impl Event {
    /// As it is stored and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::LogIn => "log_in",
            Self::WrongPassword => "wrong_password",
            Self::PasswordChanged => "password_changed",
            Self::AccountDeleted => "account_deleted",
            Self::LogOut => "log_out",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::SigningKeyChanged => "signing_key_changed",
            Self::AccountAdded => "account_added",
            Self::RoleChanged => "role_changed",
            Self::PasswordResetBegun => "password_reset_begun",
            Self::SessionsRevoked => "sessions_revoked",
            Self::AccountExported => "account_exported",
            Self::AccountDisabled => "account_disabled",
            Self::AccountEnabled => "account_enabled",
            Self::ApiKeyAdded => "api_key_added",
            Self::ApiKeyRevoked => "api_key_revoked",
            Self::BackupMade => "backup_made",
            Self::BackupRestored => "backup_restored",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Entry {
    /// In seconds since 1970.
    pub at: u64,
    /// What happened.
    pub event: Event,
    /// The account that it happened to, where there is one.
    pub account_id: Option<String>,
    /// Where the request came from, as the gateway says.
    pub client: Option<IpAddr>,
    /// Who ran the command, where it was one.
    pub operator: Option<String>,
    /// The request's trace, as in its log lines.
    pub trace_id: Option<String>,
    /// What else is to be known; see [`Event`].
    pub detail: Option<String>,
}

impl Entry {
    fn new(event: Event, account_id: Option<&str>) -> Self {
        Self {
            at: now(),
            event,
            account_id: account_id.map(str::to_owned),
            client: None,
            operator: None,
            trace_id: None,
            detail: None,
        }
    }

    /// What a request did.
    pub fn by_caller(event: Event, account_id: Option<&str>, caller: &Caller) -> Self {
        Self {
            client: Some(caller.address),
            trace_id: Some(trace_id().to_string()),
            ..Self::new(event, account_id)
        }
    }

    /// What a command did. Its user is whoever asked `sudo` for it, else whoever is logged in: good faith is enough, as
    /// those who can run it can write whatever they like into the database.
    pub fn by_operator(event: Event, account_id: Option<&str>) -> Self {
        let user = ["SUDO_USER", "LOGNAME", "USER"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        let user = user.unwrap_or_else(|| "unknown".to_owned());
        Self {
            operator: Some(user.chars().take(LONGEST_OPERATOR).collect()),
            ..Self::new(event, account_id)
        }
    }

    /// What a node did by itself.
    pub fn by_node(event: Event) -> Self {
        Self::new(event, None)
    }

    /// The same with a detail.
    pub fn with(self, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }
}
