//! What a request came to.

use std::borrow::Cow;

use crate::error_code::ErrorCode;

/// What a request came to, for metrics, logs and spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered without an error.
    Ok,
    /// Its client went away before it was answered.
    ClientDisconnected,
    /// It was answered with an error, of which this is the first.
    Error(ErrorCode),
}

impl Outcome {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let errors = ErrorCode::ALL.iter().copied().map(Self::Error);
        [Self::Ok, Self::ClientDisconnected]
            .into_iter()
            .chain(errors)
    }

    /// The word for it: an error's is its code in lower case.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            Self::Ok => "ok".into(),
            Self::ClientDisconnected => "client_disconnected".into(),
            Self::Error(code) => code.name().to_lowercase().into(),
        }
    }
}
