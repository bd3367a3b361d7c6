//! Limiters without windows.

use super::super::curve::{Point, TOLERANCE_S};
use super::super::record::{Excerpt, Trip};
use super::{Bounds, Latency, both, either_way, overtaken, passed_edge, rate_at};

/// A bucket that is refilled at `rate` per second: how many tokens are missing.
pub(in crate::infer) struct Missing {
    rate: f64,
    at: Point,
    tokens: f64,
}

impl Missing {
    /// Nothing is missing at the beginning.
    pub(in crate::infer) fn from(start: Point, rate: f64) -> Self {
        Self { rate, at: start, tokens: 0.0 }
    }

    /// Right after the last of those who had come by `to`, who came evenly.
    pub(in crate::infer) fn advance(&mut self, to: Point) -> f64 {
        let (dt, dn) = (to.t - self.at.t, to.n - self.at.n);
        let refilled = self.rate * dt;
        // As if the bucket had been full before the first of them.
        let from_full =
            if dn < 1.0 { 0.0 } else { 1.0 + (dn - 1.0) * (1.0 - refilled / dn).max(0.0) };
        self.tokens = (self.tokens + dn - refilled).max(from_full);
        self.at = to;
        self.tokens
    }

    /// Everybody was refused up to then, and that counts: it is as empty as it was.
    fn hold(&mut self, to: Point) {
        self.at = to;
    }

    /// Before a request at `t`, to which nobody has come meanwhile; negative when the bucket has been
    /// full for that long.
    fn before(&self, t: f64) -> f64 {
        self.tokens - self.rate * (t - self.at.t)
    }
}

/// A bucket that is refilled at `rate` per second.
pub(in crate::infer) fn bucket(record: &Excerpt, latency: &Latency, rate: f64) -> Bounds {
    either_way(record, |record| emptied(record, latency, rate))
}

/// What the most of many is off by, in standard deviations.
const EXTREME: f64 = 2.0;

fn emptied(record: &Excerpt, latency: &Latency, rate: f64) -> Bounds {
    let mut bounds = Bounds::new(record);
    let Some((start, points)) = record.counted().points().split_first() else { return bounds };
    let mut trips = record.trips.iter().peekable();
    let mut missing = Missing::from(*start, rate);
    // Of those who count, who was admitted.
    let mut admitted = record.counted.as_ref().map(|_| record.sends.reader());
    let mut before = 0.0;
    let mut ahead = record.sends.reader();
    let mut refuse = |trip: &Trip, missing: &Missing, bounds: &mut Bounds| {
        // Only how the last few arrivals bunched matters here, at the speed of the refill.
        // Of many that were admitted in a study, the extreme ones count.
        let apart = if record.settled { 2.0 } else { std::f64::consts::SQRT_2 };
        let edge = rate * latency.jitter * apart;
        let blur = (0.06_f64.powi(2) + edge.powi(2) + (rate * 0.0003).powi(2)).sqrt();
        // Who was admitted just afterwards may have come before.
        let out_of_turn = match record.settled && !trip.settled {
            true => ahead.at(trip.t + latency.jitter_max) - ahead.at(trip.t),
            false => 0.0,
        };
        bounds.refused_about(missing.before(trip.t), blur, out_of_turn);
    };
    for p in points {
        while let Some(trip) = trips.next_if(|trip| record.just_before(trip.t) < p.t) {
            refuse(trip, &missing, &mut bounds);
        }
        let refused = admitted.as_mut().is_some_and(|admitted| {
            let now = admitted.at(p.t);
            now <= std::mem::replace(&mut before, now)
        });
        if refused {
            missing.hold(*p);
        } else {
            bounds.used(missing.advance(*p), 1.0);
        }
    }
    for trip in trips {
        refuse(trip, &missing, &mut bounds);
    }
    if record.settled {
        // Of many whom jitter brings together, the most that was missing is too much by what jitter can do.
        let together = rate * latency.jitter;
        bounds.floor = (bounds.floor - EXTREME * together).max(1.0);
        bounds.floor_blur = Some(both(0.06, together));
        bounds.witnesses = 1.0;
    }
    bounds
}

