//! The posterior over limiters where answers say how much of a quota is used.
//!
//! With a hint the limit is known, and what is used is seen after every request: a member of a family
//! either predicts it or does not, so no refusal is needed. What the reset says is evidence of less
//! weight, because dialects disagree on what it counts to.

use std::time::Duration;

use super::curve::Point;
use super::families::{self, Latency, Missing};
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

/// Says what is used at each of some notes, in order of time.
type Predictor<'a> = Box<dyn FnMut(&Note) -> Prediction + 'a>;

/// The notes that agree on the limit, and how closely each can be predicted.
struct Evidence<'a> {
    record: &'a Excerpt,
    notes: Vec<(Note, f64)>,
    limit: f64,
    /// When the limit was stated first: what was refused before was refused by another.
    since: f64,
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
        let since = same.last()?.t;
        let every = same.len().div_ceil(LOOKED_AT);
        let (mut now, mut before) = (record.sends.reader(), record.sends.reader());
        let blurred = |note: &&Note| {
            let rate = (now.at(note.t) - before.at(note.t - 0.5)) / 0.5;
            (**note, 0.6 + rate * latency.jitter * 2.0)
        };
        let mut looked_at: Vec<&Note> = same.into_iter().step_by(every).collect();
        looked_at.reverse();
        Some(Self { record, notes: looked_at.iter().map(blurred).collect(), limit, since })
    }

    fn weigh(&self, mut predict: impl FnMut(&Note) -> Prediction) -> f64 {
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
            let log = |x: f64, _: f64| grid::Weighed(self.weigh(self.sliding(x.exp())));
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
            let fixed = |phase: f64, _: f64| grid::Weighed(self.weigh(self.fixed(window, phase)));
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
        let weigh = |x: f64, _: f64| grid::Weighed(self.weigh(self.bucket(x.exp())));
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
            let begin = families::window_begin(note.t, window, phase);
            let used = now.at(note.t) - behind.at(begin);
            Prediction { used, reset: begin + window - note.t }
        }
    }

    fn bucket(&self, rate: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let points = self.record.sends.points();
        let mut missing = points.first().map(|start| Missing::from(*start, rate));
        let mut ahead = points.iter().peekable();
        let mut here = self.record.sends.reader();
        move |note| {
            let Some(missing) = &mut missing else { return Prediction { used: 0.0, reset: 0.0 } };
            while let Some(p) = ahead.next_if(|p| p.t <= note.t) {
                missing.advance(*p);
            }
            let tokens = missing.advance(Point { t: note.t, n: here.at(note.t) });
            Prediction { used: tokens.ceil(), reset: tokens / rate }
        }
    }

    fn predictor(&self, kind: &Kind) -> Option<Predictor<'a>> {
        Some(match kind {
            Kind::SlidingLog { window, .. } => Box::new(self.sliding(window.as_secs_f64())),
            Kind::FixedWindow { window, phase, .. } => {
                Box::new(self.fixed(window.as_secs_f64(), phase.as_secs_f64()))
            }
            Kind::TokenBucket { rate, .. } => Box::new(self.bucket(rate.per_second())),
            Kind::SlidingCounter { .. } | Kind::Queue { .. } | Kind::Concurrency { .. } => {
                return None;
            }
        })
    }

    /// Whether a member predicts most of the hints, and no refusal came while it had plenty left.
    fn is_explained_by(&self, kind: &Kind) -> bool {
        let (Some(mut at_notes), Some(mut at_trips)) = (self.predictor(kind), self.predictor(kind))
        else {
            return false;
        };
        let close =
            |(note, blur): &&(Note, f64)| (note.used - at_notes(note).used).abs() <= 3.0 * blur;
        let close = self.notes.iter().filter(close).count() as f64;
        let full = self.record.trips.iter().filter(|trip| trip.t >= self.since).all(|trip| {
            let note = Note { t: trip.t, limit: self.limit, used: 0.0, reset: None };
            at_trips(&note).used >= FULL * self.limit
        });
        full && close >= EXPLAINED * self.notes.len() as f64
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
