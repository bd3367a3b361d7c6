//! Looks names up with the system's resolver, and remembers each answer for a while in which that fails.
//!
//! Connections are renewed so that they follow DNS; an outage of DNS must not end what an old
//! connection would have outlived.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::clock::Clock;
use crate::model::Moment;

/// For so long an answer stands in for one that cannot be had. RFC 8767 would allow days; but the system's
/// resolver does not tell an outage from a name that was taken away.
const STALE_MAX: Duration = Duration::from_secs(3_600);
/// Names are those of targets, login servers and proxies. More are not remembered.
const NAMES_MAX: usize = 1_000;

/// The names that were looked up.
#[derive(Clone, Debug)]
pub(super) struct Names {
    known: Arc<Mutex<HashMap<String, Known>>>,
    clock: Clock,
}

#[derive(Clone, Debug)]
struct Known {
    addresses: Vec<SocketAddr>,
    at: Moment,
    /// Whether it has been said that the name cannot be looked up.
    told: bool,
}

impl Names {
    pub(super) fn new(clock: Clock) -> Self {
        Self { known: Arc::default(), clock }
    }

    /// What is known of a name after a look-up.
    fn settle(
        &self,
        name: &str,
        looked_up: io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let now = self.clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match looked_up {
            Ok(addresses) if !addresses.is_empty() => {
                if known.len() < NAMES_MAX || known.contains_key(name) {
                    let answer = Known { addresses: addresses.clone(), at: now, told: false };
                    known.insert(name.to_owned(), answer);
                }
                Ok(addresses)
            }
            failed => {
                let last = known.get_mut(name).filter(|last| now.since(last.at) <= STALE_MAX);
                let Some(last) = last else { return failed };
                if !std::mem::replace(&mut last.told, true) {
                    let error = failed.err().map_or("no address".to_owned(), |e| e.to_string());
                    tracing::warn!(name, %error, "cannot be looked up: its last address goes on");
                }
                Ok(last.addresses.clone())
            }
        }
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let looked_up = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses = names.settle(name.as_str(), looked_up.map(Iterator::collect))?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_last_answer_stands_in_for_an_hour() {
        let seconds = Arc::new(AtomicU64::new(0));
        let reading = Arc::clone(&seconds);
        let now = move || Moment::ZERO + Duration::from_secs(reading.load(Ordering::Relaxed));
        let names = Names::new(Clock::new(now, || 0));
        let failed = || Err(io::Error::other("no answer"));
        let (a, b) = (SocketAddr::from(([1; 4], 0)), SocketAddr::from(([2; 4], 0)));
        assert!(names.settle("a", failed()).is_err(), "nothing is known yet");
        assert_eq!(names.settle("a", Ok(vec![a])).expect("an answer"), [a]);
        assert_eq!(names.settle("a", Ok(vec![b])).expect("an answer"), [b], "the newest counts");
        assert!(names.settle("b", failed()).is_err(), "another name's");
        seconds.store(3_600, Ordering::Relaxed);
        assert_eq!(names.settle("a", failed()).expect("the last answer"), [b]);
        assert_eq!(names.settle("a", Ok(Vec::new())).expect("the last answer"), [b]);
        seconds.store(3_601, Ordering::Relaxed);
        assert!(names.settle("a", failed()).is_err(), "too old");
    }
}
