//! What only reads: `me` and `verifyToken`.

use std::sync::Arc;

use async_graphql::{Context, Enum, Object, Result, SimpleObject};

use super::answers::{Account, shown};
use crate::accounts::Accounts;
use crate::caller::Caller;
use crate::identity::Identity;
use crate::operation::Operation;
use crate::tokens::TokenError;

/// The root of all queries.
#[derive(Default)]
pub struct Query;

/// Whether a token is good, and whose it is.
#[derive(SimpleObject)]
struct TokenVerdict {
    /// Whether the token is good now.
    valid: bool,
    /// Why it is not; null if it is.
    reason: Option<TokenRefusal>,
    /// Whose it is, by the token's own word; null if it is not good.
    account: Option<Account>,
}

/// Why a token is not good.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum TokenRefusal {
    /// It was good and is past its time.
    TokenExpired,
    /// Anything else.
    TokenInvalid,
}

#[Object]
impl Query {
    /// The account of the access token in `Authorization: Bearer`, if its session has not ended.
    ///
    /// Error codes: UNAUTHENTICATED, TOKEN_EXPIRED, UNAVAILABLE, INTERNAL.
    // An error inside the option makes this one field null; outside of it, it would make all of `data` null.
    async fn me(&self, context: &Context<'_>) -> Option<Result<Account>> {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        caller.executed.begin(Operation::Me);
        let identity = accounts.me(caller).await.map_err(shown);
        Some(identity.map(Account::from))
    }

    /// Whether an access token is good, without asking the database.
    async fn verify_token(&self, context: &Context<'_>, token: String) -> TokenVerdict {
        let accounts = context.data_unchecked::<Arc<Accounts>>();
        let caller = context.data_unchecked::<Caller>();
        caller.executed.begin(Operation::VerifyToken);
        match accounts.keys.verify(&token) {
            Ok(claims) => TokenVerdict {
                valid: true,
                reason: None,
                account: Some(Identity::from(&*claims).into()),
            },
            Err(error) => TokenVerdict {
                valid: false,
                reason: Some(match error {
                    TokenError::Expired => TokenRefusal::TokenExpired,
                    TokenError::Invalid => TokenRefusal::TokenInvalid,
                }),
                account: None,
            },
        }
    }
}
