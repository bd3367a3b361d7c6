//! How much of one limit is used, request by request: what a fit reads from curves of the whole record, followed here
//! through a single one of its limiters.

use std::collections::VecDeque;

use crate::infer::families::window_begin;
use crate::model::Kind;

/// The state of one limiter, told of everything that counts, in order.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    kind: Kind,
    /// Admissions that a log remembers; when places become free. In order of time.
    times: VecDeque<f64>,
    /// What the latest windows have counted, each by when it began; or tokens that were missing, and when.
    counts: VecDeque<(f64, f64)>,
}

impl Usage {
    /// Of a limiter that nobody has called yet.
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, times: VecDeque::new(), counts: VecDeque::new() }
    }

    /// What a request at `t` finds used; where requests may be `early` seconds earlier (or later, if negative) than
    /// the limiter's windows have it. Requests and answers are told of before.
    pub(super) fn before(&mut self, t: f64, early: f64) -> f64 {
        let t = t - early;
        match self.kind {
            Kind::SlidingLog { window, .. } => {
                let edge = t - window.as_secs_f64();
                // Seconds may be looked back upon once more, so nothing that is near the edge is forgotten.
                let gone = edge - early.abs() * 2.0;
                while self.times.front().is_some_and(|at| *at <= gone) {
                    self.times.pop_front();
                }
                (self.times.len() - self.times.partition_point(|at| *at <= edge)) as f64
            }
            Kind::FixedWindow { window, phase, .. } => {
                self.counted(window_begin(t, window.as_secs_f64(), phase.as_secs_f64()))
            }
            Kind::OnDemandWindow { window, .. } => {
                let latest = self.counts.back().filter(|(at, _)| t < at + window.as_secs_f64());
                latest.map_or(0.0, |(_, count)| *count)
            }
            Kind::SlidingCounter { window, phase, .. } => {
                let (window, phase) = (window.as_secs_f64(), phase.as_secs_f64());
                let from = window_begin(t, window, phase);
                let share = 1.0 - (t - from) / window;
                self.counted(from) + self.counted(from - window) * share
            }
            Kind::TokenBucket { rate, .. } | Kind::Queue { rate, .. } => {
                let latest = self.counts.back();
                latest.map_or(0.0, |(at, missing)| {
                    (missing - rate.per_second() * (t - at).max(0.0)).max(0.0)
                })
            }
            Kind::Concurrency { .. } => {
                (self.times.len() - self.times.partition_point(|until| *until <= t)) as f64
            }
        }
    }

    /// A request at `t` counts; it holds a place `until` then.
    pub(super) fn count(&mut self, t: f64, until: f64) {
        match self.kind {
            Kind::SlidingLog { .. } => self.times.push_back(t),
            Kind::Concurrency { .. } => {
                const LOOKED_BACK: f64 = 1.0;
                while self.times.front().is_some_and(|until| *until <= t - LOOKED_BACK) {
                    self.times.pop_front();
                }
                let before = self.times.partition_point(|other| *other <= until);
                self.times.insert(before, until);
            }
            Kind::FixedWindow { window, phase, .. }
            | Kind::SlidingCounter { window, phase, .. } => {
                self.enter(window_begin(t, window.as_secs_f64(), phase.as_secs_f64()));
            }
            Kind::OnDemandWindow { window, .. } => {
                let latest = self.counts.back().filter(|(at, _)| t < at + window.as_secs_f64());
                self.enter(latest.map_or(t, |(at, _)| *at));
            }
            Kind::TokenBucket { .. } | Kind::Queue { .. } => {
                let missing = self.before(t, 0.0) + 1.0;
                self.counts.clear();
                self.counts.push_back((t, missing));
            }
        }
    }

    fn counted(&self, from: f64) -> f64 {
        const SAME: f64 = 1e-6;
        let same = |(at, _): &&(f64, f64)| (at - from).abs() < SAME;
        self.counts.iter().rev().find(same).map_or(0.0, |(_, count)| *count)
    }

    fn enter(&mut self, from: f64) {
        /// The latest window, the one before, and one that a request which was overtaken still belongs to.
        const WINDOWS: usize = 3;
        const SAME: f64 = 1e-6;
        match self.counts.iter_mut().rev().find(|(at, _)| (*at - from).abs() < SAME) {
            Some((_, count)) => *count += 1.0,
            None => self.counts.push_back((from, 1.0)),
        }
        while self.counts.len() > WINDOWS {
            self.counts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limiter::{Limiter, LimiterSettings};
    use crate::model::{Moment, Rate};

    const SECOND: Duration = Duration::from_secs(1);

    fn kinds() -> [Kind; 6] {
        let phase = Duration::from_millis(300);
        [
            Kind::FixedWindow { limit: 7, window: SECOND, phase },
            Kind::OnDemandWindow { limit: 7, window: SECOND },
            Kind::SlidingLog { limit: 7, window: SECOND },
            Kind::SlidingCounter { limit: 7, window: SECOND, phase },
            Kind::TokenBucket { rate: Rate::nearest(7.0), burst: 5 },
            Kind::Queue { rate: Rate::nearest(7.0), depth: 4 },
        ]
    }

    fn limit(kind: &Kind) -> f64 {
        super::super::posterior::burst(kind)
    }

    /// Uneven requests; the limiter that the simulator has decides about each.
    fn agrees(kind: Kind) {
        let mut limiter = Limiter::new(&LimiterSettings::plain(kind));
        let mut usage = Usage::new(kind);
        let (mut t, mut both) = (10.05_f64, [0, 0]);
        for i in 0..400_u32 {
            t += f64::from(1 + (i * 7 + i / 9) % 23) * 0.006 + 0.0007;
            let at = Moment::ZERO + Duration::from_secs_f64(t);
            let admitted = limiter.decide(at).is_admitted();
            let fits = usage.before(t, 0.0) <= limit(&kind) - 1.0 + 1e-6;
            assert_eq!(fits, admitted, "{kind:?} at {t}, number {i}");
            both[usize::from(admitted)] += 1;
            if admitted {
                usage.count(t, t);
            }
        }
        assert!(both[1] > 20, "{kind:?}: {both:?}");
    }

    #[test]
    fn what_is_used_is_what_the_limiter_counts() {
        for kind in kinds() {
            agrees(kind);
        }
    }

    #[test]
    fn places_are_held_until_their_answers_have_left() {
        let mut usage = Usage::new(Kind::Concurrency { limit: 2 });
        usage.count(1.0, 1.5);
        usage.count(1.1, 1.6);
        assert!((usage.before(1.4, 0.0) - 2.0).abs() < 1e-9);
        assert!((usage.before(1.55, 0.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_request_that_may_be_early_belongs_to_the_window_before() {
        let mut usage = Usage::new(kinds()[0]);
        usage.count(10.2, 10.2);
        assert!(usage.before(10.31, 0.0) < 0.5);
        assert!(usage.before(10.31, 0.02) > 0.5);
    }
}
