//! Families of limiters, and what the record says of each member.
//!
//! A member says how much of the limit is used at any time. Every admission tells that the limit is
//! at least what was used after it; every refusal, that it is less than what would have been. So a
//! member that holds leaves an interval for its limit, and one that does not is contradicted by so and so
//! many requests.

use super::curve::Point;
use super::record::{Excerpt, Trip};

/// What the network and the server take, as far as latencies tell, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Latency {
    /// The shortest answer seen.
    pub(super) rtt: f64,
    /// Standard deviation of the time one way.
    pub(super) jitter: f64,
    /// How much later than another a request may arrive that was sent at the same time.
    pub(super) jitter_max: f64,
    /// From sending to the answer of an admitted request, on average.
    pub(super) answer: f64,
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
    /// For each trip: what was used before it and one more, and how many requests that may be off
    /// (one standard deviation).
    pub(super) roofs: Vec<(f64, f64)>,
}

impl Bounds {
    fn new(record: &Excerpt) -> Self {
        let roofs = Vec::with_capacity(record.trips.len());
        Self { floor: 1.0, witnesses: 0.0, steady: None, roofs }
    }

    /// So many admissions, one after the other, found this used.
    fn used(&mut self, used: f64, admissions: f64) {
        if used > self.floor + 0.5 {
            self.witnesses = admissions;
        } else if used > self.floor - 0.5 {
            self.witnesses += admissions;
        }
        self.floor = self.floor.max(used);
    }

    fn refused(&mut self, used_before: f64, blur: f64) {
        self.roofs.push((used_before + 1.0, blur));
    }

    /// The lowest of the roofs.
    pub(super) fn roof(&self) -> f64 {
        self.roofs.iter().map(|(roof, _)| *roof).fold(f64::INFINITY, f64::min)
    }

    /// The largest blur.
    pub(super) fn blur(&self) -> f64 {
        self.roofs.iter().map(|(_, blur)| *blur).fold(0.1, f64::max)
    }

    /// Adds to every blur a share of how far a neighbour's bounds are: between the two, a better
    /// one may lie.
    pub(super) fn soften_towards(&mut self, other: &Self, share: f64) {
        let floor = (self.floor - other.floor).abs();
        for ((roof, blur), (theirs, _)) in self.roofs.iter_mut().zip(&other.roofs) {
            *blur += share * (*roof - theirs).abs().max(floor.min(*roof));
        }
    }

