//! The posterior over limiters where answers say how much of a quota is used.
//!
//! With a hint the limit is known, and what is used is seen after every request: a member of a family
//! either predicts it or does not, so no refusal is needed. What the reset says is evidence of less
//! weight, because dialects disagree on what it counts to.

mod prediction;
mod said;

use std::time::Duration;

use super::curve::Point;
use super::families::{self, Counted, Latency, Missing, OnDemand};
use super::fit::{Member, even, lasting};
use super::grid;
use super::limit::ln_phi;
use super::prior::{COUNTED_LEAST, window_candidates};
use super::record::{Excerpt, Note, Trip};
use super::track::Reader;
use crate::model::{Kind, Rate};
use prediction::{Prediction, between};
use said::{ln_reset, unit};

/// Hints that a fit looks at, the latest, evenly spread.
const LOOKED_AT: usize = 48;
/// Fewer tell nothing.
const LEAST: usize = 6;
/// Hints follow one another too closely to be independent evidence; each counts for this much.
const WORTH: f64 = 0.5;
/// The chance that a hint is off for reasons of its own.
const ODD_USED: f64 = 0.02;
/// If the best member predicts fewer hints than this share, the hints describe something else.
const EXPLAINED: f64 = 0.7;
/// How closely what is used at a refusal can be predicted, but for jitter.
const REFUSED_BLUR: f64 = 0.3;
/// A refusal so soon after the end of a window may be of that window: in seconds, and as the share of the limit that is
/// sent meanwhile.
const EDGE_S: f64 = 0.01;
const EDGE: f64 = 0.1;
/// Two clocks measure a window to within this, in seconds.
const CLOCKS_S: f64 = 0.001;
/// How long before a hint the rate is looked at, in seconds; less where there is not so much.
const ABOUT_S: f64 = 0.5;
const ABOUT_LEAST_S: f64 = 0.02;
/// Hardly anybody states what may be sent in less than a second: how unlikely that is, as a logarithm.
const STATED_LEAST_S: f64 = 0.99;
const UNSTATED: f64 = 6.0;
/// Where one request less is hardly missed.
const MANY: f64 = 50.0;
/// A refusal with less than this share of the limit used contradicts what hints say of it.
const FULL: f64 = 0.85;

/// Says what is used at each of some notes, in order of time.
type Predictor<'a> = Box<dyn FnMut(&Note) -> Prediction + 'a>;

/// A note, how closely what is used can be predicted, and the rate at which requests were admitted then.
struct Looked {
    note: Note,
    blur: f64,
    rate: f64,
}

/// The notes that agree on the limit, and how closely each can be predicted.
pub(super) struct Evidence<'a> {
    record: &'a Excerpt,
    notes: Vec<Looked>,
    limit: f64,
    /// Refusals since the limit was stated first, as questions to a member: what was refused before was refused by
    /// another.
    trips: Vec<(Trip, Note)>,
    jitter: f64,
    jitter_max: f64,
}

impl<'a> Evidence<'a> {
    /// `None`: there are too few. `believed` is what was told from those before them.
    pub(super) fn of(
        record: &'a Excerpt,
        latency: &Latency,
        believed: Option<&Kind>,
    ) -> Option<Self> {
        let stated = record.notes.last()?.limit;
        let same: Vec<&Note> =
            record.notes.iter().rev().take_while(|n| n.limit == stated).collect();
        if same.len() < LEAST {
            return None;
        }
        let unit = unit(stated, &same, believed.map(Kind::quota));
        let limit = stated / unit;
        let since = same.last()?.t;
        let every = same.len().div_ceil(LOOKED_AT);
        let (mut now, mut before) = (record.sends.reader(), record.sends.reader());
        let blurred = |note: &&Note| {
            let rate = rate_before(note.t, record.sends.start(), &mut now, &mut before);
            let note = Note { limit, used: note.used / unit, ..**note };
            Looked { note, blur: 0.6 + rate * latency.jitter * 2.0, rate }
        };
        let mut looked_at: Vec<&Note> = same.into_iter().step_by(every).collect();
        looked_at.reverse();
        let asked = |trip: &Trip| (*trip, Note { t: trip.t, limit, used: 0.0, reset: None });
        Some(Self {
            record,
            notes: looked_at.iter().map(blurred).collect(),
            limit,
            trips: record.trips.iter().filter(|trip| trip.t >= since).map(asked).collect(),
            jitter: latency.jitter,
            jitter_max: latency.jitter_max,
        })
    }

