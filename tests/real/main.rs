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
