//! Claims a /24 of the loopback network, so that stacks run side by side and every part keeps its usual port.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Holding this port on a network's last address is what claims the network. The kernel gives it back when the holder dies.
const CLAIM_PORT: u16 = 7747;

/// How long parts of a stack that has just ended may still hold their addresses.
const ENDING: Duration = Duration::from_secs(2);

/// A loopback network that nobody else's stack uses while this value lives.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 3],
    _claim: TcpListener,
}

impl Network {
    /// The network of `./dev up`: always the same as long as it is free, so that its URLs can be bookmarked.
    ///
    /// # Errors
    /// When 127.77.0.0/24 to 127.77.15.0/24 are all claimed.
    pub fn for_user() -> Result<Self> {
        Self::first_free((0..16).map(|third| [127, 77, third]))
    }

    /// A network for a test: a range apart from the user's, the place to begin chosen by the process.
    ///
    /// # Errors
    /// When not one of a thousand is free.
    pub fn for_test() -> Result<Self> {
        // One that was just given back is not taken at once: the last of its processes may still be ending.
        static TAKEN: AtomicU64 = AtomicU64::new(0);
        let begin = u64::from(std::process::id()) * 131;
        Self::first_free((0..1000).map(|_| {
            let number = (begin + TAKEN.fetch_add(1, Relaxed) * 7) % (64 * 256);
            [127, 128 + (number / 256) as u8, (number % 256) as u8]
        }))
    }

    fn first_free(candidates: impl Iterator<Item = [u8; 3]>) -> Result<Self> {
        for prefix in candidates {
            let [a, b, c] = prefix;
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(a, b, c, 254), CLAIM_PORT)) {
                return Ok(Self {
                    prefix,
                    _claim: claim,
                });
            }
        }
        bail!("every loopback network is taken by another stack: stop one with `./dev down`")
    }

    /// One of its addresses, by the last number.
    pub fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, last)
    }

    /// The network's first three bytes, such as `127.77.0`.
    pub fn prefix(&self) -> String {
        let [a, b, c] = self.prefix;
        format!("{a}.{b}.{c}")
    }
}

/// Makes sure that nothing else listens where the stack is about to.
///
/// # Errors
/// Names the address that is taken and how to see by whom.
pub fn ensure_free<'a>(addresses: impl Iterator<Item = &'a str>) -> Result<()> {
    let deadline = Instant::now() + ENDING;
    for address in addresses {
        while let Err(error) = TcpListener::bind(address) {
            if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            let port = address.rsplit(':').next().unwrap_or_default();
            bail!(
                "cannot listen on {address}: {error}. `ss -ltnp 'sport = :{port}'` shows who does; \
                 a service that listens on every address takes the port on loopback, too"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_share_a_network() {
        let one = Network::for_test().unwrap();
        let other = Network::for_test().unwrap();
        assert_ne!(one.prefix(), other.prefix());
    }

    #[test]
    fn a_port_that_is_given_back_in_a_moment_is_waited_for() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let ending = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            drop(taken);
        });
        ensure_free([address.as_str()].into_iter()).unwrap();
        ending.join().unwrap();
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_the_way_to_see_by_whom() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = ensure_free([address.as_str()].into_iter())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("cannot listen on {address}")),
            "{error}"
        );
        assert!(error.contains("ss -ltnp"), "{error}");
    }
}