    /// Every member, weighed by the hints; `None`: no member explains them.
    pub(super) fn members(&self, latency: &Latency) -> Option<Vec<Member>> {
        let mut found = Vec::new();
        self.windows(latency, &mut found);
        self.buckets(latency, &mut found);
        let best = found.iter().max_by(|a, b| a.weight.total_cmp(&b.weight))?;
        self.is_explained_by(&best.kind).then_some(found)
    }

    fn weigh<P: FnMut(&Note) -> Prediction>(&self, predictor: impl Fn() -> P) -> f64 {
        self.weigh_within(0.0, predictor)
    }

    /// For a member that stands for others, whose windows begin up to `span` seconds from its own.
    fn weigh_within<P: FnMut(&Note) -> Prediction>(
        &self,
        span: f64,
        predictor: impl Fn() -> P,
    ) -> f64 {
        let mut predict = predictor();
        let one = |Looked { note, blur, rate }: &Looked| {
            self.one(note, blur + rate * span / 2.0, predict(note))
        };
        let notes = self.notes.iter().map(one).sum::<f64>() * WORTH;
        notes + self.ln_refused(span, predictor())
    }

    /// Logarithm of the probability that the refusals came where a member has none left.
    fn ln_refused(&self, span: f64, mut predict: impl FnMut(&Note) -> Prediction) -> f64 {
        let one = |(trip, note): &(Trip, Note)| {
            let blur = REFUSED_BLUR + trip.rate * (self.jitter * 2.0 + span / 2.0);
            // A member has no better reason for a refusal than that.
            let used = self.used_about(trip, note, &mut predict);
            ln_phi((used + 0.5 - self.limit) / blur).max(ODD_USED.ln())
        };
        self.trips.iter().map(one).sum()
    }

    /// The most that a member has used about the time of a refusal: by the clock of the sender a window may have ended
    /// that, for whoever refused, was not over.
    fn used_about(
        &self,
        trip: &Trip,
        note: &Note,
        predict: &mut impl FnMut(&Note) -> Prediction,
    ) -> f64 {
        let early = (self.jitter * 2.0 + EDGE_S).min(EDGE * self.limit / trip.rate.max(1e-9));
        let before = predict(&Note { t: note.t - early, ..*note }).used;
        before.max(predict(note).used)
    }

    fn one(&self, note: &Note, blur: f64, predicted: Prediction) -> f64 {
        let z = ((note.used - predicted.used).abs() - predicted.give).max(0.0) / blur;
        // Anywhere within what is given, and about its ends as far as is blurred.
        let wide = 2.5 * blur + 2.0 * predicted.give;
        let used = (1.0 - ODD_USED) * (-z * z / 2.0).exp() / wide + ODD_USED / self.limit.max(1.0);
        used.ln() + note.reset.map_or(0.0, |reset| ln_reset(reset, predicted.reset))
    }

    fn windows(&self, latency: &Latency, members: &mut Vec<Member>) {
        let limit = self.limit as u64;
        // Whoever came a window before may be inside still, or not any more.
        let edge = latency.jitter * 2.0 + CLOCKS_S;
        let mut add = |kind: Kind, spread: f64, weight: f64| {
            // A sliding counter says the same in even traffic as a log, to within a request, and admits one less.
            let safe = match kind {
                Kind::SlidingLog { .. } if self.limit >= MANY => self.limit - 1.0,
                _ => self.limit,
            };
            let rate = lasting(&kind, safe, latency);
            members.push(Member { kind, rate, spread: rate * spread, weight });
        };
        for (window, share, step) in window_candidates() {
            let unlikely = if window < STATED_LEAST_S { UNSTATED } else { 0.0 };
            let candidate = (window, share - unlikely, step);
            let log = |window| Kind::SlidingLog { limit, window };
            let sliding = |window| self.sliding(window);
            self.anywhere(candidate, edge, sliding, log, &mut add);
            let fixed = |window, phase| Kind::FixedWindow { limit, window, phase };
            self.phased(candidate, |window, phase| self.fixed(window, phase), fixed, &mut add);
            if candidate.0 < COUNTED_LEAST {
                continue;
            }
            let on_demand = |window| Kind::OnDemandWindow { limit, window };
            let demanded = |window| self.on_demand(window);
            self.anywhere(candidate, edge, demanded, on_demand, &mut add);
            let counter = |window, phase| Kind::SlidingCounter { limit, window, phase };
            self.phased(candidate, |window, phase| self.counter(window, phase), counter, &mut add);
        }
    }

