//! What is learned about the limit behind one gate, from everything that goes through it, whatever decides
//! how fast that is. What becomes of the rate is not known here.

use std::time::Duration;

use super::{Engine, Output};
use crate::infer::{Decision, Found, Job, Learner, Seen};
use crate::model::{
    Answer, AttemptId, ChangeSight, Estimate, Event, GateId, Knowledge, LimitChange, Moment,
    RunState,
};

/// How often it is looked for news that no answer brings.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A rate that moved by less is the same.
const SAME: f64 = 0.02;

/// What is learned about one limit.
#[derive(Debug)]
pub(super) struct Learning {
    learner: Learner,
    /// What the latest fit that told anything found.
    known: Option<Estimate>,
    /// A fit is being computed.
    fitting: bool,
    told: Knowledge,
    look_at: Moment,
    /// The latest change of the limit.
    pub(super) moved: Option<LimitChange>,
}

impl Learning {
    /// Begins with what an earlier run knew, or nothing.
    pub(super) fn new(prior: Option<Estimate>) -> Self {
        Self {
            learner: Learner::new(prior.clone()),
            known: prior,
            fitting: false,
            told: Knowledge {
                estimate: None,
                declared: None,
                admitted: None,
                sight: ChangeSight::Nothing,
            },
            look_at: Moment::ZERO,
            moved: None,
        }
    }

    /// Begins anew with what somebody else knew.
    pub(super) fn begin_with(&mut self, estimate: Estimate) {
        let interval = self.learner.alarm_every();
        *self = Self::new(Some(estimate));
        self.alarm_every(interval);
    }

    pub(super) fn alarm_every(&mut self, interval: Duration) {
        self.learner.set_alarm_every(interval);
    }

    pub(super) const fn known(&self) -> Option<&Estimate> {
        self.known.as_ref()
    }

    /// What is known now, for people.
    pub(super) fn knowledge(&self, now: Moment) -> Knowledge {
        Knowledge {
            estimate: self.known.clone(),
            declared: self.learner.declared(),
            admitted: self.learner.admitted(now),
            sight: self.learner.sight(now),
        }
    }

    pub(super) fn sent(&mut self, attempt: AttemptId, now: Moment) {
        self.learner.sent(attempt, now);
    }

    pub(super) fn answered(&mut self, attempt: AttemptId, answer: &Answer) {
        let at = answer.headers_at.unwrap_or(answer.done_at);
        let seen = Seen { decision: Decision::of(answer.verdict), at, hints: &answer.hints };
        self.learner.answered(attempt, seen);
    }

    /// A fit to compute, if there is none under way.
    fn job(&mut self, now: Moment) -> Option<Job> {
        if self.fitting {
            return None;
        }
        let job = self.learner.job(now);
        self.fitting = job.is_some();
        job
    }

    /// False when nobody asked for the fit.
    fn fitted(&mut self, found: &Found, now: Moment) -> bool {
        if !std::mem::take(&mut self.fitting) {
            return false;
        }
        self.learner.fitted(found, now);
        if found.news {
            self.known.clone_from(&found.estimate);
            self.look_at = now;
        }
        true
    }

    /// What is known, when it is news.
    fn tell(&mut self, now: Moment) -> Option<Knowledge> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        let same = self.told.estimate == self.known
            && self.told.sight == self.learner.sight(now)
            && same_rate(self.told.declared, self.learner.declared())
            && same_rate(self.told.admitted, self.learner.admitted(now));
        if same {
            return None;
        }
        self.told = self.knowledge(now);
        Some(self.told.clone())
    }
}

impl Engine {
    /// What was learned from an answer, or a fit: a change of the limit, what is known of it, and a fit to
    /// compute.
    pub(super) fn study(&mut self, gate: GateId, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        let Some(learning) = self.gates.learning_mut(gate) else { return };
        let moved = learning.learner.take_change();
        learning.moved = moved.or(learning.moved);
        let (known, job) = (learning.tell(now), learning.job(now));
        if let Some(change) = moved {
            self.emit(Event::LimitMoved(gate, change));
        }
        if let Some(known) = known {
            self.emit(Event::Known(gate, Box::new(known)));
        }
        if let Some(job) = job {
            self.outbox.push_back(Output::Fit(gate, Box::new(job)));
        }
    }

    /// A fit came back. One for a gate that is gone is ignored.
    pub(super) fn fitted(&mut self, gate: GateId, found: &Found, now: Moment) {
        let asked = self.gates.learning_mut(gate).is_some_and(|l| l.fitted(found, now));
        if !asked {
            return;
        }
        if let Some(pace) = self.gates.pace_mut(gate) {
            pace.fitted(found, now);
            self.run_pace(gate, now);
        }
        self.study(gate, now);
    }
}

fn same_rate(told: Option<f64>, now: Option<f64>) -> bool {
    match (told, now) {
        (Some(told), Some(now)) => (now - told).abs() <= SAME * told.abs(),
        (told, now) => told.is_none() && now.is_none(),
    }
}
