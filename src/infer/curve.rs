//! A cumulative count over time, compressed to straight pieces.
//!
//! Traffic is paced evenly for most of the time, so its cumulative count is a few straight lines. The
//! curve keeps only their ends: a new point that the line from the last kept one still meets within the
//! tolerance costs nothing (the "swinging door" of process historians: Bristol, US patent 4,669,097).
//! Hours of even sending take a handful of points; a climb takes a few a second.

use std::collections::VecDeque;

/// Counts below this are told apart exactly; above it, relatively.
const TOLERANCE: f64 = 0.005;
/// Half a millisecond of requests may be off: arrivals are not known more closely.
pub(super) const TOLERANCE_S: f64 = 0.0005;
/// The same of a study's curves, which has the time.
pub(super) const CLOSE_TOLERANCE_S: f64 = 2e-5;

/// A point of the curve: at `t` seconds the `n`-th was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) t: f64,
    pub(super) n: f64,
}

impl Point {
    /// What had been counted at `t`, on the way from this point to the next. A single request counts when
    /// it was sent and not before, however long nothing had been.
    pub(super) fn on_the_way(self, next: Self, t: f64) -> f64 {
        if next.n - self.n <= 1.0 {
            return self.n;
        }
        let part = (t - self.t) / (next.t - self.t).max(f64::MIN_POSITIVE);
        // Never negative: what is cut off is what `floor` would, without a call.
        let whole = (self.n + (next.n - self.n) * part + TOLERANCE) as i64;
        (whole as f64).clamp(self.n, next.n)
    }
}

/// The curve.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Curve {
    kept: VecDeque<Point>,
    /// The latest point, the end of the piece that still grows.
    last: Point,
    /// Slopes between which the growing piece may run.
    door: (f64, f64),
    max: usize,
    /// How far off a point may be, in seconds of requests.
    tolerance: f64,
}

const OPEN: (f64, f64) = (0.0, f64::INFINITY);

impl Curve {
    /// An empty curve from `t` on that keeps at most `max` points.
    pub(super) fn new(t: f64, max: usize) -> Self {
        Self::within(TOLERANCE_S, t, max)
    }

    /// One whose points are at most so many seconds of requests off.
    pub(super) fn within(tolerance: f64, t: f64, max: usize) -> Self {
        let start = Point { t, n: 0.0 };
        Self { kept: VecDeque::from([start]), last: start, door: OPEN, max, tolerance }
    }

    /// Counts one more at `t`; an earlier time counts as the latest.
    pub(super) fn count(&mut self, t: f64) {
        let new = Point { t: t.max(self.last.t), n: self.last.n + 1.0 };
        let from = self.kept.back().copied().unwrap_or(self.last);
        let dt = new.t - from.t;
        if dt > 0.0 {
            let slope = (new.n - from.n) / dt;
            let slack = (TOLERANCE + self.tolerance * slope) / dt;
            let door = (self.door.0.max(slope - slack), self.door.1.min(slope + slack));
            if self.door.0 <= slope && slope <= self.door.1 && door.0 <= door.1 {
                self.door = door;
                self.last = new;
                return;
            }
        } else if self.last == from {
            self.last = new;
            self.keep(new);
            return;
        }
        let end = self.last;
        self.keep(end);
        self.last = new;
        let dt = new.t - end.t;
        if dt > 0.0 {
            let slope = (new.n - end.n) / dt;
            let slack = (TOLERANCE + self.tolerance * slope) / dt;
            self.door = (slope - slack, slope + slack);
        }
    }

    /// Keeps the latest point, whatever comes next.
    pub(super) fn pin(&mut self) {
        if self.kept.back() != Some(&self.last) {
            self.keep(self.last);
        }
    }

    fn keep(&mut self, point: Point) {
        self.kept.push_back(point);
        self.door = OPEN;
        if self.kept.len() > self.max {
            self.kept.pop_front();
        }
    }

    /// Forgets what came before `t`.
    pub(super) fn forget_before(&mut self, t: f64) {
        while self.kept.len() > 1 && self.kept[1].t <= t {
            self.kept.pop_front();
        }
        let cut = Point { t, n: self.at(t) };
        if let Some(first) = self.kept.front_mut().filter(|first| first.t < t && t < self.last.t) {
            *first = cut;
        }
    }

    /// The latest point.
    pub(super) const fn last(&self) -> Point {
        self.last
    }

    /// Every point, the latest included.
    pub(super) fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let open = (self.kept.back() != Some(&self.last)).then_some(self.last);
        self.kept.iter().copied().chain(open)
    }

    /// What had been counted at `t`, `t` included.
    fn at(&self, t: f64) -> f64 {
        if t >= self.last.t {
            return self.last.n;
        }
        let next = self.kept.partition_point(|p| p.t <= t);
        let Some(before) = next.checked_sub(1).map(|i| self.kept[i]) else {
            return self.kept.front().map_or(0.0, |p| p.n);
        };
        let after = self.kept.get(next).copied().unwrap_or(self.last);
        before.on_the_way(after, t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(curve: &Curve, from: f64, to: f64) -> f64 {
        curve.at(to) - curve.at(from)
    }

    #[test]
    fn an_hour_of_even_sending_is_one_piece() {
        let mut curve = Curve::new(0.0, 64);
        for i in 1..=360_000 {
            curve.count(f64::from(i) * 0.01);
        }
        assert!(curve.points().count() <= 3, "{}", curve.points().count());
        assert_eq!(between(&curve, 1_000.0, 1_001.0), 100.0);
    }

    #[test]
    fn counts_are_exact_at_low_rates_whatever_the_spacing() {
        let mut curve = Curve::new(0.0, 4_096);
        let times: Vec<f64> = (1..400_u32).map(|i| f64::from(i).powf(1.3) * 0.2).collect();
        times.iter().for_each(|t| curve.count(*t));
        for window in [0.5, 3.0, 10.0] {
            for to in times.iter().step_by(7) {
                let exact = times.iter().filter(|t| **t > to - window && **t <= *to).count();
                let read = between(&curve, to - window, *to);
                assert!((read - exact as f64).abs() <= 1.0, "{window} to {to}: {read} {exact}");
            }
        }
    }

    #[test]
    fn a_gap_holds_no_counts() {
        let mut curve = Curve::new(0.0, 64);
        for i in 1..=100 {
            curve.count(f64::from(i) * 0.01);
        }
        for i in 0..100 {
            curve.count(31.0 + f64::from(i) * 0.01);
        }
        assert_eq!(between(&curve, 1.0, 30.9), 0.0);
        assert_eq!(between(&curve, 30.9, 31.5), 51.0);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let mut curve = Curve::new(0.0, 16);
        for i in 0..10_000_u32 {
            curve.count(f64::from(i) + f64::from(i % 7) * 0.13);
        }
        assert!(curve.points().count() <= 17);
        curve.forget_before(9_999.0);
        assert!(curve.points().next().map_or(0.0, |p| p.t) >= 9_990.0);
        assert_eq!(curve.last().n, 10_000.0);
    }
}
