//! What is believed about a limit: the only form in which the policy knows it.

use std::time::Duration;

use super::outcome::labels;
use serde::Serialize;
use std::fmt;

use super::{Kind, Moment};

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The best single value.
    pub value: f64,
    /// The truth is below this in 2.5 % of cases.
    pub low: f64,
    /// The truth is above this in 2.5 % of cases.
    pub high: f64,
}

impl Interval {
    /// How far apart its ends are, as a ratio: 1 is exact.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.high / self.low
    }
}

labels!(
    /// What an estimate rests on.
    EstimateSource {
        /// Refusals, and what was admitted between them.
        Throttles = "throttles",
        /// Quota hints that agree with what was sent.
        Hints = "hints",
        /// What an earlier run of the daemon had learned.
        Memory = "memory",
    }
);

/// What is believed about the limit of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// The highest rate that is admitted for as long as it is sent evenly, per second.
    pub rate: Interval,
    /// A rate that is admitted with a probability of nine in ten.
    pub cautious: f64,
    /// The limiter that explains the record best.
    pub limiter: Kind,
    /// The posterior probability that the limiter is of this kind.
    pub confidence: f64,
    /// How much later than another a request may arrive that was sent at the same time: the
    /// 99.9th percentile of the difference.
    pub jitter: Duration,
    /// What it rests on.
    pub source: EstimateSource,
    /// Epochs that it rests on.
    pub throttles: u32,
    /// When it was made.
    pub at: Moment,
}
