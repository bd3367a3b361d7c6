//! The probe: orders one experiment after the other until it knows, or its budget is used up.

use std::time::Duration;

use super::Conclusion;
use super::conclude::conclude;
use super::observations::{Observations, Quota};
use super::plan::{Assignment, Ended, Order};
use crate::infer::Decision;
use crate::model::{AttemptId, Moment};

/// What an answer tells a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered {
    /// What was decided.
    pub decision: Decision,
    /// When the headers came, or the failure was known.
    pub at: Moment,
    /// What a refusal advised, from its headers.
    pub advice: Option<Duration>,
    /// What it says of its quota.
    pub quota: Option<Quota>,
}

/// One experiment that was made.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Trial {
    /// When its first request was sent, in seconds since the beginning of the probe.
    pub at: f64,
    /// Who sent: position among the parties.
    pub party: usize,
    /// How fast, per second.
    pub rate: f64,
    /// What it was to tell.
    pub why: String,
    /// Requests that were admitted before the first refusal, or until it ended.
    pub admitted: u64,
    /// Whether it ended with a refusal.
    pub refused: bool,
}

/// How far a probe is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Requests sent.
    pub requests: u64,
    /// Of them, refused.
    pub throttles: u64,
    /// What it is at, in a few words.
    pub doing: String,
    /// What it believes by now, in a few words; empty: nothing yet.
    pub believes: String,
}

/// Orders experiments, one after the other. It is told of everything that was sent and answered, and owns no clock:
/// nothing is ordered while a Retry-After holds for the party, and nothing that the budget does not allow.
#[derive(Debug)]
pub struct Prober {
    assignment: Assignment,
    observations: Observations,
    trials: Vec<Trial>,
}

impl Prober {
    /// A probe that begins at `now`.
    #[must_use]
    pub fn new(assignment: Assignment, _now: Moment) -> Self {
        let observations =
            Observations { parties: assignment.parties.clone(), ..Observations::default() };
        Self { assignment, observations, trials: Vec::new() }
    }

    /// A request of a party went out. Calls come in order of time.
    pub fn sent(&mut self, _party: usize, _attempt: AttemptId, _at: Moment) {}

    /// It was answered, or will not be.
    pub fn answered(&mut self, _attempt: AttemptId, _answer: Answered) {}

    /// A slot that had been ordered was not sent (a pause of the gate, no token, a cap): the rest of its order is
    /// dropped, and ordered again later.
    pub fn skipped(&mut self, _party: usize, _now: Moment) {}

    /// The end, before it is done: what was found until now can be concluded.
    pub fn interrupt(&mut self) {}

    /// What it wants next; call after every input and at the moment that it named, until it says
    /// [`Order::WakeAt`] or [`Order::Done`]. May take some hundred milliseconds, while nothing is being sent.
    pub fn poll(&mut self, _now: Moment) -> Order {
        let _ = &self.assignment;
        Order::Done(Ended::Answered)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::default()
    }

    /// Every experiment so far.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Everything that was sent so far.
    #[must_use]
    pub fn observations(&self) -> &Observations {
        &self.observations
    }

    /// What is known by now.
    #[must_use]
    pub fn conclude(&self) -> Conclusion {
        conclude(&self.observations)
    }
}
