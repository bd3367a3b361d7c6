//! A simulated messaging API over HTTP/1.1, with configurable limiters and faults.
//!
//! It enforces the models of [`crate::limiter`] in real time, answers in the words of Genesys Cloud
//! and others, and counts what truly arrived. It must not know who calls it: the daemon is one
//! client among many. State is under one lock, held for a decision and never while waiting.

mod advice;
mod bodies;
mod clock;
mod draw;
mod errors;
mod headers;
mod oauth;
mod routes;
mod server;
mod service;
mod settings;
mod settings_limits;
mod state;
mod stats;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests talk to real sockets in real time")]
mod tests;
mod tokens;
mod validate;
mod validate_limits;

pub use advice::{ParseRetryAfterError, RetryAfter};
pub use server::{Simulator, StatsHandle};
pub use settings::{
    ClientSettings, Distribution, ErrorShape, FaultSettings, LatencySettings, OauthSettings,
    OperationSettings, QuotaHeaders, ResetForm, RetryAfterForm, Shape, SimulatorSettings,
    StaticTokenSettings,
};
pub use settings_limits::{
    AppliesTo, ChangeSettings, LimitKind, LimitSettings, LockoutKind, Refusal,
};
pub use stats::{LimitStats, LoginStats, RouteStats, Stats};
pub use validate::{Problem, Simulation};
