//! A replica of PostgreSQL: whose a session is may be read there, as long as it is known how old the answer is.
//!
//! A replica that has lost its primary does not know how far behind it is. So each node writes beats to the primary, random numbers of
//! which it remembers when it began to write them. An answer of the replica comes with the last beat that the replica has, and knows
//! of all that was committed before that beat was begun. No other clock than the node's own counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{FromRow, PgPool, Row};

use super::connect::Source;
use super::session_query::{MOST, SESSIONS_AND_BEAT, SessionAccount};
use super::{Pools, QUERY_TIMEOUT, Store};
use crate::config::{Config, ConfigError, Database};

/// Between two beats. What a replica answers is at least that old.
const BEAT: Duration = Duration::from_millis(500);

/// How long a replica that failed, or is too far behind, is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a request waits for a connection to it; the primary is asked after that.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(500);

/// Where sessions are read, too.
pub struct Replica {
    pool: PgPool,
    /// The node's name, which no other node has.
    node: String,
    /// The oldest that an answer may be.
    max_lag: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Beats that are not too old, and when each was begun.
    beats: VecDeque<(i64, Instant)>,
    /// Until when the replica is not asked.
    pause: Option<Instant>,
    /// Whether its last answer could not be used: it is said once.
    unusable: bool,
}

impl Replica {
    /// The replica of a configuration; `None` where it names none.
    ///
    /// # Errors
    /// See [`Replica::options`].
    pub fn new(config: &Config) -> Result<Option<Self>, ConfigError> {
        let database = &config.database;
        Ok(Self::options(database)?.map(|options| Self {
            pool: PoolOptions::new()
                .max_connections(database.max_connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options),
            node: config.node.clone(),
            max_lag: Duration::from_secs(database.replica_max_lag_seconds),
            state: Mutex::default(),
        }))
    }

    /// Reads how it is reached.
    ///
    /// # Errors
    /// A replica of something else than PostgreSQL, or a bound that is too small for it.
    pub fn options(database: &Database) -> Result<Option<PgConnectOptions>, ConfigError> {
        let Some(url) = &database.replica_url else {
            return Ok(None);
        };
        let replica = Database {
            url: url.clone(),
            ..database.clone()
        };
        let (Source::Postgres(_), Source::Postgres(options)) =
            (Source::new(database)?, Source::new(&replica)?)
        else {
            let text =
                "database.replica_url is for PostgreSQL only; remove it or change database.url";
            return Err(ConfigError(text.to_owned()));
        };
        if database.replica_max_lag_seconds < 2 {
            let text = "database.replica_max_lag_seconds must be 2 or more";
            return Err(ConfigError(text.to_owned()));
        }
        Ok(Some(*options))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of these sessions that the replica has, if its answer is young enough. Of all others the primary knows better.
    pub(super) async fn sessions<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> Vec<SessionAccount> {
        if self
            .state()
            .pause
            .is_some_and(|pause| Instant::now() < pause)
        {
            return Vec::new();
        }
        let ids = ids.chain(std::iter::repeat("")).take(MOST);
        // One statement, so that beat and sessions are of the same moment.
        let query = ids.fold(sqlx::query(SESSIONS_AND_BEAT), |query, id| query.bind(id));
        let asking = query.bind(&self.node).fetch_all(&self.pool);
        let asked = tokio::time::timeout(QUERY_TIMEOUT, asking).await;
        let why = match asked.map(|answer| answer.and_then(read)) {
            Ok(Ok(None)) => return Vec::new(),
            Ok(Ok(Some((beat, found)))) if self.is_young(beat) => {
                self.usable();
                return found;
            }
            Ok(Ok(Some(_))) => "it is too far behind".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        self.unusable(&why);
        Vec::new()
    }

    fn is_young(&self, beat: Option<i64>) -> bool {
        let state = self.state();
        let begun = state.beats.iter().find(|(known, _)| Some(*known) == beat);
        begun.is_some_and(|(_, begun)| begun.elapsed() <= self.max_lag)
    }

    fn usable(&self) {
        let mut state = self.state();
        state.pause = None;
        if std::mem::take(&mut state.unusable) {
            tracing::info!("sessions are read from the replica again");
        }
    }

    fn unusable(&self, why: &str) {
        let mut state = self.state();
        state.pause = Some(Instant::now() + PAUSE);
        if !std::mem::replace(&mut state.unusable, true) {
            tracing::warn!(
                why,
                "sessions are read from the primary alone, as the replica cannot be used"
            );
        }
    }

    /// A new beat, begun now.
    fn begin_beat(&self) -> Option<i64> {
        let mut bytes = [0; 8];
        rand::fill(&mut bytes).ok()?;
        let beat = i64::from_le_bytes(bytes);
        let mut state = self.state();
        let max_lag = self.max_lag;
        state.beats.retain(|(_, begun)| begun.elapsed() <= max_lag);
        state.beats.push_back((beat, Instant::now()));
        Some(beat)
    }
}

/// The beat that the replica has, and the sessions; none where there is no session.
fn read(rows: Vec<PgRow>) -> sqlx::Result<Option<(Option<i64>, Vec<SessionAccount>)>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let beat = first.try_get("beat")?;
    let found: sqlx::Result<_> = rows.iter().map(SessionAccount::from_row).collect();
    Ok(Some((beat, found?)))
}

impl Store {
    /// The same, with sessions read from a replica, too.
    #[must_use]
    pub fn with_replica(mut self, replica: Option<Replica>) -> Self {
        self.replica = replica.map(Arc::new);
        self
    }

    /// Writes beats to the primary, for as long as it is polled. Ends at once where there is no replica.
    pub async fn beat_for_ever(&self) {
        const SQL: &str = "INSERT INTO heartbeats (node, beat) VALUES ($1, $2) \
             ON CONFLICT (node) DO UPDATE SET beat = $2";
        let (Some(replica), Pools::Postgres(pool)) = (&self.replica, &self.pools) else {
            return;
        };
        loop {
            if let Some(beat) = replica.begin_beat() {
                let writing = sqlx::query(SQL)
                    .bind(&replica.node)
                    .bind(beat)
                    .execute(pool);
                // Without a beat the replica is soon too old to be asked, which is said there.
                let _ = tokio::time::timeout(QUERY_TIMEOUT, writing).await;
            }
            tokio::time::sleep(BEAT).await;
        }
    }
}
