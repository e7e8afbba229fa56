//! E-mail addresses: kept as typed, compared in lower case and in Unicode's normal form NFC (RFC 6532, 3.1).

use email_address::{EmailAddress, Options};

use crate::error::AuthError;
use crate::passwords::{folded, normal_form};

/// Longest address that fits an SMTP path (RFC 5321, 4.5.3.1.3, without the angle brackets), in bytes.
pub const MAX_BYTES: usize = 254;

/// A valid e-mail address (RFC 5321 and, for addresses beyond ASCII, RFC 6531).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    given: String,
    normal: String,
}

impl Email {
    /// Accepts an address exactly as typed.
    ///
    /// White space and control characters are refused rather than trimmed, so that what is stored is what was sent.
    ///
    /// # Errors
    /// [`AuthError::InvalidEmail`]
    pub fn parse(given: &str) -> Result<Self, AuthError> {
        let options = Options::default()
            .without_display_text()
            .without_domain_literal();
        if given.len() > MAX_BYTES {
            return Err(AuthError::InvalidEmail);
        }
        let composed = normal_form(given);
        if composed.len() > MAX_BYTES
            || given.chars().any(|c| c.is_whitespace() || c.is_control())
            || EmailAddress::parse_with_options(&composed, options).is_err()
        {
            return Err(AuthError::InvalidEmail);
        }
        Ok(Self::of_account(given))
    }

    /// The address of an account, which was accepted before.
    pub fn of_account(given: &str) -> Self {
        Self {
            given: given.to_owned(),
            normal: folded(given).as_str().to_owned(),
        }
    }

    /// The address as it was typed.
    pub fn as_given(&self) -> &str {
        &self.given
    }

    /// The form under which an address can have only one account.
    pub fn normal(&self) -> &str {
        &self.normal
    }
}
