//! Pure models of server-side rate limiters: given the times of requests, which would be admitted?
//!
//! One model serves three masters: the simulator enforces it, the estimator inverts it, and the
//! shadow limiter predicts it. It is exact integer arithmetic over the moments it is given; it must
//! not know where a request comes from, what time it is now, or how a refusal is put into words.
//!
//! [`Limiter`] is one limit with its lockout; [`Layers`] is a stack of them, each keyed by a scope.

mod counter;
mod gcra;
mod layers;
mod limit;
mod log;
mod settings;
mod window;

#[cfg(test)]
mod properties;

pub use layers::{Layer, Layers, Ruling};
pub use limit::Limiter;
pub use settings::{Decision, Kind, LimiterSettings, Lockout, Quota};
