//! Tells systemd how it goes (sd_notify(3), `Type=notify`). Does nothing where `NOTIFY_SOCKET` is not set.

use std::pin::pin;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::timeout;

use crate::store::Store;

/// How long the unit is kept from being started by a database that does not answer.
///
/// Units ordered after this one should find a service that works, so a database that comes up soon is waited for. But
/// systemd ends a unit that never gets ready, and a restart would bring no database back: after this time the unit
/// counts as started, its status says what it waits for, and `/readyz` keeps saying 503.
const DATABASE_PATIENCE: Duration = Duration::from_secs(10);

/// Brings the database up, and says that the unit has started as soon as it is there, or after [`DATABASE_PATIENCE`].
pub async fn start(store: Store) {
    let mut coming_up = pin!(store.bring_up());
    if timeout(DATABASE_PATIENCE, &mut coming_up).await.is_err() {
        tell(&[
            NotifyState::Ready,
            NotifyState::Status("waiting for the database"),
        ]);
        coming_up.await;
    }
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The drain has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// What can be read again is being read again.
pub fn reloading() {
    let mut news = vec![NotifyState::Reloading];
    // systemd tells by it which reload this is.
    news.extend(NotifyState::monotonic_usec_now());
    tell(&news);
}

/// The reload has ended, well or not.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

fn tell(news: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
