//! Families of limiters, and what the record says of each member.
//!
//! A member says how much of the limit is used at any time. Every admission tells that the limit is
//! at least what was used after it; every refusal, that it is less than what would have been. So a
//! member that holds leaves an interval for its limit, and one that does not is contradicted by so and so
//! many requests.

mod others;
mod windows;

pub(super) use others::{Missing, bucket, concurrent, spaced};
pub(super) use windows::{Counted, OnDemand, counter, fixed, on_demand, sliding, window_begin};

use super::record::{Excerpt, Trip};
use super::track::Reader;

/// What the network and the server take, as far as latencies tell, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Latency {
    /// The shortest answer seen.
    pub(super) rtt: f64,
    /// From sending to the refusal, on average: what the network takes; the shortest answer, if none was refused.
    pub(super) refusal: f64,
    /// Standard deviation of the time one way.
    pub(super) jitter: f64,
    /// How much later than another a request may arrive that was sent at the same time.
    pub(super) jitter_max: f64,
    /// From sending to the answer of an admitted request, on average.
    pub(super) answer: f64,
    /// Who waits longer than this for an answer was held up on the way, there or back.
    pub(super) usual: f64,
}

impl Latency {
    /// How long the server holds an admitted request, as far as answers tell: what they take longer than refusals.
    pub(super) fn held(&self) -> f64 {
        (self.answer - self.refusal).max(0.0)
    }
}

/// What the record says of a member's limit: every admission, that it is at least what was used
/// afterwards; every trip, that it is less than what would have been.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounds {
    /// The most that was used after an admission.
    pub(super) floor: f64,
    /// How many admissions found so much used.
    pub(super) witnesses: f64,
    /// Time constant and steady stretches, where jitter alone might have had a request refused.
    pub(super) steady: Option<Steady>,
    /// How many requests it may be off, where that is not what trips are off by.
    pub(super) floor_blur: Option<f64>,
    /// For each trip: what was used before it and one more, and how many requests that may be off
    /// (one standard deviation).
    pub(super) roofs: Vec<(f64, f64)>,
    /// Logarithm of the chance that what the member leaves open came out as it did.
    pub(super) luck: f64,
    /// How often a request is decided by something that nobody saw: another's clock, another's request.
    pub(super) oddly: f64,
}

/// More admissions that found so much used tell no more.
const WITNESSES_MAX: f64 = 8.0;

impl Bounds {
    fn new(record: &Excerpt) -> Self {
        const ODDLY: f64 = 0.02;
        let oddly = if record.settled { ODDLY } else { 0.0 };
        let roofs = Vec::with_capacity(record.trips.len());
        Self { floor: 1.0, witnesses: 0.0, floor_blur: None, steady: None, roofs, luck: 0.0, oddly }
    }

    /// So many admissions, one after the other, found this used.
    fn used(&mut self, used: f64, admissions: f64) {
        if used > self.floor + 0.5 {
            self.witnesses = admissions.min(WITNESSES_MAX);
        } else if used > self.floor - 0.5 {
            self.witnesses = (self.witnesses + admissions).min(WITNESSES_MAX);
        }
        self.floor = self.floor.max(used);
    }

    /// The same, where what is used is known only to within so many requests.
    fn used_about(&mut self, used: f64, blur: f64, admissions: f64) {
        const SURE: f64 = 0.35;
        let known = self.floor_blur.get_or_insert(0.25);
        if used - blur > self.floor - *known {
            (self.floor, self.witnesses, *known) = (used, admissions, blur);
        } else if used > self.floor - 0.5 && blur < SURE && *known < SURE {
            // Once is chance; time after time it is not.
            self.witnesses = (self.witnesses + admissions).min(WITNESSES_MAX);
        }
    }

    /// What remains certain if this is so, or what another record of the same requests says, or anything between.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.floor = self.floor.min(other.floor);
        self.witnesses = self.witnesses.min(other.witnesses);
        self.floor_blur = self.floor_blur.zip(other.floor_blur).map(|(a, b)| a.max(b));
        self.luck = self.luck.min(other.luck);
        for ((roof, blur), (theirs, also)) in self.roofs.iter_mut().zip(&other.roofs) {
            *blur = blur.max(*also);
            *roof = roof.max(*theirs);
        }
        self
    }

    fn refused(&mut self, used_before: f64, blur: f64) {
        self.roofs.push((used_before + 1.0, blur));
    }

    /// The same, where so many of those who were sent before what counts may have come within it: late together, or not
    /// at all, so that nothing between is likelier.
    fn refused_about(&mut self, used_before: f64, blur: f64, more: f64) {
        self.refused(used_before + more, blur);
    }

    /// The lowest of the roofs.
    pub(super) fn roof(&self) -> f64 {
        self.roofs.iter().map(|(roof, _)| *roof).fold(f64::INFINITY, f64::min)
    }

    /// The largest blur.
    pub(super) fn blur(&self) -> f64 {
        self.roofs.iter().map(|(_, blur)| *blur).fold(0.1, f64::max)
    }

    /// How many requests the floor may be off.
    pub(super) fn below(&self) -> f64 {
        self.floor_blur.unwrap_or_else(|| self.blur())
    }

    /// Adds to every blur a share of how far a neighbour's bounds are: between the two, a better
    /// one may lie.
    pub(super) fn soften_towards(&mut self, other: &Self, share: f64) {
        let floor = (self.floor - other.floor).abs();
        for ((roof, blur), (theirs, _)) in self.roofs.iter_mut().zip(&other.roofs) {
            *blur += share * (*roof - theirs).abs().max(floor.min(*roof));
        }
    }

    /// Adds to the blur of each trip, and of the floor what is most.
    pub(super) fn soften_each(&mut self, blurs: &[f64]) {
        self.roofs.iter_mut().zip(blurs).for_each(|((_, b), blur)| *b += blur);
        if let Some(below) = &mut self.floor_blur {
            *below += blurs.iter().copied().fold(0.0, f64::max);
        }
    }

    /// Adds to every blur.
    pub(super) fn soften(&mut self, blur: f64) {
        self.roofs.iter_mut().for_each(|(_, b)| *b += blur);
        if let Some(below) = &mut self.floor_blur {
            *below += blur;
        }
    }
}

