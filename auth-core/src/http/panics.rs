//! A panic is a fault of ours. It costs the request that it happened in, and no other.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::pin::pin;
use std::task::Poll;

use crate::error::AuthError;
use crate::telemetry::request_trace::trace_id;

/// From here on the log says of each panic where it happened, and in which trace.
///
/// What the panic itself says is left out: it may quote what the code was given, such as a password.
pub fn log_places_alone() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(trace_id = %trace_id(), place, "panic");
    }));
}

/// Does a request's work, which ends here if it panics. Otherwise the connection would: the gateway would take the node for
/// broken, and send the request that broke it to the next one.
///
/// # Errors
/// [`AuthError::Internal`] in place of a panic.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, AuthError> {
    let mut work = pin!(work);
    poll_fn(|context| {
        // Nothing is seen half done: the request's own state goes with it, and what requests share is either in the
        // database or behind locks whose holders do not care about poison.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(AuthError::Internal("a panic".into()))),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::panic::take_hook;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_by_its_place_and_not_by_what_it_says() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let before = take_hook();
        log_places_alone();
        let panicked = tracing::subscriber::with_default(subscriber, || {
            catch_unwind(|| panic!("the password is {}", "secret"))
        });
        set_hook(before);
        assert!(panicked.is_err());
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("src/http/panics.rs:"), "{log}");
        assert!(!log.contains("secret"), "{log}");
    }
}