/// How many places may be miscounted where nobody comes and nobody leaves.
const SURE: f64 = 0.1;
/// More of those who found the most places taken tell no more.
const WITNESSES_MAX: f64 = 60.0;

/// At most so many between admission and answer.
pub(in crate::infer) fn concurrent(record: &Excerpt, latency: &Latency) -> Bounds {
    let mut bounds = Bounds::new(record);
    // Seen from where requests are sent, a place is free one round trip before its answer comes.
    let (mut sends, mut ends) = (record.sends.reader(), record.ends.reader());
    let mut held = |t: f64| (sends.at(t) - ends.at(t + latency.refusal)).max(0.0);
    let mut left = record.ends.reader();
    // Where places are being left, jitter decides who is found gone.
    let mut leaving = |t: f64| rate_at(&mut left, t + latency.refusal, latency);
    let mut witnesses = Vec::new();
    let mut before = 0.0;
    for p in record.sends.points() {
        let held = held(p.t);
        witnesses.push((p.t, held, p.n - before));
        before = p.n;
        if record.settled {
            bounds.used_about(held, both(SURE, passed_edge(leaving(p.t), latency)), 1.0);
        } else {
            bounds.used(held, 1.0);
        }
    }
    // Everybody who found as many places taken might have been refused, had there been no more of them.
    if record.settled {
        let least = bounds.floor - 0.5;
        let found = witnesses.iter().filter(|(_, held, _)| *held > least).map(|(_, _, n)| n);
        bounds.witnesses = found.sum::<f64>().clamp(1.0, WITNESSES_MAX);
    }
    let mut since = f64::NEG_INFINITY;
    for trip in &record.trips {
        let held = held(trip.t);
        if record.settled {
            bounds.luck -= passed_by(&witnesses, trip, &mut since, held).ln_1p();
        }
        let coming = if trip.settled { 0.0 } else { trip.rate };
        let blur = if record.settled {
            both(SURE, passed_edge(both(leaving(trip.t), coming), latency))
        } else {
            0.12 + coming * latency.jitter * std::f64::consts::SQRT_2
        };
        bounds.refused(held, blur);
    }
    bounds
}

/// How many were admitted before traffic was first refused, though they found as many places taken: chance decided who of
/// them all was refused. `since` is when somebody was refused before.
fn passed_by(witnesses: &[(f64, f64, f64)], trip: &Trip, since: &mut f64, held: f64) -> f64 {
    const ANEW: f64 = 1.0;
    let from = std::mem::replace(since, trip.t);
    if trip.t - from < ANEW {
        return 0.0;
    }
    let begin = witnesses.partition_point(|(t, _, _)| *t <= from);
    let end = witnesses.partition_point(|(t, _, _)| *t < trip.t);
    let alike = witnesses[begin..end].iter().filter(|(_, after, _)| *after >= held + 0.5);
    alike.map(|(_, _, n)| n).sum()
}

/// Requests no closer than `1 / rate`, as a bucket of one token has it, under jitter: the logarithm
/// of how likely the record is. Two requests that are sent `gap` apart arrive that much closer or
/// further apart which the difference of two uniform delays makes of it.
pub(in crate::infer) fn spaced(record: &Excerpt, latency: &Latency, rate: f64) -> f64 {
    let jitter = latency.jitter_max.max(1e-6);
    let refusal = |gap: f64, jitter: f64| overtaken(gap - 1.0 / rate, jitter);
    let mut log_likelihood = 0.0;
    let mut previous: Option<&Point> = None;
    for p in record.sends.points() {
        // Nobody came before the first.
        if let Some(before) = previous.filter(|before| p.n > before.n.max(1.0)) {
            let (dt, dn) = (p.t - before.t, p.n - before.n);
            // The ends of a piece are no closer than the curve is told.
            let unsure = if record.settled { 0.0 } else { TOLERANCE_S / dn };
            log_likelihood += dn * (1.0 - refusal(dt / dn, jitter.max(unsure))).ln();
        }
        previous = Some(p);
    }
    for trip in &record.trips {
        log_likelihood += refusal(trip.gap, jitter).ln();
    }
    log_likelihood
}
