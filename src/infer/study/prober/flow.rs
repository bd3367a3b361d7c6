//! From one experiment to the next.

use std::time::Duration;

use super::{Answered, Prober, Trial};
use crate::infer::Decision;
use crate::infer::study::belief::Belief;
use crate::infer::study::design::Piece;
use crate::infer::study::plan::{Ended, Order};
use crate::model::{AttemptId, Moment};

/// Answers that take longer are not waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// When to ask after a refusal that says nothing, in seconds after the one before.
const ASK_AFTER: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0];
/// The longest rest, as a share of the time that the budget allows.
const RESTS: f64 = 0.1;
/// Seconds of rest where the limit seems to be the highest rate.
const AT_TOP: f64 = 30.0;
/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// The next experiment is to be chosen.
    Choose,
    /// The pieces are sent; the next of them begins at this moment.
    Begin(Moment),
    /// So many of a piece are still to go out.
    Sending { left: u64, gap: Duration },
    /// Nothing more is sent; answers are waited for, until then.
    Settle { until: Moment },
    /// A request is to ask whether the pause is over.
    Ask { at: Moment, nth: usize },
    /// It is on its way.
    Asked { nth: usize, attempt: Option<AttemptId> },
    /// Silence, so that the limiter forgets.
    Rest { until: Moment },
    /// The end.
    Done(Ended),
}

/// A piece of an experiment, and who sends it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) party: usize,
    pub(super) piece: Piece,
}

impl Prober {
    pub(super) fn next(&mut self, now: Moment) -> Order {
        loop {
            match self.step {
                Step::Done(ended) => return Order::Done(ended),
                Step::Choose => self.choose(now),
                Step::Begin(at) if now < at => return Order::WakeAt(at),
                Step::Begin(_) => {
                    let Some(part) = self.pieces.pop_front() else {
                        self.step = Step::Settle { until: now + PATIENCE };
                        continue;
                    };
                    // The budget binds whatever an experiment would like.
                    let rate = part.piece.rate.min(self.assignment.budget.rate);
                    let gap = Duration::from_secs_f64(1.0 / rate);
                    let Part { party, piece } = part;
                    let count = piece.count.min(self.left());
                    if count == 0 {
                        self.pieces.clear();
                        continue;
                    }
                    self.step = Step::Sending { left: count, gap };
                    return Order::Send { party, rate, count, why: self.doing };
                }
                Step::Sending { .. } | Step::Asked { .. } => return Order::WakeAt(Moment::NEVER),
                Step::Settle { until } => {
                    if !self.flying.is_empty() && now < until {
                        return Order::WakeAt(until);
                    }
                    self.settled(now);
                }
                Step::Ask { at, .. } if now < at => return Order::WakeAt(at),
                Step::Ask { nth, .. } => {
                    if let Some(ended) = self.exhausted(now) {
                        self.step = Step::Done(ended);
                        continue;
                    }
                    self.doing = "asking whether the pause is over";
                    self.step = Step::Asked { nth, attempt: None };
                    let rate = self.assignment.budget.rate.min(1.0);
                    let party = if self.together.is_some() { self.refused_party } else { 0 };
                    return Order::Send { party, rate, count: 1, why: self.doing };
                }
                Step::Rest { until } if now < until => return Order::WakeAt(until),
                Step::Rest { .. } => self.step = Step::Choose,
            }
        }
    }