    /// Limiters whose windows have no phase, and end within `edge` seconds of when they should; tells `add` each, how far
    /// it is from the next, and its weight.
    fn anywhere<P: FnMut(&Note) -> Prediction>(
        &self,
        (window, share, step): (f64, f64, f64),
        edge: f64,
        predictor: impl Fn(f64) -> P,
        kind: impl Fn(Duration) -> Kind,
        mut add: impl FnMut(Kind, f64, f64),
    ) {
        let levels: &[u32] = if step > 0.0 { &[1, 8, 8] } else { &[1] };
        let weigh = |x: f64, width: f64| {
            let end = |off: f64| (x + off * width / 2.0).exp() + off * edge.min(x.exp() / 4.0);
            grid::Weighed(self.weigh(|| between(predictor(end(-1.0)), predictor(end(1.0)))))
        };
        for cell in grid::refine(window.ln(), step, levels, 3, weigh) {
            let Ok(window) = Duration::try_from_secs_f64(cell.at.exp()) else { continue };
            add(kind(window), cell.width / 3.5, share + cell.share + cell.found.0);
        }
    }

    /// The same for limiters whose windows begin at fixed times.
    fn phased<P: FnMut(&Note) -> Prediction>(
        &self,
        (window, share, step): (f64, f64, f64),
        predictor: impl Fn(f64, f64) -> P,
        kind: impl Fn(Duration, Duration) -> Kind,
        mut add: impl FnMut(Kind, f64, f64),
    ) {
        let Ok(length) = Duration::try_from_secs_f64(window) else { return };
        let spread = if step > 0.0 { step / 3.5 } else { 1e-4 };
        let weigh = |phase: f64, step: f64| {
            grid::Weighed(self.weigh_within(step / 2.0, || predictor(window, phase)))
        };
        for cell in grid::refine(window / 2.0, window, &[24, 6, 6, 6], 4, weigh) {
            let phase = Duration::try_from_secs_f64(cell.at.rem_euclid(window));
            let weight = share + cell.share + cell.found.0;
            add(kind(length, phase.unwrap_or_default()), spread, weight);
        }
    }

    /// Refills from a hundredth of the limit in a second to a hundred times the limit.
    fn buckets(&self, latency: &Latency, members: &mut Vec<Member>) {
        let range = 1e4_f64.ln();
        let middle = self.limit.max(1.0).ln();
        let weigh = |x: f64, width: f64| {
            let end = |off: f64| self.bucket((x + off * width / 2.0).exp());
            grid::Weighed(self.weigh(|| between(end(-1.0), end(1.0))))
        };
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
        move |note| Prediction::exactly(now.at(note.t) - behind.at(note.t - window), window)
    }

    fn fixed(&self, window: f64, phase: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let (mut now, mut behind): (Reader<'a>, Reader<'a>) =
            (self.record.sends.reader(), self.record.sends.reader());
        move |note| {
            let begin = families::window_begin(note.t, window, phase);
            let used = now.at(note.t) - behind.at(begin);
            Prediction::exactly(used, begin + window - note.t)
        }
    }

    fn counter(&self, window: f64, phase: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let mut counted: Counted<'a> = Counted::of(&self.record.sends, window, phase);
        move |note| {
            let used = counted.at(note.t).ceil();
            let end = families::window_begin(note.t, window, phase) + window;
            Prediction::exactly(used, end - note.t)
        }
    }

