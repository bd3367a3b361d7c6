//! The probe: orders one experiment after the other until it knows, or its budget is used up.

mod choice;
mod flow;
mod together;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::flow::Step;
use self::together::Together;
use super::Conclusion;
use super::belief::Belief;
use super::conclude::conclude;
use super::observations::{Attempt, Observations, Quota};
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
    /// When its first request was sent, in seconds on the record's clock.
    pub at: f64,
    /// Who sent: position among the parties.
    pub party: usize,
    /// How fast, per second; of several pieces, the last.
    pub rate: f64,
    /// What it was to tell.
    pub why: String,
    /// Requests that were admitted before the first refusal, or until it ended.
    pub admitted: u64,
    /// Whether it ended with a refusal.
    pub refused: bool,
    /// Whether it was one piece of even sending: then its figures are a point of n against the rate.
    pub even: bool,
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

/// When something was known, and for what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Milestone {
    /// What was known then.
    pub known: Known,
    /// Requests sent until then.
    pub requests: u64,
    /// Time until then.
    pub after: Duration,
}

/// What a probe finds out, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Rate and burst.
    Numbers,
    /// The kind of limiter as well.
    Kind,
    /// Whether one more party shares it.
    Pair,
}

/// Orders experiments, one after the other. It is told of everything that was sent and answered, and owns no clock:
/// nothing is ordered while a Retry-After holds, and nothing that the budget does not allow.
#[derive(Debug)]
pub struct Prober {
    assignment: Assignment,
    began: Moment,
    observations: Observations,
    trials: Vec<Trial>,
    milestones: Vec<Milestone>,
    /// Requests on their way: position among the attempts.
    flying: BTreeMap<AttemptId, usize>,
    throttles: u64,
    belief: Belief,
    step: Step,
    /// Where the experiment that is being made begins among the attempts.
    trial_from: usize,
    /// What is still to be sent of the experiment that is being made.
    pieces: VecDeque<flow::Part>,
    /// Nobody sends before this: what refusals asked for.
    paused_until: Moment,
    /// When the latest refusal came that nothing admitted has followed yet.
    refused: Option<Moment>,
    /// The party that is compared with the first, and how often it was.
    pair: (usize, usize),
    /// All parties that have a limit each: is there another behind it?
    together: Option<Together>,
    /// Who was refused last.
    refused_party: usize,
    doing: &'static str,
}

impl Prober {
    /// A probe that begins at `now`.
    #[must_use]
    pub fn new(assignment: Assignment, now: Moment) -> Self {
        let observations =
            Observations { parties: assignment.parties.clone(), ..Observations::default() };
        Self {
            assignment,
            began: now,
            observations,
            trials: Vec::new(),
            milestones: Vec::new(),
            flying: BTreeMap::new(),
            throttles: 0,
            belief: Belief::default(),
            step: Step::Choose,
            trial_from: 0,
            pieces: VecDeque::new(),
            paused_until: Moment::ZERO,
            refused: None,
            pair: (1, 0),
            together: None,
            refused_party: 0,
            doing: "",
        }
    }

    /// A request of a party went out. Calls come in order of time.
    pub fn sent(&mut self, party: usize, attempt: AttemptId, at: Moment) {
        self.flying.insert(attempt, self.observations.attempts.len());
        self.observations.attempts.push(Attempt {
            sent: at.as_secs_f64(),
            answered: None,
            decision: Decision::Unknown,
            party,
            advice: None,
            quota: None,
        });
        self.piece_sent(attempt, at);
    }

    /// A request was handed over for sending later than it had been ordered, as a busy machine does. To be told before
    /// its answer.
    pub fn handed_over(&mut self, attempt: AttemptId, at: Moment) {
        if let Some(seen) = self.flying.get(&attempt) {
            self.observations.attempts[*seen].sent = at.as_secs_f64();
        }
    }

    /// It was answered, or will not be.
    pub fn answered(&mut self, attempt: AttemptId, answer: Answered) {
        let Some(index) = self.flying.remove(&attempt) else { return };
        let seen = &mut self.observations.attempts[index];
        seen.answered = Some(answer.at.as_secs_f64());
        seen.decision = answer.decision;
        seen.advice = answer.advice.map(|wait| wait.as_secs_f64());
        seen.quota = answer.quota;
        if answer.decision == Decision::Refused {
            self.throttles += 1;
            self.refused_party = seen.party;
            if let Some(wait) = answer.advice {
                self.paused_until = self.paused_until.max(answer.at + wait);
            }
        }
        self.heard(attempt, &answer);
    }

    /// A slot that had been ordered was not sent (a pause of the gate, no token, a cap): the rest of its order is
    /// dropped, and ordered again later.
    pub fn skipped(&mut self, _party: usize, now: Moment) {
        self.interrupted(now);
    }

    /// The end, before it is done: what was found until now can be concluded.
    pub fn interrupt(&mut self) {
        self.step = Step::Done(Ended::Interrupted);
    }

    /// What it wants next; call after every input and at the moment that it named, until it says
    /// [`Order::WakeAt`] or [`Order::Done`]. May take some hundred milliseconds, while nothing is being sent.
    pub fn poll(&mut self, now: Moment) -> Order {
        self.next(now)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            requests: self.observations.attempts.len() as u64,
            throttles: self.throttles,
            doing: self.doing.to_owned(),
            believes: self.belief.to_string(),
        }
    }

    /// Every experiment so far.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// When what was known.
    #[must_use]
    pub fn milestones(&self) -> &[Milestone] {
        &self.milestones
    }

    /// Everything that was sent so far.
    #[must_use]
    pub const fn observations(&self) -> &Observations {
        &self.observations
    }

    /// What is known by now.
    #[must_use]
    pub fn conclude(&self) -> Conclusion {
        conclude(&self.observations)
    }
}

#[cfg(test)]
mod tests;
