//! When the evidence is enough, and what is told then.

use super::meter::{Meter, edge};
use super::stated::Stated;
use super::{
    BLIND_WAIT_S, Detector, FELL_WAIT_S, MOST, MOVED, MOVES_EVERY_S, ODD_S, Pending, ROSE_WAIT_S,
    Reference, VAGUE, at_least, is_firm, moment,
};
use crate::model::{Estimate, EstimateSource, Interval, LimitChange, LimitDirection, Moment};

impl Detector {
    /// Which way an estimate lies of what was believed, if their intervals do not touch.
    pub(super) fn moved(&self, estimate: &Estimate) -> Option<LimitDirection> {
        let (from, to) = (self.from(), estimate.rate);
        if to.high < from.low && to.value < from.value * (1.0 - MOVED) {
            return Some(LimitDirection::Fell);
        }
        (to.low > from.high && to.value > from.value * (1.0 + MOVED))
            .then_some(LimitDirection::Rose)
    }

    /// Whether an estimate says about what is believed, or has said something else for a while: a learner may err
    /// for a moment.
    pub(super) fn is_settled(&mut self, estimate: &Estimate, now: Moment) -> bool {
        // What has not been put to the test cannot be told to have moved from: the estimate is the better idea.
        if self.moved(estimate).is_none() || !self.scores.is_proven() {
            self.odd = None;
            return true;
        }
        let (now, rate) = (now.as_secs_f64(), estimate.rate.value);
        let same = |(_, odd): &(f64, f64)| (odd / rate).ln().abs() < MOVED;
        let (since, _) = *self.odd.get_or_insert((now, rate));
        if !self.odd.as_ref().is_some_and(same) {
            self.odd = Some((now, rate));
            return false;
        }
        // Evidence waits for it.
        now >= since + ODD_S || self.scores.is_lifted() || self.is_rising(moment(now))
    }

    /// Whether an estimate that is not firm says where a limit has moved to: with all it leaves open it has fallen, or
    /// it lies where the evidence has the limit.
    pub(super) fn is_close(&self, estimate: &Estimate, direction: LimitDirection) -> bool {
        let rate = estimate.rate;
        let meets = |to: Interval| rate.low <= to.high && to.low <= rate.high;
        let pending = self.pending.is_some_and(|pending| meets(pending.to));
        rate.spread() < VAGUE && (pending || direction == LimitDirection::Fell)
    }

    /// The score and the beginning of what speaks for a change to an estimate beside the estimate itself, if it
    /// is enough: most of what would do without one. Hints that state another quota say it themselves.
    pub(super) fn supported(
        &self,
        estimate: &Estimate,
        direction: LimitDirection,
    ) -> Option<(f64, Option<f64>)> {
        if let Some(pending) = self.pending.filter(|pending| pending.direction == direction) {
            return Some((pending.score, Some(pending.since)));
        }
        let hinted = |e: &Estimate| e.source == EstimateSource::Hints;
        // Another window or kind for the same number is another idea of ours.
        let declared = |e: &Estimate| hinted(e) && e.limiter.quota() != estimate.limiter.quota();
        let restated = || self.stated.differs(estimate.limiter.quota() as f64);
        let known = hinted(estimate)
            && matches!(&self.reference, Reference::Known(e) if declared(e) || restated());
        let (score, since) = match direction {
            LimitDirection::Fell => self.scores.best(),
            LimitDirection::Rose => self.rise.score(),
        };
        let (all, most) = (self.threshold(), self.threshold() * MOST);
        let t = estimate.at.as_secs_f64();
        if !known && self.is_error(estimate.rate.value, direction, t) {
            return None;
        }
        let enough = match direction {
            LimitDirection::Fell => score >= most,
            // Nothing but a limit that rose admits more than a firm estimate has it for long, and then refuses.
            LimitDirection::Rose => score > 0.0 && self.rise.has_lasted(t, self.window()),
        };
        (known || enough).then(|| (score.max(most) + all - most, since))
    }

