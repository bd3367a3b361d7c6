//! The posterior over limiters where answers say how much of a quota is used.
//!
//! With a hint the limit is known, and what is used is seen after every request: a member of a family
//! either predicts it or does not, so no refusal is needed. What the reset says is evidence of less
//! weight, because dialects disagree on what it counts to.

use std::time::Duration;

use super::families::Latency;
use super::fit::{Member, even, window_candidates};
use super::grid;
use super::record::{Excerpt, Note};
use super::track::Reader;
use crate::model::{Kind, Rate};

/// Hints that a fit looks at, the latest, evenly spread.
const LOOKED_AT: usize = 48;
/// Fewer tell nothing.
const LEAST: usize = 6;
/// Hints follow one another too closely to be independent evidence; each counts for this much.
const WORTH: f64 = 0.5;
/// The chance that a hint is off for reasons of its own; and that a reset means something else.
const ODD_USED: f64 = 0.02;
const ODD_RESET: f64 = 0.3;
/// If the best member predicts fewer hints than this share, the hints describe something else.
const EXPLAINED: f64 = 0.7;
/// A refusal with less than this share of the limit used contradicts what hints say of it.
const FULL: f64 = 0.85;

/// What a member says at the time of a note: how much is used, and when the quota is whole again.
#[derive(Clone, Copy)]
struct Prediction {
    used: f64,
    reset: f64,
}

/// The notes that agree on the limit, and how closely each can be predicted.
struct Evidence<'a> {
    record: &'a Excerpt,
    notes: Vec<(Note, f64)>,
    limit: f64,
}

/// Every member, weighed by the hints; `None`: there are too few, or no member explains them.
pub(super) fn members(record: &Excerpt, latency: &Latency) -> Option<Vec<Member>> {
    let evidence = Evidence::of(record, latency)?;
    let mut found = Vec::new();
    evidence.windows(latency, &mut found);
    evidence.buckets(latency, &mut found);
    let best = found.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    evidence.is_explained_by(&best.kind).then_some(found)
}

impl<'a> Evidence<'a> {
    fn of(record: &'a Excerpt, latency: &Latency) -> Option<Self> {
        let limit = record.notes.last()?.limit;
        let same: Vec<&Note> = record.notes.iter().rev().take_while(|n| n.limit == limit).collect();
        if same.len() < LEAST {
            return None;
        }
        let every = same.len().div_ceil(LOOKED_AT);
        let (mut now, mut before) = (record.sends.reader(), record.sends.reader());
        let blurred = |note: &&Note| {
            let rate = (now.at(note.t) - before.at(note.t - 0.5)) / 0.5;
            (**note, 0.6 + rate * latency.jitter * 2.0)
        };
        let mut looked_at: Vec<&Note> = same.into_iter().step_by(every).collect();
        looked_at.reverse();
        Some(Self { record, notes: looked_at.iter().map(blurred).collect(), limit })
    }

    fn weigh(&self, predict: impl FnMut(&Note) -> Prediction) -> f64 {
        let mut predict = predict;
        self.notes.iter().map(|(note, blur)| self.one(note, *blur, predict(note))).sum::<f64>()
            * WORTH
    }

    fn one(&self, note: &Note, blur: f64, predicted: Prediction) -> f64 {
        let z = (note.used - predicted.used) / blur;
        let used =
            (1.0 - ODD_USED) * (-z * z / 2.0).exp() / blur / 2.5 + ODD_USED / self.limit.max(1.0);
        used.ln() + note.reset.map_or(0.0, |reset| ln_reset(reset, predicted.reset))
    }

    fn windows(&self, latency: &Latency, members: &mut Vec<Member>) {
        let lasting = |window: f64| self.limit / (window + latency.jitter_max);
        for (window, share, step) in window_candidates() {
            let levels: &[u32] = if step > 0.0 { &[1, 8, 8] } else { &[1] };
            let log = |x: f64, _: f64| {
                let mut sliding = self.sliding(x.exp());
                grid::Weighed(self.weigh(|note| sliding(note)))
            };
            for cell in grid::refine(window.ln(), step, levels, 3, log) {
                let window = cell.at.exp();
                let Ok(length) = Duration::try_from_secs_f64(window) else { continue };
                members.push(Member {
                    kind: Kind::SlidingLog { limit: self.limit as u64, window: length },
                    rate: lasting(window),
                    spread: lasting(window) * cell.width / 3.5,
                    weight: share + cell.share + cell.found.0,
                });
            }
            let fixed = |phase: f64, _: f64| {
                let mut fixed = self.fixed(window, phase);
                grid::Weighed(self.weigh(|note| fixed(note)))
            };
            let spread = if step > 0.0 { step / 3.5 } else { 1e-4 };
            for cell in grid::refine(window / 2.0, window, &[24, 6], 4, fixed) {
                let Ok(length) = Duration::try_from_secs_f64(window) else { continue };
                let phase =
                    Duration::try_from_secs_f64(cell.at.rem_euclid(window)).unwrap_or_default();
                members.push(Member {
                    kind: Kind::FixedWindow { limit: self.limit as u64, window: length, phase },
                    rate: lasting(window),
                    spread: lasting(window) * spread,
                    weight: share + cell.share + cell.found.0,
                });
            }
        }
    }

