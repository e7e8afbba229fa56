//! What can go wrong for a caller: one variant for each stable `extensions.code`.
//!
//! A caller reads the code and the message; the cause of `UNAVAILABLE` and `INTERNAL` goes to the log alone.

use crate::error_code::ErrorCode;

/// A refusal or failure that a caller sees as a GraphQL error.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Another account has this e-mail address.
    #[error("This e-mail address already has an account.")]
    EmailTaken,
    /// Unknown e-mail or wrong password; which of the two is never told (ASVS 5.0, 6.3.8).
    #[error("The e-mail address or the password is wrong.")]
    InvalidCredentials,
    /// No reset token, or one that was used, has expired or was replaced by another.
    #[error("This reset token is not valid, or not any more.")]
    InvalidResetToken,
    /// The password breaks the policy; the text says how.
    #[error("{0}")]
    WeakPassword(String),
    /// The password has a NUL character, which scrypt cannot tell from its absence.
    #[error("The password must not contain the NUL character.")]
    NulInPassword,
    /// Not an e-mail address that can have an account.
    #[error("This is not a valid e-mail address.")]
    InvalidEmail,
    /// No access token, or one that does not verify.
    #[error("A valid access token is needed.")]
    Unauthenticated,
    /// The access token was good and is past its time.
    #[error("The access token has expired.")]
    TokenExpired,
    /// The idempotency key was used before, with another request.
    #[error("This Idempotency-Key was used before with a different request.")]
    IdempotencyKeyReused,
    /// Too many wrong passwords in a row for one e-mail, whether it has an account or not.
    #[error(
        "Too many wrong passwords were given for this e-mail address. Try again in {retry_after_seconds} s."
    )]
    RateLimited {
        /// When a password is checked again.
        retry_after_seconds: u64,
    },
    /// More passwords to check than there is time for.
    #[error("The service is overloaded. Try again in {retry_after_seconds} s.")]
    Overloaded {
        /// When it is likely to be better.
        retry_after_seconds: u64,
    },
    /// The database does not answer.
    #[error("The service is not available at the moment. Try again.")]
    Unavailable(#[source] Cause),
    /// A fault of our own.
    #[error("Something went wrong on our side.")]
    Internal(#[source] Cause),
}

/// Why something failed, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl AuthError {
    /// The stable machine-readable code; what it means is said there.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::EmailTaken => ErrorCode::EmailTaken,
            Self::InvalidCredentials => ErrorCode::InvalidCredentials,
            Self::InvalidResetToken => ErrorCode::InvalidResetToken,
            Self::WeakPassword(_) => ErrorCode::WeakPassword,
            Self::NulInPassword => ErrorCode::BadRequest,
            Self::InvalidEmail => ErrorCode::InvalidEmail,
            Self::Unauthenticated => ErrorCode::Unauthenticated,
            Self::TokenExpired => ErrorCode::TokenExpired,
            Self::IdempotencyKeyReused => ErrorCode::IdempotencyKeyReused,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Overloaded { .. } => ErrorCode::Overloaded,
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// When a repetition can succeed, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        match self {
            Self::RateLimited {
                retry_after_seconds,
            }
            | Self::Overloaded {
                retry_after_seconds,
            } => Some(*retry_after_seconds),
            _ => None,
        }
    }
}