    /// A request went out.
    pub(super) fn piece_sent(&mut self, sent: AttemptId, at: Moment) {
        if let Some(trial) = self.trials.last_mut().filter(|t| t.at < 0.0) {
            trial.at = at.as_secs_f64();
        }
        match &mut self.step {
            Step::Sending { left, gap } => {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    let gap = *gap;
                    let wait = self.pieces.front().map_or(0.0, |next| next.piece.wait);
                    let wait = Duration::from_secs_f64(wait).max(gap);
                    self.step = Step::Begin(at + wait);
                }
            }
            Step::Asked { attempt, .. } => *attempt = Some(sent),
            _ => {}
        }
    }

    /// An answer came.
    pub(super) fn heard(&mut self, attempt: AttemptId, answer: &Answered) {
        let running = matches!(self.step, Step::Sending { .. } | Step::Begin(_));
        if running {
            if answer.decision == Decision::Refused {
                self.pieces.clear();
                self.refused = Some(answer.at);
                self.step = Step::Settle { until: answer.at + PATIENCE };
            }
            return;
        }
        match self.step {
            Step::Settle { .. } if answer.decision == Decision::Refused => {
                self.refused = Some(answer.at);
            }
            Step::Asked { nth, attempt: Some(asked) } if asked == attempt => {
                if answer.decision == Decision::Admitted {
                    self.refused = None;
                    self.step = Step::Settle { until: answer.at + PATIENCE };
                } else {
                    // Refused, or nothing tells: asked again, later.
                    self.refused = Some(answer.at);
                    self.step = self.ask(nth + 1);
                }
            }
            _ => {}
        }
    }

    /// What had been ordered cannot be sent: the experiment is over.
    pub(super) fn interrupted(&mut self, now: Moment) {
        self.pieces.clear();
        self.step = match self.step {
            Step::Asked { nth, .. } => Step::Ask { at: now + Duration::from_millis(250), nth },
            Step::Sending { .. } | Step::Begin(_) => Step::Settle { until: now + PATIENCE },
            other => other,
        };
    }

    /// When to ask for the `nth` time.
    fn ask(&self, nth: usize) -> Step {
        let latest = self.refused.unwrap_or_default();
        let at = if self.paused_until > latest {
            self.paused_until
        } else {
            let after = self.binding().ask_every().filter(|_| nth < 16);
            let after = after.unwrap_or(ASK_AFTER[nth.min(ASK_AFTER.len() - 1)]);
            latest + Duration::from_secs_f64(after)
        };
        Step::Ask { at, nth }
    }

    /// What is believed of the limit that is being met.
    fn binding(&self) -> &Belief {
        let behind = self.together.as_ref().map(|together| &together.belief);
        behind.filter(|belief| belief.is_any()).unwrap_or(&self.belief)
    }

    /// Everything has been answered.
    fn settled(&mut self, now: Moment) {
        if self.flying.is_empty() {
            // They were noted in the order in which they had been ordered.
            self.observations.attempts.sort_by(|a, b| a.sent.total_cmp(&b.sent));
        }
        self.close_trial();
        if self.refused.is_some() {
            self.step = self.ask(0);
            return;
        }
        self.belief.update(&self.observations);
        self.update_together();
        let last = self.observations.attempts.last().map_or(0.0, |a| a.sent);
        // A limit at the highest rate may be one over a long window.
        let at_top = self.belief.is_at(self.assignment.budget.rate);
        let rest = self.belief.rest().max(if at_top { AT_TOP } else { 0.0 });
        let rest = self.together.as_ref().map_or(rest, |t| rest.max(t.belief.rest()));
        // What is left of the time is for experiments.
        let rest = rest.min(self.assignment.budget.time.as_secs_f64() * RESTS);
        let rest = rest - (now.as_secs_f64() - last);
        self.step = Step::Rest { until: now + Duration::from_secs_f64(rest.max(0.0)) };
    }

    /// Enters what the experiment came to, in order of sending.
    fn close_trial(&mut self) {
        let Some(trial) = self.trials.last_mut() else { return };
        let Some(made) = self.observations.attempts.get(self.trial_from..) else { return };
        trial.refused |= made.iter().any(|a| a.decision == Decision::Refused);
        let admitted = made.iter().take_while(|a| a.decision != Decision::Refused);
        trial.admitted += admitted.count() as u64;
        self.trial_from = usize::MAX;
    }

    pub(super) fn begin(&mut self, parts: Vec<Part>, why: &'static str, even: bool, now: Moment) {
        let (party, rate) = parts.last().map_or((0, 0.0), |p| (p.party, p.piece.rate));
        let why_told = why.to_owned();
        self.trials.push(Trial {
            at: -1.0,
            party,
            rate,
            why: why_told,
            admitted: 0,
            refused: false,
            even,
        });
        self.trial_from = self.observations.attempts.len();
        self.doing = why;
        self.pieces = parts.into();
        self.step = Step::Begin(now);
    }

    pub(super) fn left(&self) -> u64 {
        let sent = self.observations.attempts.len() as u64;
        self.assignment.budget.requests.saturating_sub(sent)
    }

    pub(super) fn exhausted(&self, now: Moment) -> Option<Ended> {
        let budget = &self.assignment.budget;
        if self.left() == 0 {
            return Some(Ended::Requests);
        }
        if self.throttles >= budget.throttles {
            return Some(Ended::Throttles);
        }
        (now.since(self.began) >= budget.time).then_some(Ended::Time)
    }
}
