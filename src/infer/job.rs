//! A fit to be computed: the record as it was, apart from everything else.

use super::families::Latency;
use super::fit::{Fit, contradicted, summary};
use super::record::Record;
use crate::model::{Estimate, EstimateSource, Moment};

/// How long before a trip matters, in seconds.
const REACH_S: f64 = 310.0;

/// A fit to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    record: Record,
    latency: Latency,
    prior: Option<Estimate>,
    /// Where the record begins that matters.
    since: f64,
    at: Moment,
}

/// What a fit found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// What is believed about the limit; `None`: the record does not tell.
    pub estimate: Option<Estimate>,
    /// The record before this (in seconds) is of another limit.
    pub(super) forget_before: Option<f64>,
}

impl Job {
    pub(super) fn new(
        record: Record,
        latency: Latency,
        prior: Option<Estimate>,
        at: Moment,
    ) -> Self {
        // What went before the oldest trip that is remembered, as far as a window may reach back.
        let since = record.trips.first().map_or(f64::NEG_INFINITY, |trip| trip.t - REACH_S);
        Self { record, latency, prior, since, at }
    }

    /// Computes it. Some milliseconds.
    #[must_use]
    pub fn run(&self) -> Found {
        let mut forget_before = None;
        loop {
            let record = self.record.excerpt(forget_before.unwrap_or(self.since));
            let fit = Fit { record: &record, latency: self.latency, prior: self.prior.as_ref() };
            let Some(mut members) = fit.members() else {
                return Found { estimate: None, forget_before };
            };
            if record.trips.len() > 1 && contradicted(&members) {
                forget_before = Some(record.trips[0].t);
                continue;
            }
            let throttles = u32::try_from(record.trips.len()).unwrap_or(u32::MAX);
            let source = EstimateSource::Throttles;
            let estimate = summary(&mut members, &self.latency, source, throttles, self.at);
            return Found { estimate, forget_before };
        }
    }
}
