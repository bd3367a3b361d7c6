//! What is held against what comes, and what becomes of the evidence when that is something else.

use super::meter::Meter;
use super::scores::{Rise, Scores};
use super::{Detector, MOVED, Reference, is_firm};
use crate::model::{Estimate, EstimateSource};

impl Detector {
    pub(super) fn forget(&mut self) {
        self.scores = Scores::new(self.meter.cells());
        self.rise = Rise::default();
        (self.pending, self.next, self.odd) = (None, None, None);
    }

    pub(super) fn take_next(&mut self, t: f64) {
        let next = self.next.take().filter(|_| self.pending.is_none());
        if let Some(next) = next.filter(|e| is_firm(e) && self.moved(e).is_none()) {
            self.adopt(&next, t);
        }
    }

    /// Holds an estimate against what comes from `t` on.
    pub(super) fn adopt(&mut self, estimate: &Estimate, t: f64) {
        let known = matches!(self.reference, Reference::Known(_));
        let same = match &self.reference {
            Reference::Known(known) => same_limiter(known, estimate),
            _ => false,
        };
        let near = is_near(self.believed(), estimate.rate.value);
        if let (Reference::Known(known), false) = (&self.reference, near) {
            self.doubted = Some(known.rate.value);
        }
        if !near {
            self.believed_since = t;
        }
        self.reference = Reference::Known(Box::new(estimate.clone()));
        if same {
            return;
        }
        self.meter = Meter::new(&estimate.limiter, estimate.rate.value);
        self.warm_at = t + self.window();
        let proven = self.scores.proven().filter(|_| near && known);
        self.forget();
        // What an earlier run had learned was admitted then.
        let remembered = estimate.source == EstimateSource::Memory;
        self.scores.believe(proven, remembered);
    }

    /// What has been admitted for long is held against what comes, where no limit is known.
    pub(super) fn look_at_floor(&mut self) {
        let Some(rate) = self.floor.take() else { return };
        self.reference = Reference::AtLeast(rate);
        self.meter = Meter::Blind { rate };
        self.warm_at = f64::NEG_INFINITY;
        self.forget();
        self.scores.believe(None, true);
    }
}

/// Whether two rates are the same limit.
fn is_near(a: f64, b: f64) -> bool {
    (a / b).ln().abs() < MOVED
}

/// Whether two estimates are of the same limiter, but for how well it is known.
fn same_limiter(a: &Estimate, b: &Estimate) -> bool {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.01;
    a.limiter.as_str() == b.limiter.as_str()
        && close(
            a.limiter.window().as_secs_f64().max(1e-9),
            b.limiter.window().as_secs_f64().max(1e-9),
        )
        && close(a.rate.value, b.rate.value)
        && a.limiter.phase() == b.limiter.phase()
}
