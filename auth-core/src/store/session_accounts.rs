//! Whose session this is: what every request with an access token asks, so the one query that must be cheap.
//!
//! Those who ask while a query runs share the next one. Under load that makes one query of many, and each answer is as
//! fresh as if it had been asked for alone: its query begins after it was asked for. With a replica, an answer may be as old as
//! the configuration says.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::oneshot;

use super::replica::Replica;
use super::session_query::{MOST, SESSIONS, SessionAccount};
use super::{Account, Store, StoreError, stored_seconds};

/// Those who ask.
#[derive(Default)]
pub(super) struct Asked(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Question>,
    /// Who answers them, for as long as there are any. Gone too if a panic ended it.
    loader: Weak<()>,
}

struct Question {
    session: String,
    /// Whether a replica may answer.
    may_lag: bool,
    answer: oneshot::Sender<Result<Option<SessionAccount>, StoreError>>,
}

impl Store {
    /// The account of a session that has not ended at `now` (seconds since 1970), unless it is disabled.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn account_by_session(
        &self,
        id: &str,
        now: u64,
    ) -> Result<Option<Account>, StoreError> {
        self.session_account(id, now, false).await
    }

    /// The same for who does nothing upon it: where there is a replica, the answer may be as old as the configuration says.
    ///
    /// # Errors
    /// See [`Store::account_by_email`].
    pub async fn account_by_session_to_show(
        &self,
        id: &str,
        now: u64,
    ) -> Result<Option<Account>, StoreError> {
        self.session_account(id, now, true).await
    }

    #[tracing::instrument(name = "db account by session", skip_all, fields(otel.kind = "client", db.query.text))]
    async fn session_account(
        &self,
        id: &str,
        now: u64,
        may_lag: bool,
    ) -> Result<Option<Account>, StoreError> {
        let now = stored_seconds(now);
        Self::trace(&[SESSIONS]);
        let answer = self.ask(id.to_owned(), may_lag);
        let found = self
            .in_time(async { answer.await.map_err(|_| sqlx::Error::WorkerCrashed) })
            .await??;
        Ok(found
            .filter(|found| found.expires_at > now)
            .map(|found| found.account))
    }

    fn ask(
        &self,
        session: String,
        may_lag: bool,
    ) -> oneshot::Receiver<Result<Option<SessionAccount>, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.asked.queue();
        queue.waiting.push(Question {
            session,
            may_lag,
            answer,
        });
        if queue.loader.strong_count() == 0 {
            let loader = Arc::new(());
            queue.loader = Arc::downgrade(&loader);
            // Not by the one who asks: who goes away must not take the others' answers along.
            tokio::spawn(self.clone().answer_all(loader));
        }
        answered
    }

    async fn answer_all(self, _loader: Arc<()>) {
        while let Some(questions) = self.asked.take() {
            self.answer(questions).await;
        }
    }

    async fn answer(&self, questions: Vec<Question>) {
        let questions = match &self.replica {
            Some(replica) => answer_from(replica, questions).await,
            None => questions,
        };
        if questions.is_empty() {
            return;
        }
        let ids = || questions.iter().map(|question| question.session.as_str());
        let found: Result<Vec<SessionAccount>, _> = on!(self, pool => {
            // No session has the empty id.
            let ids = ids().chain(std::iter::repeat("")).take(MOST);
            let query = ids.fold(sqlx::query_as(SESSIONS), |query, id| query.bind(id));
            query.fetch_all(pool).await
        });
        for Question {
            session, answer, ..
        } in questions
        {
            let found = match &found {
                Ok(found) => Ok(found.iter().find(|found| found.session == session).cloned()),
                Err(error) => Err(error.for_another()),
            };
            // Who has gone away needs no answer.
            let _ = answer.send(found);
        }
    }
}

/// Answers what the replica knows. The rest is for the primary, as a session may have begun just now.
async fn answer_from(replica: &Replica, questions: Vec<Question>) -> Vec<Question> {
    let (may_lag, mut unanswered): (Vec<_>, Vec<_>) =
        questions.into_iter().partition(|question| question.may_lag);
    if may_lag.is_empty() {
        return unanswered;
    }
    let ids = may_lag.iter().map(|question| question.session.as_str());
    let found = replica.sessions(ids).await;
    for question in may_lag {
        match (found.iter()).find(|found| found.session == question.session) {
            // Who has gone away needs no answer.
            Some(found) => drop(question.answer.send(Ok(Some(found.clone())))),
            None => unanswered.push(question),
        }
    }
    unanswered
}

impl Asked {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those whose turn it is. If there are none, the next who asks finds a new loader.
    fn take(&self) -> Option<Vec<Question>> {
        let mut queue = self.queue();
        // Else a database that is away would leave behind whoever gave up on it.
        queue
            .waiting
            .retain(|question| !question.answer.is_closed());
        if queue.waiting.is_empty() {
            queue.loader = Weak::new();
            return None;
        }
        let turn = queue.waiting.len().min(MOST);
        Some(queue.waiting.drain(..turn).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_away_is_forgotten_and_the_others_get_their_turn_in_order() {
        let asked = Asked::default();
        let answers: Vec<_> = (0..100)
            .map(|i| {
                let (answer, answered) = oneshot::channel();
                asked.queue().waiting.push(Question {
                    session: i.to_string(),
                    may_lag: false,
                    answer,
                });
                (i % 2 == 0).then_some(answered)
            })
            .collect();
        let turn = || -> Option<Vec<_>> {
            let turn = asked.take()?;
            Some(turn.into_iter().map(|question| question.session).collect())
        };
        let even = |range: std::ops::Range<usize>| -> Vec<_> {
            range.map(|i| (2 * i).to_string()).collect()
        };
        assert_eq!(turn(), Some(even(0..MOST)));
        assert_eq!(turn(), Some(even(MOST..50)));
        assert_eq!(turn(), None);
        drop(answers);
    }
}
