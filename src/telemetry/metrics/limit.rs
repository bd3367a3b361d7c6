//! The numbers of one gate's limit: what is known of it, and when it moved.

use super::catalog as c;
use super::sheet::Sheet;
use crate::model::{ChangeSight, Estimate, Knowledge, LimitChange, LimitDirection, WallOffset};

/// One limit.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct LimitCell {
    /// Who shares it.
    scope: String,
    known: Option<(Knowledge, f64)>,
    changes: [u64; LimitDirection::ALL.len()],
    changed_unix_s: [f64; LimitDirection::ALL.len()],
    latest: Option<LimitChange>,
}

impl LimitCell {
    pub(in crate::telemetry) fn new(scope: String) -> Self {
        let none = [0; LimitDirection::ALL.len()];
        Self { scope, known: None, changes: none, changed_unix_s: [0.0; 2], latest: None }
    }

    pub(in crate::telemetry) fn told(&mut self, wall: WallOffset, known: &Knowledge) {
        let at = known.estimate.as_ref().map_or(0.0, |estimate| wall.unix_seconds(estimate.at));
        self.known = Some((known.clone(), at));
    }

    pub(in crate::telemetry) fn moved(&mut self, wall: WallOffset, change: &LimitChange) {
        self.changes[change.direction.index()] += 1;
        self.changed_unix_s[change.direction.index()] = wall.unix_seconds(change.since);
        self.latest = Some(*change);
    }

    /// Adds the series of this limit. `relied_on`: the estimate by which its streams are paced, and when that
    /// was made; outer `None`: they are not.
    pub(in crate::telemetry) fn collect(
        &self,
        sheet: &mut Sheet,
        gate: &str,
        relied_on: Option<Option<(&Estimate, f64)>>,
    ) {
        for direction in LimitDirection::ALL {
            let labels = [gate, direction.as_str()];
            sheet.count(&c::LIMIT_CHANGES, &labels, self.changes[direction.index()]);
            sheet.put(&c::LIMIT_CHANGED_AT, &labels, self.changed_unix_s[direction.index()]);
        }
        if let Some(change) = &self.latest {
            sheet.put(&c::LIMIT_CHANGED_FROM, &[gate], change.from.value);
            sheet.put(&c::LIMIT_CHANGED_TO, &[gate], change.to.value);
            sheet.put(&c::LIMIT_CHANGED_CONFIDENCE, &[gate], change.confidence);
        }
        let known = self.known.as_ref();
        let sight = known.map_or(ChangeSight::Nothing, |(known, _)| known.sight);
        for each in ChangeSight::ALL {
            let is = f64::from(u8::from(*each == sight));
            sheet.put(&c::LIMIT_SIGHT, &[gate, each.as_str()], is);
        }
        let learned = known.and_then(|(known, at)| Some((known.estimate.as_ref()?, *at)));
        let estimate = relied_on.unwrap_or(learned);
        if let Some((estimate, at)) = estimate {
            self.estimate(sheet, gate, estimate, at);
        }
        let Some((known, _)) = known else { return };
        if let Some(declared) = known.declared {
            sheet.put(&c::DECLARED_RATE, &[gate], declared);
            if let Some((estimate, _)) = estimate {
                let off = estimate.rate.value / declared - 1.0;
                sheet.put(&c::DECLARED_DISAGREEMENT, &[gate], off);
            }
        }
        if let (Some(rate), Some((estimate, _))) = (known.admitted, estimate) {
            sheet.put(&c::ESTIMATE_HEADROOM, &[gate], 1.0 - rate / estimate.rate.value);
        }
    }

    fn estimate(&self, sheet: &mut Sheet, gate: &str, estimate: &Estimate, at: f64) {
        sheet.put(&c::ESTIMATE_RATE, &[gate], estimate.rate.value);
        sheet.put(&c::ESTIMATE_LOW, &[gate], estimate.rate.low);
        sheet.put(&c::ESTIMATE_HIGH, &[gate], estimate.rate.high);
        sheet.put(&c::ESTIMATE_CONFIDENCE, &[gate], estimate.confidence);
        let (kind, source) = (estimate.limiter.as_str(), estimate.source.as_str());
        sheet.put(&c::ESTIMATE_INFO, &[gate, kind, source, &self.scope], 1.0);
        sheet.put(&c::ESTIMATE_AT, &[gate], at);
        sheet.put(&c::ESTIMATE_THROTTLES, &[gate], f64::from(estimate.throttles));
    }
}
