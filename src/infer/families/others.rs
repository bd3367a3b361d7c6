//! Limiters without windows.

use super::super::curve::Point;
use super::super::record::Excerpt;
use super::{Bounds, Latency, overtaken};

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

    /// Before a request at `t`, to which nobody has come meanwhile; negative when the bucket has been
    /// full for that long.
    fn before(&self, t: f64) -> f64 {
        self.tokens - self.rate * (t - self.at.t)
    }
}

/// A bucket that is refilled at `rate` per second.
pub(in crate::infer) fn bucket(record: &Excerpt, latency: &Latency, rate: f64) -> Bounds {
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
pub(in crate::infer) fn concurrent(record: &Excerpt, latency: &Latency) -> Bounds {
    let mut bounds = Bounds::new(record);
    // Seen from where requests are sent, a place is free one round trip before its answer comes.
    let (mut sends, mut ends) = (record.sends.reader(), record.ends.reader());
    let mut held = |t: f64| (sends.at(t) - ends.at(t + latency.rtt)).max(0.0);
    for p in record.sends.points() {
        bounds.used(held(p.t), 1.0);
    }
    for trip in &record.trips {
        // Places are taken out of turn only where requests come, not where answers do.
        let rate = if trip.settled { 0.0 } else { trip.rate };
        let edge = latency.answer.max(1e-4);
        let leaving = if trip.settled { held(trip.t) / edge } else { 0.0 };
        let blur = 0.12 + (rate + leaving) * latency.jitter * std::f64::consts::SQRT_2;
        bounds.refused(held(trip.t), blur);
    }
    bounds
}

/// Requests no closer than `1 / rate`, as a bucket of one token has it, under jitter: the logarithm
/// of how likely the record is. Two requests that are sent `gap` apart arrive that much closer or
/// further apart which the difference of two uniform delays makes of it.
pub(in crate::infer) fn spaced(record: &Excerpt, latency: &Latency, rate: f64) -> f64 {
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
