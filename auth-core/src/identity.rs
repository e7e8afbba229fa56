//! Who somebody is, and what they may do.

use clap::ValueEnum;

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

/// What an account may do; it is in its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// What everybody is
    User,
    /// For services that let administrators do more; auth-core itself makes no difference
    Admin,
}

impl Role {
    /// As it is stored and in tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}
