//! The key ring on disk: a directory with a file for each key, and one more that says which of them signs.
//!
//! `KID.pem` is a private key (PKCS#8), or a public one (SPKI) that only verifies, or a shared secret for HS256 (see
//! [`HMAC_SECRET`]). What a key is decides its algorithm: no token and no setting can change it (RFC 8725, 3.1).
//!
//! `signing` has a line `SECONDS KID` for each time that a key began to sign (seconds since 1970), and the last line
//! tells which one signs. It is replaced as a whole, so after a crash it has the new line or it has not. Without this
//! file the only private key signs; several without it are an error, for guessing would differ between nodes.

mod change;
mod key;
mod ring;

pub(crate) use change::{Change, make_first_key};
pub use key::{HMAC_SECRET, Key, Kind};
pub use ring::Ring;
pub(crate) use ring::SETTING;

/// How long the published keys may be cached, in seconds. A key is published for so long before it signs.
pub const PUBLISHED_MAX_AGE: u64 = 300;