    /// Refills from a hundredth of the limit in a second to a hundred times the limit.
    fn buckets(&self, latency: &Latency, members: &mut Vec<Member>) {
        let range = 1e4_f64.ln();
        let middle = self.limit.max(1.0).ln();
        let weigh = |x: f64, _: f64| grid::Weighed(self.bucket_weight(x.exp()));
        for cell in grid::refine(middle, range, &[160, 6, 6], 8, weigh) {
            let rate = cell.at.exp();
            let Some(refill) = Rate::from_per_second(rate) else { continue };
            let lasting = even(rate, self.limit, latency);
            members.push(Member {
                kind: Kind::TokenBucket { rate: refill, burst: self.limit as u64 },
                rate: lasting,
                spread: lasting * cell.width / 3.5,
                weight: cell.share + cell.found.0,
            });
        }
    }

    fn sliding(&self, window: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let (mut now, mut behind) = (self.record.sends.reader(), self.record.sends.reader());
        move |note| Prediction { used: now.at(note.t) - behind.at(note.t - window), reset: window }
    }

    fn fixed(&self, window: f64, phase: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let (mut now, mut behind): (Reader<'a>, Reader<'a>) =
            (self.record.sends.reader(), self.record.sends.reader());
        move |note| {
            let begin = phase + ((note.t - phase) / window).floor() * window;
            let used = now.at(note.t) - behind.at(begin - 1e-7);
            Prediction { used, reset: begin + window - note.t }
        }
    }

    fn bucket_weight(&self, rate: f64) -> f64 {
        let mut points = self.record.sends.points().iter().peekable();
        let mut here = self.record.sends.reader();
        let (mut t, mut n, mut missing) = (self.record.sends.start(), here.at(f64::MIN), 0.0_f64);
        let mut advance = move |to: f64, count: f64| {
            let (dt, dn) = (to - t, count - n);
            let from_full =
                if dn < 1.0 { 0.0 } else { 1.0 + (dn - 1.0) * (1.0 - rate * dt / dn).max(0.0) };
            missing = (missing + dn - rate * dt).max(from_full);
            (t, n) = (to, count);
            missing
        };
        self.weigh(|note| {
            while let Some(p) = points.next_if(|p| p.t <= note.t) {
                advance(p.t, p.n);
            }
            let missing = advance(note.t, here.at(note.t));
            Prediction { used: missing.ceil(), reset: missing / rate }
        })
    }

    /// Whether a member predicts most of the hints, and no refusal came while it had plenty left.
    fn is_explained_by(&self, kind: &Kind) -> bool {
        let mut close = 0;
        let mut predict: Box<dyn FnMut(&Note) -> Prediction + '_> = match kind {
            Kind::SlidingLog { window, .. } => Box::new(self.sliding(window.as_secs_f64())),
            Kind::FixedWindow { window, phase, .. } => {
                Box::new(self.fixed(window.as_secs_f64(), phase.as_secs_f64()))
            }
            // Its prediction has been weighed; it follows every request.
            _ => return self.record.trips.is_empty(),
        };
        for (note, blur) in &self.notes {
            close += usize::from((note.used - predict(note).used).abs() <= 3.0 * blur);
        }
        let mut predict = predict;
        let full = self.record.trips.iter().all(|trip| {
            let note = Note { t: trip.t, limit: self.limit, used: 0.0, reset: None };
            predict(&note).used >= FULL * self.limit
        });
        full && close as f64 >= EXPLAINED * self.notes.len() as f64
    }
}

/// How likely a stated reset is, if a member predicts another. Whole seconds are rounded up.
fn ln_reset(stated: f64, predicted: f64) -> f64 {
    let off = stated - predicted;
    let whole = stated.fract() == 0.0;
    let blur = 0.003 + 0.02 * predicted;
    let likely = if whole && (-blur..=1.0 + blur).contains(&off) {
        1.0
    } else {
        (-(off / blur).powi(2) / 2.0).exp() / blur / 2.5
    };
    ((1.0 - ODD_RESET) * likely + ODD_RESET / 60.0).ln()
}
