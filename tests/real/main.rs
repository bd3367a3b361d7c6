//! The real binary against a rate limiter that nobody here wrote, scraped by a real Prometheus and traced into a real
//! OpenTelemetry Collector. What the daemon says of itself is held against what nginx wrote down.

#[path = "../support/mod.rs"]
mod support;

mod adaptive;
mod bench;
mod ledger;
mod limited;
mod pauses;
mod probed;
mod recorded;
mod traces;
mod without_collector;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Two hundred threads of JMeter beside a daemon that is asked to send evenly tell of the machine, not of the daemon. What
/// loads the machine, and what measures on it, goes one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    // Who failed has left nothing behind that matters to the next.
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