    /// Adds to every blur.
    pub(super) fn soften(&mut self, blur: f64) {
        self.roofs.iter_mut().for_each(|(_, b)| *b += blur);
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
        let mut stretches: Vec<(f64, f64)> = record
            .sends
            .points()
            .windows(2)
            .map(|pair| (pair[1].t - pair[0].t, pair[1].n - pair[0].n))
            .filter(|(dt, dn)| *dt >= 1.5 * window && *dn >= 1.0)
            .map(|(dt, dn)| (dn / dt, dn))
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

/// The uncertainty of a count up to an edge that passes through traffic of this rate.
fn blur(trip: &Trip, latency: &Latency) -> f64 {
    let edge = trip.rate * latency.jitter * std::f64::consts::SQRT_2;
    (0.25_f64.powi(2) + edge.powi(2) + (trip.rate * 0.001).powi(2)).sqrt()
}

/// At most so many in any half-open interval of `window` seconds.
pub(super) fn sliding(record: &Excerpt, latency: &Latency, window: f64) -> Bounds {
    let mut bounds = Bounds::new(record);
    let (mut behind, mut ahead) = (record.sends.reader(), record.sends.reader());
    let mut previous = record.sends.start();
    for p in record.sends.points() {
        // Only the end of a stretch is sure to have found so much used.
        let admissions = if p.t - previous > window { 4.0 } else { 1.0 };
        bounds.used(p.n - behind.at(p.t - window), admissions);
        bounds.used(ahead.at(p.t + window) - p.n, 1.0);
        previous = p.t;
    }
    bounds.steady = Steady::of(record, latency, window);
    let mut here = record.sends.reader();
    for trip in &record.trips {
        let before = here.at(trip.t) - behind.at(trip.t - window);
        bounds.refused(before, blur(trip, latency));
    }
    bounds
}

/// Where the window that holds `t` begins, just before its first moment: a request on a boundary belongs to the
/// window that it begins.
pub(super) fn window_begin(t: f64, window: f64, phase: f64) -> f64 {
    const NUDGE: f64 = 1e-7;
    phase + ((t - phase) / window).floor() * window - NUDGE
}

/// At most so many in each window; one of them begins at `phase` seconds.
pub(super) fn fixed(record: &Excerpt, latency: &Latency, window: f64, phase: f64) -> Bounds {
    let mut bounds = Bounds::new(record);
    let begin = |t: f64| window_begin(t, window, phase);
    let start = record.sends.start();
    let (mut from_reader, mut to_reader) = (record.sends.reader(), record.sends.reader());
    let mut seen = f64::NEG_INFINITY;
    let mut inside = |from: f64| {
        if from > seen {
            seen = from;
            bounds.used(to_reader.at(from + window) - from_reader.at(from), 1.0);
        }
    };
    let mut previous = start;
    for p in record.sends.points() {
        inside(begin((previous + p.t) / 2.0));
        inside(begin(p.t));
        previous = p.t;
    }
    for trip in &record.trips {
        let from = begin(trip.t);
        bounds.refused(to_reader.at(trip.t) - from_reader.at(from), blur(trip, latency));
    }
    bounds
}

/// A bucket that is refilled at `rate` per second: how many tokens are missing.
pub(super) struct Missing {
    rate: f64,
    at: Point,
    tokens: f64,
}

impl Missing {
    /// Nothing is missing at the beginning.
    pub(super) fn from(start: Point, rate: f64) -> Self {
        Self { rate, at: start, tokens: 0.0 }
    }

    /// Right after the last of those who had come by `to`, who came evenly.
    pub(super) fn advance(&mut self, to: Point) -> f64 {
        let (dt, dn) = (to.t - self.at.t, to.n - self.at.n);
        let refilled = self.rate * dt;
        // As if the bucket had been full before the first of them.
        let from_full =
            if dn < 1.0 { 0.0 } else { 1.0 + (dn - 1.0) * (1.0 - refilled / dn).max(0.0) };
        self.tokens = (self.tokens + dn - refilled).max(from_full);
        self.at = to;
        self.tokens
    }

    /// Before a request at `t`, to which nobody has come meanwhile; negative when the bucket has been
    /// full for that long.
    fn before(&self, t: f64) -> f64 {
        self.tokens - self.rate * (t - self.at.t)
    }
}

/// A bucket that is refilled at `rate` per second.
pub(super) fn bucket(record: &Excerpt, latency: &Latency, rate: f64) -> Bounds {
    let mut bounds = Bounds::new(record);
    let Some((start, points)) = record.sends.points().split_first() else { return bounds };
    let mut trips = record.trips.iter().peekable();
    let mut missing = Missing::from(*start, rate);
    for p in points {
        while let Some(trip) = trips.next_if(|trip| trip.t < p.t) {
            refuse(&mut bounds, latency, missing.before(trip.t), rate);
        }
        bounds.used(missing.advance(*p), 1.0);
    }
    for trip in trips {
        refuse(&mut bounds, latency, missing.before(trip.t), rate);
    }
    bounds
}

fn refuse(bounds: &mut Bounds, latency: &Latency, missing: f64, rate: f64) {
    // Only how the last few arrivals bunched matters here, at the speed of the refill.
    let edge = rate * latency.jitter * std::f64::consts::SQRT_2;
    bounds.refused(missing, (0.06_f64.powi(2) + edge.powi(2) + (rate * 0.0003).powi(2)).sqrt());
}

/// At most so many between admission and answer.
pub(super) fn concurrent(record: &Excerpt, latency: &Latency) -> Bounds {
    let mut bounds = Bounds::new(record);
    // Seen from where requests are sent, a place is free one round trip before its answer comes.
    let (mut sends, mut ends) = (record.sends.reader(), record.ends.reader());
    let mut held = |t: f64| (sends.at(t) - ends.at(t + latency.rtt)).max(0.0);
    for p in record.sends.points() {
        bounds.used(held(p.t), 1.0);
    }
    for trip in &record.trips {
        bounds.refused(held(trip.t), 0.12 + trip.rate * latency.jitter * std::f64::consts::SQRT_2);
    }
    bounds
}

/// Requests no closer than `1 / rate`, as a bucket of one token has it, under jitter: the logarithm
/// of how likely the record is. Two requests that are sent `gap` apart arrive that much closer or
/// further apart which the difference of two uniform delays makes of it.
pub(super) fn spaced(record: &Excerpt, latency: &Latency, rate: f64) -> f64 {
    let jitter = latency.jitter_max.max(1e-6);
    let refusal = |gap: f64| overtaken(gap - 1.0 / rate, jitter);
    let mut log_likelihood = 0.0;
    let mut previous: Option<&Point> = None;
    for p in record.sends.points() {
        if let Some(before) = previous.filter(|before| p.n > before.n) {
            let (dt, dn) = (p.t - before.t, p.n - before.n);
            log_likelihood += dn * (1.0 - refusal(dt / dn)).ln();
        }
        previous = Some(p);
    }
    for trip in &record.trips {
        log_likelihood += refusal(trip.gap).ln();
    }
    log_likelihood
}
