//! When the evidence is enough, and what is told then.

use super::meter::{Meter, edge};
use super::{
    BLIND_WAIT_S, Detector, FELL_WAIT_S, FIRM, MOST, MOVED, MOVES_EVERY_S, ODD_S, Pending,
    ROSE_WAIT_S, Reference, VAGUE, at_least, moment,
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
        if self.moved(estimate).is_none() {
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
        // Evidence of a fall waits for it.
        now >= since + ODD_S || self.scores.is_lifted()
    }

    /// Whether an estimate lies where the evidence has the limit, and says it closer.
    pub(super) fn fits_pending(&self, estimate: &Estimate) -> bool {
        let rate = estimate.rate;
        let meets = |to: Interval| rate.low <= to.high && to.low <= rate.high;
        rate.spread() < VAGUE && self.pending.is_some_and(|pending| meets(pending.to))
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
        let known =
            hinted(estimate) && matches!(&self.reference, Reference::Known(e) if declared(e));
        let (score, since) = match direction {
            LimitDirection::Fell => self.scores.best(),
            LimitDirection::Rose => self.rise.score(),
        };
        let (all, most) = (self.threshold(), self.threshold() * MOST);
        let enough = match direction {
            LimitDirection::Fell => score >= most,
            // Nothing but a limit that rose admits more than a firm estimate has it, and then refuses.
            LimitDirection::Rose => score > 0.0,
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

    pub(super) fn decide_rise(&mut self, t: f64) {
        let (score, since) = self.rise.score();
        if self.pending.is_some() || score < self.threshold() {
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
        self.forget();
        if let Some(estimate) = estimate.filter(|e| e.rate.spread() < FIRM) {
            self.adopt(estimate, now.as_secs_f64());
        }
        change
    }
}