    pub(super) fn decide_fall(&mut self, t: f64) {
        let (score, since) = self.scores.best();
        if self.pending.is_some() || score < self.threshold() {
            return;
        }
        let blind = matches!(self.meter, Meter::Blind { .. });
        let (top, bottom) = self.scores.likely();
        let believed = self.believed();
        let (high, low) = if blind {
            (believed, 0.0)
        } else {
            (believed * edge(top), believed * (edge(bottom + 1) - self.meter.grain()).max(0.0))
        };
        self.pending = Some(Pending {
            direction: LimitDirection::Fell,
            to: Interval { value: f64::midpoint(low, high), low, high },
            score,
            since: since.unwrap_or(t),
            deadline: t + if blind { BLIND_WAIT_S } else { FELL_WAIT_S },
        });
    }

    /// Answers state that so much of the limit is left.
    pub(super) fn decide_stated(&mut self, share: f64, since: f64, t: f64) {
        if self.pending.is_some() {
            return;
        }
        let Interval { value, low, high } = self.from();
        // What a bucket holds is not how fast it fills.
        let most = if matches!(self.meter, Meter::Refilled { .. }) { 1.0 } else { share };
        self.pending = Some(Pending {
            direction: LimitDirection::Fell,
            to: Interval { value: value * share, low: low * share, high: high * most },
            score: self.threshold(),
            since,
            deadline: t + FELL_WAIT_S,
        });
    }

    /// Whether a limit that is found to be this has not moved, but what was believed of it was wrong: too new to have
    /// been put to the test, or something else than what had been believed before, which was this.
    fn is_error(&self, to: f64, direction: LimitDirection, t: f64) -> bool {
        let since = self.rise.score().1.unwrap_or(t);
        let new =
            direction == LimitDirection::Rose && since < self.believed_since + self.scores.needed();
        new || self.doubted.is_some_and(|doubted| (doubted / to).ln().abs() < 2.0 * MOVED)
    }

    /// Whether more is admitted than is believed to be: an estimate that says so waits for that to last.
    pub(super) fn is_rising(&self, now: Moment) -> bool {
        let (score, _) = self.rise.score();
        score > 0.0 && self.rise.seen_within(ODD_S + 2.0 * self.window(), now.as_secs_f64())
    }

    pub(super) fn decide_rise(&mut self, t: f64) {
        let (score, since) = self.rise.score();
        let lasted = self.rise.has_lasted(t, self.window());
        if self.pending.is_some() || score < self.threshold() || !lasted {
            return;
        }
        if self.is_error(self.believed() * self.rise.share(), LimitDirection::Rose, t) {
            self.reference = Reference::Nothing;
            self.floor.forget();
            self.forget();
            return;
        }
        self.pending = Some(Pending {
            direction: LimitDirection::Rose,
            to: at_least(self.believed() * self.rise.share()),
            score,
            since: since.unwrap_or(t),
            deadline: t + ROSE_WAIT_S.max(self.window()),
        });
    }

    pub(super) fn announce(
        &mut self,
        direction: LimitDirection,
        to: Interval,
        score: f64,
        since: Option<f64>,
        now: Moment,
        estimate: Option<&Estimate>,
    ) -> LimitChange {
        let odds = (score - (self.believed() * MOVES_EVERY_S).max(1.0).ln()).exp();
        let since = since.map_or(now, moment).min(now);
        let confidence = odds / (1.0 + odds);
        let from = self.from();
        let change = LimitChange { direction, from, to, confidence, since, at: now };
        self.reference = Reference::Nothing;
        self.floor.forget();
        (self.stated, self.doubted) = (Stated::default(), None);
        self.forget();
        if let Some(estimate) = estimate.filter(|e| is_firm(e)) {
            self.adopt(estimate, now.as_secs_f64());
        }
        change
    }
}