    fn on_demand(&self, window: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let points = self.record.sends.points();
        let mut windows = OnDemand::new(window, points.first().is_none_or(|start| start.n < 1.0));
        let mut pieces = points.windows(2).peekable();
        let mut from = points.first().copied();
        let mut here = self.record.sends.reader();
        move |note| {
            while let Some(piece) = pieces.next_if(|piece| piece[1].t <= note.t) {
                windows.advance(from.unwrap_or(piece[0]), piece[1], |_, _| ());
                from = Some(piece[1]);
            }
            // The rest of the way, as far as the note; the piece goes on from there.
            let n = here.at(note.t);
            if let Some(start) = from.filter(|start| n > start.n) {
                let to = Point { t: note.t, n };
                windows.advance(start, to, |_, _| ());
                from = Some(to);
            }
            let (used, end) = windows.used(note.t, n);
            Prediction::exactly(used, end - note.t)
        }
    }

    fn bucket(&self, rate: f64) -> impl FnMut(&Note) -> Prediction + use<'a> {
        let points = self.record.sends.points();
        let mut missing = points.first().map(|start| Missing::from(*start, rate));
        let mut ahead = points.iter().peekable();
        let (mut here, mut before) = (self.record.sends.reader(), self.record.sends.reader());
        let (start, jitter_max) = (self.record.sends.start(), self.jitter_max);
        move |note| {
            let Some(missing) = &mut missing else { return Prediction::exactly(0.0, 0.0) };
            while let Some(p) = ahead.next_if(|p| p.t <= note.t) {
                missing.advance(*p);
            }
            let n = here.at(note.t);
            let tokens = missing.advance(Point { t: note.t, n });
            // Who was sent evenly comes in bunches, and finds missing what those just before it have taken.
            let bunch = rate_before(note.t, start, &mut here, &mut before) * jitter_max;
            Prediction::exactly(tokens.ceil(), tokens / rate).up_to(bunch)
        }
    }

    fn predictor(&self, kind: &Kind) -> Option<Predictor<'a>> {
        Some(match kind {
            Kind::SlidingLog { window, .. } => Box::new(self.sliding(window.as_secs_f64())),
            Kind::FixedWindow { window, phase, .. } => {
                Box::new(self.fixed(window.as_secs_f64(), phase.as_secs_f64()))
            }
            Kind::OnDemandWindow { window, .. } => Box::new(self.on_demand(window.as_secs_f64())),
            Kind::SlidingCounter { window, phase, .. } => {
                Box::new(self.counter(window.as_secs_f64(), phase.as_secs_f64()))
            }
            Kind::TokenBucket { rate, .. } => Box::new(self.bucket(rate.per_second())),
            Kind::Queue { .. } | Kind::Concurrency { .. } => {
                return None;
            }
        })
    }

    /// Whether a limiter says the same limit and predicts most of the hints, and no refusal came while it had
    /// plenty left.
    pub(super) fn is_explained_by(&self, kind: &Kind) -> bool {
        if kind.quota() != self.limit as u64 {
            return false;
        }
        let (Some(mut at_notes), Some(mut at_trips)) = (self.predictor(kind), self.predictor(kind))
        else {
            return false;
        };
        let close = |looked: &&Looked| {
            (looked.note.used - at_notes(&looked.note).used).abs() <= 3.0 * looked.blur
        };
        let close = self.notes.iter().filter(close).count() as f64;
        let mut used = |(trip, asked): &(Trip, Note)| self.used_about(trip, asked, &mut at_trips);
        let full = self.trips.iter().all(|asked| used(asked) >= FULL * self.limit);
        full && close >= EXPLAINED * self.notes.len() as f64
    }
}

/// The rate at which requests were admitted just before `t`, per second, as far as a record reaches back.
fn rate_before(t: f64, start: f64, now: &mut Reader<'_>, before: &mut Reader<'_>) -> f64 {
    let about = (t - start).clamp(ABOUT_LEAST_S, ABOUT_S);
    (now.at(t) - before.at(t - about)) / about
}

#[cfg(test)]
mod tests;
