//! What a request is about, for metrics, logs and spans.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The operation that a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    SignUp,
    LogIn,
    Refresh,
    LogOut,
    ChangePassword,
    ResetPassword,
    DeleteAccount,
    Me,
    VerifyToken,
    Other,
}

impl Operation {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::SignUp,
        Self::LogIn,
        Self::Refresh,
        Self::LogOut,
        Self::ChangePassword,
        Self::ResetPassword,
        Self::DeleteAccount,
        Self::Me,
        Self::VerifyToken,
        Self::Other,
    ];

    /// The name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignUp => "signUp",
            Self::LogIn => "logIn",
            Self::Refresh => "refresh",
            Self::LogOut => "logOut",
            Self::ChangePassword => "changePassword",
            Self::ResetPassword => "resetPassword",
            Self::DeleteAccount => "deleteAccount",
            Self::Me => "me",
            Self::VerifyToken => "verifyToken",
            Self::Other => "other",
        }
    }

    /// The operation of a field of the root.
    pub(crate) fn of_field(name: &str) -> Self {
        let named = Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name);
        named.unwrap_or(Self::Other)
    }

    /// Whether it changes something.
    pub fn is_mutation(self) -> bool {
        !matches!(self, Self::Me | Self::VerifyToken | Self::Other)
    }
}

/// What a request has really done so far, whatever its text looks like. Written where it is done.
#[derive(Debug, Default)]
pub struct Executed {
    operation: OnceLock<Operation>,
    hashes: AtomicU32,
}

impl Executed {
    /// An operation begins. A request has one mutation at most, and no query beside it; of several queries the first counts.
    pub fn begin(&self, operation: Operation) {
        // Only the first is kept.
        let _ = self.operation.set(operation);
    }

    /// A hash begins.
    pub fn count_hash(&self) {
        self.hashes.fetch_add(1, Ordering::Relaxed);
    }

    /// The operation, if one was begun.
    pub fn operation(&self) -> Option<Operation> {
        self.operation.get().copied()
    }

    /// How many hashes were computed.
    pub fn hashes(&self) -> u32 {
        self.hashes.load(Ordering::Relaxed)
    }
}
