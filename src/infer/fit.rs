//! The posterior over limiters, from the record of one scope.
//!
//! Every family is laid out over a grid of its time constant: a window's length, a bucket's refill. For a
//! member of the grid the record leaves an interval for the limit ([`families::Bounds`]), and the prior mass
//! of that interval is the member's weight: wide where nothing tells, narrow where two refusals agree by
//! the request, next to nothing where they contradict each other. Round windows are a stated prior.

mod aligned;
mod odd;
mod queues;
mod windows;

use super::families::{self, Latency};
use super::grid;
use super::limit::{LIMIT_RANGE, Limit, LimitPoint};
use super::prior::{BUCKET, CONCURRENT, SPACED, ln_liked};
use super::record::Excerpt;
use super::summary::{Alike, alike};
use crate::model::{Kind, Rate};

/// How much likelier an inherited limiter is, and another that counts over the same window, as logarithms.
const INHERITED: f64 = 5.0;
const SAME_WINDOW: f64 = 2.0;

/// One limiter that may be it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) kind: Kind,
    /// The even rate that it admits for ever, per second, and its standard deviation.
    pub(super) rate: f64,
    pub(super) spread: f64,
    /// Logarithm of its posterior weight, up to a constant.
    pub(super) weight: f64,
}

/// The even rate that a limiter with windows admits for ever, if its limit is this: windows are longer by what jitter
/// may bring together. A sliding counter admits one request less than it says: the last of them would have to come
/// when the one before no longer weighs anything.
pub(super) fn lasting(kind: &Kind, limit: f64, latency: &Latency) -> f64 {
    let limit = match kind {
        Kind::SlidingCounter { .. } => (limit - 1.0).max(0.5),
        _ => limit,
    };
    limit / (kind.window().as_secs_f64() + latency.jitter_max)
}

/// The even rate at which a bucket of few tokens is never found empty under jitter.
pub(super) fn even(rate: f64, burst: f64, latency: &Latency) -> f64 {
    let spare = (burst - 1.0).max(0.0) / rate;
    1.0 / (1.0 / rate + (latency.jitter_max - spare).max(0.0))
}

/// How fast a queue lets requests through, as their delays tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Served {
    /// Per second.
    pub(super) rate: f64,
    /// Standard deviation, as a ratio.
    pub(super) spread: f64,
}

/// What is not asked again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sure {
    /// A limiter of the kind that it is.
    pub(super) kind: Kind,
    /// Between which the length of its windows lies, in seconds.
    pub(super) lengths: (f64, f64),
}

/// A fit of one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit<'a> {
    pub(super) record: &'a Excerpt,
    pub(super) latency: Latency,
    /// Its kind and window are likelier than the prior has it.
    pub(super) inherited: Option<Kind>,
    /// Windows of any length are looked for as closely as round ones: for a study, which has the time.
    pub(super) thorough: bool,
    /// Round numbers are no likelier than others.
    pub(super) flat: bool,
    /// What is admitted is delayed: it is a queue.
    pub(super) served: Option<Served>,
    /// No windows that begin at fixed times are looked for but these: their search costs more than all the rest.
    pub(super) sure: Option<Sure>,
}

