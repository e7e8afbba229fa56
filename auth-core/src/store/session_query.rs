//! Which accounts some sessions are of: the query, and a row of its answer.

use super::Account;

/// Most sessions of one query; the rest wait for the one after it.
pub(super) const MOST: usize = 32;

/// Places for [`MOST`] sessions. The same text each time, so that both databases prepare it once.
macro_rules! sessions {
    ($further:literal) => {
        concat!(
            "SELECT s.id AS session, s.expires_at, a.id, a.email, a.password_hash, a.role, a.disabled",
            $further,
            " FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE a.disabled = 0 AND s.id IN (\
             $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
             $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)"
        )
    };
}

pub(super) const SESSIONS: &str = sessions!("");

/// The same of a replica, with the last beat of a node that it has.
pub(super) const SESSIONS_AND_BEAT: &str =
    sessions!(", (SELECT beat FROM heartbeats WHERE node = $33) AS beat");

#[derive(Clone)]
pub(super) struct SessionAccount {
    pub(super) session: String,
    pub(super) expires_at: i64,
    pub(super) account: Account,
}

impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for SessionAccount
where
    for<'name> &'name str: sqlx::ColumnIndex<R>,
    String: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
    i64: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn from_row(row: &'r R) -> sqlx::Result<Self> {
        Ok(Self {
            session: row.try_get("session")?,
            expires_at: row.try_get("expires_at")?,
            account: Account::from_row(row)?,
        })
    }
}
