//! Why the rate of an adaptive scope is what it is.

use super::outcome::labels;
use super::{Estimate, Moment};
use serde::Serialize;
use std::fmt;

labels!(
    /// What the adaptive policy of a scope is doing.
    PaceState {
        /// Raising the rate until the limit shows.
        Seeking = "seeking",
        /// Holding the rate just under the estimate.
        Holding = "holding",
        /// Looking above the estimate: has the limit risen?
        Exploring = "exploring",
        /// The gate is closed.
        Paused = "paused",
        /// Sending as much as configuration allows; no limit has shown below that.
        Ceiling = "ceiling",
    }
);

labels!(
    /// Why the rate changed the last time.
    PaceReason {
        /// The first rate of a scope about which nothing is known.
        Start = "start",
        /// What is known was remembered from an earlier run.
        Remembered = "remembered",
        /// The rate so far was admitted for long enough.
        Admitted = "admitted",
        /// A refusal.
        Throttled = "throttled",
        /// A new estimate.
        Estimated = "estimated",
        /// The quota hints of an answer.
        Hinted = "hinted",
        /// An exploration began or ended.
        Explored = "explored",
        /// A refusal far below the estimate: the limit has fallen.
        LimitFell = "limit_fell",
        /// The estimate was passed without a refusal: the limit has risen.
        LimitRose = "limit_rose",
        /// Answers take longer than configuration allows.
        Latency = "latency",
        /// Configuration, or a ramp: another ceiling.
        Ceiling = "ceiling",
    }
);

/// The pace of one scope at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// What the policy is doing.
    pub state: PaceState,
    /// The rate of the scope, per second: its fixed streams included, so that it compares with the
    /// estimate.
    pub rate: f64,
    /// The highest that configuration allows all its streams together, per second.
    pub ceiling: f64,
    /// Why the rate changed the last time.
    pub reason: PaceReason,
    /// When it did.
    pub changed_at: Moment,
    /// What is believed about the limit; `None`: unknown.
    pub estimate: Option<Estimate>,
    /// Whether quota hints are believed: `None` until one has come.
    pub hints_trusted: Option<bool>,
    /// Requests in flight that a concurrency limit allows, where one is recognised.
    pub in_flight_max: Option<u32>,
}
