//! What an access token says (RFC 9068, 2.2).

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// A token is good for this many seconds past its `exp`, for clocks that differ.
pub const LEEWAY_SECONDS: u64 = 30;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom: one string, because HAProxy reads no array.
    pub aud: String,
    /// The account's id.
    pub sub: String,
    /// The session's id.
    pub sid: String,
    /// The account's e-mail address.
    pub email: String,
    /// The account's role.
    pub role: String,
    /// Issued at, in seconds since 1970.
    pub iat: u64,
    /// Expires at, in seconds since 1970.
    pub exp: u64,
    /// The token's own id.
    pub jti: String,
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
