//! Tells systemd how it goes (sd_notify(3), `Type=notify`). Does nothing where `NOTIFY_SOCKET` is not set.

use sd_notify::NotifyState;

/// The node serves.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The node is started as far as it can be.
pub fn waiting_for_database() {
    tell(&[
        NotifyState::Ready,
        NotifyState::Status("waiting for the database"),
    ]);
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
