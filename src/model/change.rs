//! That a limit moved: what is told once, when the evidence is enough.

use super::outcome::labels;
use super::{Interval, Moment};
use serde::Serialize;
use std::fmt;

labels!(
    /// Which way a limit moved.
    LimitDirection {
        /// Less is admitted than before.
        Fell = "fell",
        /// More is admitted than before.
        Rose = "rose",
    }
);

labels!(
    /// Which changes of a limit would show in the traffic as it is.
    ChangeSight {
        /// None: too little is known of the limit, or of what is admitted.
        Nothing = "nothing",
        /// A fall below what is sent. What is above it nobody asks for: whether the limit rose is unknown.
        Falls = "falls",
        /// A fall, and a rise: more was sent lately than the limit is believed to admit.
        Both = "both",
    }
);

/// A limit moved. Rates are per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitChange {
    /// Which way.
    pub direction: LimitDirection,
    /// What was believed before. Its upper end is infinite where it was only known to be no less than the
    /// value.
    pub from: Interval,
    /// What is believed now. Its upper end is infinite where it is only known to be no less than the value.
    pub to: Interval,
    /// The probability that it did, if a limit moves once a month.
    pub confidence: f64,
    /// When the first request went out whose answer speaks for it.
    pub since: Moment,
    /// When the evidence was enough.
    pub at: Moment,
}
