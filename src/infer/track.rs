//! A curve as it was at one moment, for reading.

use super::curve::{Curve, Point};

/// Points in order of time, joined by straight lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    points: Vec<Point>,
}

/// Reads a track at times that mostly rise: close to where it read before.
pub(super) struct Reader<'a> {
    points: &'a [Point],
    /// The first point after the time that was read last.
    next: usize,
}

impl Track {
    /// What a curve holds after `t`.
    pub(super) fn since(curve: &Curve, t: f64) -> Self {
        let mut curve = curve.clone();
        curve.forget_before(t);
        Self { points: curve.points().collect() }
    }

    /// The part of it from one time to another.
    pub(super) fn between(&self, from: f64, to: f64) -> Self {
        let begin = self.points.partition_point(|p| p.t <= from);
        let end = self.points.partition_point(|p| p.t <= to);
        let cut = |t: f64, next: usize| Point { t, n: Reader { points: &self.points, next }.at(t) };
        let first = (begin > 0).then(|| cut(from, begin));
        let last = (end > begin && end < self.points.len()).then(|| cut(to, end));
        let inside = self.points[begin..end.max(begin)].iter().copied();
        Self { points: first.into_iter().chain(inside).chain(last).collect() }
    }

    /// When the `n`-th was counted; `None`: not in this track.
    pub(super) fn when(&self, n: f64) -> Option<f64> {
        let next = self.points.partition_point(|p| p.n < n);
        let (before, after) = (self.points.get(next.checked_sub(1)?)?, self.points.get(next)?);
        Some(before.t + (after.t - before.t) * (n - before.n) / (after.n - before.n))
    }

    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    /// When the record begins.
    pub(super) fn start(&self) -> f64 {
        self.points.first().map_or(0.0, |p| p.t)
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { points: &self.points, next: 0 }
    }
}

impl Reader<'_> {
    /// What had been counted at `t`, `t` included; what was counted first, for an earlier time.
    pub(super) fn at(&mut self, t: f64) -> f64 {
        while self.next > 0 && self.points[self.next - 1].t > t {
            self.next -= 1;
        }
        while self.points.get(self.next).is_some_and(|p| p.t <= t) {
            self.next += 1;
        }
        let Some(before) = self.next.checked_sub(1).map(|i| self.points[i]) else {
            return self.points.first().map_or(0.0, |p| p.n);
        };
        let Some(after) = self.points.get(self.next) else { return before.n };
        before.on_the_way(*after, t)
    }
}
