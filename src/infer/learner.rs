//! The record of one scope as it grows, and the fits it asks for.

use crate::model::{AttemptId, Estimate, Moment, QuotaHint};

/// What the server decided about one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passed the limit, whatever came of it afterwards.
    Admitted,
    /// It was refused because of the limit.
    Refused,
    /// No answer tells.
    Unknown,
}

/// What an answer tells about the limit.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What was decided.
    pub decision: Decision,
    /// When the headers came, or the failure was known.
    pub at: Moment,
    /// What the answer says about its quota.
    pub hints: &'a [QuotaHint],
}

/// Learns the limit of one scope.
#[derive(Debug, Default)]
pub struct Learner {}

impl Learner {
    /// A learner that knows nothing, or what an earlier one knew.
    #[must_use]
    pub fn new(prior: Option<Estimate>) -> Self {
        let _ = prior;
        Self {}
    }

    /// A request goes out; calls come in order of time. `in_flight` counts those of the scope that
    /// are under way already.
    pub fn sent(&mut self, attempt: AttemptId, at: Moment, in_flight: u32) {
        let _ = (attempt, at, in_flight);
    }

    /// A request was answered, or will not be.
    pub fn answered(&mut self, attempt: AttemptId, seen: Seen<'_>) {
        let _ = (attempt, seen);
    }

    /// A fit worth computing, if there is news that calls for one.
    pub fn job(&mut self, now: Moment) -> Option<Job> {
        let _ = now;
        None
    }

    /// What a fit found, or `None`: the record does not tell.
    pub fn fitted(&mut self, estimate: Option<Estimate>) {
        let _ = estimate;
    }
}

/// A fit to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {}

impl Job {
    /// Computes it. Some milliseconds; `None`: the record does not tell.
    #[must_use]
    pub fn run(&self) -> Option<Estimate> {
        None
    }
}
