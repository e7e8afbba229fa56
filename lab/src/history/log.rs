//! A history while it is written.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use super::{Action, Answer, Call, History, Id, Moment, lock};

/// Where clients write down what they ask and are told.
#[derive(Clone)]
pub struct Log {
    history: Arc<Mutex<History>>,
    begin: Instant,
}

/// Whether a call has an `Idempotency-Key`.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    None,
    New,
    /// That of this call.
    Of(Id),
}

impl Log {
    /// One that goes on where a history ended.
    pub fn of(history: History) -> Self {
        Self {
            begin: Instant::now() - history.last.1,
            history: Arc::new(Mutex::new(history)),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// The number of a new account.
    pub fn account(&self) -> usize {
        let mut history = self.lock();
        let account = history.emails.len();
        let email = format!("{:x}-{account}@example.com", history.secret);
        history.emails.push(email);
        account
    }

    pub fn invoke(&self, account: usize, client: usize, action: Action, key: Key) -> Id {
        let mut history = self.lock();
        let id = history.calls.len();
        let key = match key {
            Key::None => None,
            Key::New => Some(id),
            Key::Of(first) => Some(first),
        };
        let invoked = self.now(&mut history);
        history.calls.push(Call {
            account,
            client,
            action,
            key,
            invoked,
            completed: None,
        });
        id
    }

    pub fn complete(&self, id: Id, answer: Answer) {
        let mut history = self.lock();
        let now = self.now(&mut history);
        history.calls[id].completed = Some((now, answer));
    }

    /// What was written down. Nobody writes any more.
    pub fn end(self) -> History {
        std::mem::take(&mut *self.lock())
    }

    /// Two moments are in the order in which they are taken here.
    fn now(&self, history: &mut History) -> Moment {
        history.last = Moment(history.last.0 + 1, self.begin.elapsed());
        history.last
    }
}