/// Even traffic, for longer than a window: rates, and how many requests were admitted at each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Steady {
    window: f64,
    jitter: f64,
    stretches: Vec<(f64, f64)>,
}

impl Steady {
    const STRETCHES_MAX: usize = 8;

    fn of(record: &Excerpt, latency: &Latency, window: f64) -> Option<Self> {
        // Of even traffic, those who came when a whole window of it had gone before.
        let (least, first) = if record.settled { (1.5 * window, 0.0) } else { (window, window) };
        let mut stretches: Vec<(f64, f64)> = record
            .sends
            .points()
            .windows(2)
            .map(|pair| (pair[1].t - pair[0].t, pair[1].n - pair[0].n))
            .filter(|(dt, dn)| *dt >= least && *dn >= 1.0)
            .map(|(dt, dn)| (dn / dt, dn * (1.0 - first / dt)))
            .collect();
        stretches.sort_by(|a, b| b.0.total_cmp(&a.0));
        stretches.truncate(Self::STRETCHES_MAX);
        let jitter = latency.jitter_max;
        (jitter > 0.0 && !stretches.is_empty()).then_some(Self { window, jitter, stretches })
    }

    /// Logarithm of the probability that jitter had none of them refused, if the limit is this.
    pub(super) fn ln_admitted(&self, limit: f64) -> f64 {
        let one = |(rate, requests): &(f64, f64)| {
            requests * (1.0 - overtaken(limit / rate - self.window, self.jitter)).ln()
        };
        self.stretches.iter().map(one).sum()
    }
}

/// The probability that two delays, each uniform over `jitter`, differ by more than `slack`.
fn overtaken(slack: f64, jitter: f64) -> f64 {
    let p = match slack / jitter {
        x if x >= 1.0 => 0.0,
        x if x >= 0.0 => (1.0 - x).powi(2) / 2.0,
        x if x > -1.0 => 1.0 - (1.0 + x).powi(2) / 2.0,
        _ => 1.0,
    };
    p.clamp(1e-7, 1.0 - 1e-7)
}

/// How many of those who were sent may not have arrived, of those whose answers took unusually long.
struct OnTheWay<'a>(Option<(Reader<'a>, Reader<'a>)>);

impl<'a> OnTheWay<'a> {
    fn of(record: &'a Excerpt) -> Self {
        Self(record.late.as_ref().map(|late| (record.sends.reader(), late.sends.reader())))
    }

    fn at(&mut self, t: f64) -> f64 {
        self.0.as_mut().map_or(0.0, |(sent, arrived)| (sent.at(t) - arrived.at(t)).max(0.0))
    }
}

/// What the record says, however late those arrived whose answers took unusually long.
fn either_way(record: &Excerpt, bounds: impl Fn(&Excerpt) -> Bounds) -> Bounds {
    match &record.late {
        Some(late) => bounds(record).or(&bounds(late)),
        None => bounds(record),
    }
}

/// How sure a count is where nobody comes near the edge of a window: off by one is out of the question, but for what a
/// curve does not tell.
const MISCOUNT: f64 = 0.25;

/// The uncertainty of a count up to an edge that passes through traffic: through that of the trip, or, where the order
/// of arrival does not matter, through that of this rate.
fn blur(trip: &Trip, settled: bool, latency: &Latency, edge: impl FnOnce() -> f64) -> f64 {
    if settled {
        let here = if trip.settled { 0.0 } else { trip.rate };
        return edge_blur(both(edge(), here), latency);
    }
    let edge = trip.rate * latency.jitter * std::f64::consts::SQRT_2;
    (MISCOUNT.powi(2) + edge.powi(2) + (trip.rate * 0.001).powi(2)).sqrt()
}

/// Of even traffic whose requests are each shifted by jitter of their own, so many pass an edge on its wrong side: the
/// variance is what comes in the time that two are shifted apart.
fn edge_blur(rate: f64, latency: &Latency) -> f64 {
    both(0.25, passed_edge(rate, latency))
}

/// Two independent uncertainties together. `hypot` would guard against numbers that are none here, and costs as much as
/// all the rest.
fn both(a: f64, b: f64) -> f64 {
    (a * a + b * b).sqrt()
}

fn passed_edge(rate: f64, latency: &Latency) -> f64 {
    let apart = latency.jitter * 2.0 / std::f64::consts::PI.sqrt() + 0.0001;
    (rate * apart).sqrt()
}

/// How fast requests came at about that time.
fn rate_at(sends: &mut Reader<'_>, t: f64, latency: &Latency) -> f64 {
    let about = (latency.jitter_max * 2.0).max(0.002);
    (sends.at(t + about) - sends.at(t - about)) / (2.0 * about)
}