impl Fit<'_> {
    /// Every member, weighed. `None`: nothing to weigh them by.
    pub(super) fn members(&self) -> Option<Vec<Member>> {
        if self.record.trips.is_empty() {
            return None;
        }
        let mut members = Vec::new();
        if let Some(served) = &self.served {
            self.queues(served, &mut members);
            return Some(members);
        }
        self.buckets(&mut members);
        // Whether they count who were refused makes no difference to others.
        if self.record.counted.is_none() {
            self.spaced(&mut members);
            self.concurrent(&mut members);
        }
        self.windows(&mut members);
        self.as_long_as_held(&mut members);
        members.iter_mut().for_each(|m| m.weight += self.ln_silences(&m.kind));
        if let Some(inherited) = &self.inherited {
            for member in &mut members {
                member.weight += match alike(&member.kind, inherited) {
                    Alike::Kind => INHERITED,
                    Alike::Window => SAME_WINDOW,
                    Alike::Nothing => 0.0,
                };
            }
        }
        Some(members)
    }

    /// Whoever was refused after a silence that is longer than what a limiter remembers was not refused by it.
    fn ln_silences(&self, kind: &Kind) -> f64 {
        const IMPOSSIBLE: f64 = -12.0;
        const LONGER: f64 = 1.2;
        let remembers = match kind {
            Kind::FixedWindow { window, .. }
            | Kind::OnDemandWindow { window, .. }
            | Kind::SlidingLog { window, .. } => window.as_secs_f64(),
            Kind::SlidingCounter { window, .. } => 2.0 * window.as_secs_f64(),
            _ => return 0.0,
        };
        let least = LONGER * remembers + self.latency.jitter_max;
        let silences = self.record.trips.iter().filter(|trip| trip.gap > least).count();
        IMPOSSIBLE * silences as f64
    }

    /// A log over as long as the server holds a request is a limit of those that it holds: that both are equally long
    /// by chance is less likely.
    fn as_long_as_held(&self, members: &mut [Member]) {
        const ALIKE: f64 = 0.03;
        const LIKELIER: f64 = 2.0;
        let held = self.latency.held();
        if !self.thorough || held < 8.0 * self.latency.jitter_max.max(1e-3) {
            return;
        }
        for member in members {
            if let Kind::SlidingLog { limit, window } = member.kind
                && (window.as_secs_f64() / held - 1.0).abs() < ALIKE
            {
                *member = self.places(limit as f64, member.weight + LIKELIER);
            }
        }
    }

    fn buckets(&self, members: &mut Vec<Member>) {
        /// Refills that differ by less than this, as a ratio, are one.
        const FINE: f64 = 5e-4;
        let top = (self.rate() * 1.1).ln();
        // A search passes by a slow refill at high speed, and says so little of it that the grid has to be wide.
        // Of many refusals that a slow climb ends with, all are off together where the grid is too coarse.
        let (range, steps) = if self.thorough { (4_000.0_f64, 960) } else { (50.0, 120) };
        let (range, kept) = (range.ln(), if self.thorough { 24 } else { 6 });
        let flat = self.flat;
        let weigh = |x: f64, step: f64| {
            let bounds = |x: f64| families::bucket(self.record, &self.latency, x.exp());
            let (low, mut mid) = (bounds(x - step / 2.0), bounds(x));
            // A slow climb tells the refill so closely that one that stands for others would pass it by.
            if self.thorough && step > FINE {
                mid = mid.or(&low).or(&bounds(x + step / 2.0));
            }
            mid.soften_towards(&low, 0.5);
            let limit = Limit::real(&mid, if flat { f64::NAN } else { x.exp() });
            // So few tokens are emptied by jitter alone: see `spaced`. They would only crowd others out.
            let few = limit.value < 1.05 + x.exp() * self.latency.jitter_max;
            if few && self.thorough { limit.never() } else { limit }
        };
        for cell in grid::refine(top - range / 2.0, range, &[steps, 5, 5, 4], kept, weigh) {
            let rate = cell.at.exp();
            // So few tokens are emptied by jitter alone: see `spaced`.
            if cell.found.value < 1.05 + rate * self.latency.jitter_max {
                continue;
            }
            // Bursts of more than a minute's worth are rare, and the longer the rarer.
            let rare = -4.0 * (cell.found.value / rate / 60.0).max(1.0).ln();
            let share = BUCKET.ln() + (range / LIMIT_RANGE).ln() + cell.share;
            let share = if flat { share } else { share + ln_liked(rate, cell.width) };
            let weight = share + rare + cell.found.weight;
            members.extend(self.bucket_member(rate, cell.width, &cell.found, weight));
        }
    }

    fn bucket_member(&self, rate: f64, step: f64, limit: &Limit, weight: f64) -> Option<Member> {
        let burst = limit.value.max(1.0);
        let lasting = even(rate, burst, &self.latency);
        let kind = Kind::TokenBucket {
            rate: Rate::from_per_second(rate)?,
            burst: burst.round().max(1.0) as u64,
        };
        Some(Member { kind, rate: lasting, spread: lasting * step / 3.0, weight })
    }

    fn spaced(&self, members: &mut Vec<Member>) {
        const STEPS: u32 = 120;
        let jitter = self.latency.jitter_max;
        let gap = self.record.trips.iter().map(|trip| trip.gap).fold(0.0, f64::max);
        // Where the spacing that is asked for may lie: the jitter took at most itself away.
        let (low, high) = (gap * 0.9, (gap + jitter) * 1.1);
        let low = (low - jitter).max(gap * if self.thorough { 0.2 } else { 0.05 });
        let range = high - low;
        // With little jitter, refusals tell a spacing more closely than so many steps do.
        let fine = !self.thorough && range / f64::from(STEPS) > jitter;
        let levels: &[u32] = if fine { &[STEPS, 5, 4] } else { &[STEPS] };
        let weigh = |spacing: f64, step: f64| {
            let jitter_max = if fine { jitter.max(step) } else { jitter };
            let latency = Latency { jitter_max, ..self.latency };
            grid::Weighed(families::spaced(self.record, &latency, 1.0 / spacing))
        };
        for cell in grid::refine((low + high) / 2.0, range, levels, 6, weigh) {
            let rate = 1.0 / cell.at;
            let weight =
                SPACED.ln() + (range / cell.at / LIMIT_RANGE).ln() + cell.share + cell.found.0;
            let lasting = even(rate, 1.0, &self.latency);
            let Some(exact) = Rate::from_per_second(rate) else { continue };
            let kind = Kind::TokenBucket { rate: exact, burst: 1 };
            let spread = lasting * lasting * cell.width / 3.0;
            members.push(Member { kind, rate: lasting, spread, weight });
        }
    }

    fn concurrent(&self, members: &mut Vec<Member>) {
        let held = self.latency.held();
        let enough =
            if self.thorough { 4.0 * self.latency.jitter } else { self.latency.rtt * 0.02 };
        if held < enough.max(1e-4) {
            return;
        }
        let bounds = families::concurrent(self.record, &self.latency);
        let limit = Limit::whole(&bounds);
        let few = limit.value < (6.0 * bounds.blur()).max(2.5) || self.record.trips.len() < 2;
        if few && !self.thorough {
            return;
        }
        let point = |point: &LimitPoint| self.places(point.value, CONCURRENT.ln() + point.weight);
        members.extend(limit.points.iter().map(point));
    }

    /// So many places, each held for as long as the server holds a request.
    fn places(&self, limit: f64, weight: f64) -> Member {
        let held = self.latency.held();
        let rate = limit / held;
        // Who arrives late finds a place more often than who arrives early: what places are held for is off by a part of
        // the jitter.
        let spread = rate * (self.latency.jitter_max / held * 0.12).max(0.0035);
        let kind = Kind::Concurrency { limit: limit.round().max(1.0) as u64 };
        Member { kind, rate, spread, weight }
    }

    /// The highest rate at which requests went out when refusals began, per second.
    fn rate(&self) -> f64 {
        self.record.trips.iter().map(|trip| trip.rate).fold(0.0, f64::max)
    }

    /// Seconds from the first of them to the last.
    fn span(&self) -> f64 {
        let trips = &self.record.trips;
        trips.first().zip(trips.last()).map_or(0.0, |(first, last)| last.t - first.t)
    }
}
