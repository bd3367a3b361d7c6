//! The daemon's own HTTP surface: metrics, health, status, events, and a few controls.
//!
//! Everything it shows is handed in as closures, so it knows neither the engine nor telemetry.
//! Neither health probe depends on what the API answers: a daemon that is throttled is healthy. A
//! slow or silent client can hold one of a bounded number of connections, for a bounded time.

mod auth;
mod control;
mod events;
mod feed;
mod history;
mod page;
mod pages;
mod protect;
mod security;
mod server;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests talk to real sockets in real time")]
mod tests;
mod timeout;
mod toolkit;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use feed::{Feed, LiveEvent};
pub use security::{Security, SecurityError};
pub use server::serve;

use crate::model::Status;

/// A future that a handler waits for.
pub type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A rendered scrape: content type and body.
pub type Rendered = (&'static str, String);

/// Renders a scrape for an `Accept` header.
pub type Render = dyn Fn(Option<&str>) -> Rendered + Send + Sync;

/// What the surface shows and controls. Cheap to clone.
#[derive(Clone)]
pub struct WebContext {
    /// Renders the metrics in the format that the `Accept` header asks for. May take milliseconds:
    /// it is called on a thread for blocking work.
    pub metrics: Arc<Render>,
    /// Whether the send loop's heartbeat is recent. Must not depend on throttling.
    pub alive: Arc<dyn Fn() -> bool + Send + Sync>,
    /// `Err` says why no traffic is wanted: not configured yet, or draining.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// The configuration in force, without its secrets.
    pub config: Arc<dyn Fn() -> String + Send + Sync>,
    /// Asks the send loop for a snapshot. `None`, or no answer within two seconds, becomes a 503.
    pub status: Arc<dyn Fn() -> Waiting<Option<Status>> + Send + Sync>,
    /// Live events.
    pub feed: Feed,
    /// Who may see it.
    pub security: Security,
    /// The controls; `None` unless `--web.enable-lifecycle` is given.
    pub lifecycle: Option<Lifecycle>,
}

/// What may be controlled over HTTP.
#[derive(Clone)]
pub struct Lifecycle {
    /// Reads and applies the configuration; `Err` says why nothing changed.
    pub reload: Arc<dyn Fn() -> Waiting<Result<(), String>> + Send + Sync>,
    /// Begins the drain, as a SIGTERM does.
    pub quit: Arc<dyn Fn() + Send + Sync>,
    /// Logs at this level from now on; `false`: there is no such level.
    pub set_log_level: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// Pauses the stream of that name, or everything, or resumes it. False: there is no such stream.
    pub pause: Arc<dyn Fn(Option<String>, bool) -> Waiting<bool> + Send + Sync>,
    /// Ends the long pause of the gate with this name.
    pub open_gate: Arc<dyn Fn(String) -> Waiting<GateOpening> + Send + Sync>,
}

/// What came of the wish to open a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateOpening {
    /// Its pause is over; one request asks whether traffic may resume.
    Opened,
    /// It is not in a long pause. Shorter ones are sat out: the server asked for them.
    NotLong,
    /// There is no gate of that name.
    Unknown,
}
