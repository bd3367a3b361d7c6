//! The posterior over limiters, from the record of one scope.
//!
//! Every family is laid out over a grid of its time constant: a window's length, a bucket's refill. For a
//! member of the grid the record leaves an interval for the limit ([`Bounds`]), and the prior mass
//! of that interval is the member's weight: wide where nothing tells, narrow where two refusals agree by
//! the request, next to nothing where they contradict each other. Round windows are a stated prior.

use std::time::Duration;

use super::families::{self, Bounds, Latency};
use super::grid;
use super::record::Excerpt;
use crate::model::{Estimate, EstimateSource, Interval, Kind, Moment, Rate};

/// Windows that vendors like, in seconds, and how much of the prior they share.
const ROUND: &[(f64, f64)] = &[
    (1.0, 0.40),
    (60.0, 0.25),
    (10.0, 0.10),
    (5.0, 0.04),
    (30.0, 0.04),
    (2.0, 0.03),
    (15.0, 0.02),
    (20.0, 0.02),
    (0.1, 0.02),
    (0.5, 0.02),
    (120.0, 0.02),
    (300.0, 0.02),
];
/// The share of the prior that any other window has.
const UNROUND: f64 = 0.12;
const UNROUND_STEPS: u32 = 48;
const WINDOW_MIN: f64 = 0.05;
const WINDOW_MAX: f64 = 300.0;
/// The prior of each family.
const FIXED: f64 = 0.3;
const LOG: f64 = 0.25;
const BUCKET: f64 = 0.35;
const SPACED: f64 = 0.07;
const CONCURRENT: f64 = 0.01;
/// How much likelier an inherited limiter is, as a logarithm.
const INHERITED: f64 = 3.4;
/// ln of the range that limits may lie in: the density of their prior over ln.
const LIMIT_RANGE: f64 = 14.0;

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

/// Windows that a limiter may have, each with the logarithm of its prior and, where it stands for its
/// neighbours, how far it is to the next (as a logarithm of their ratio).
pub(super) fn window_candidates() -> impl Iterator<Item = (f64, f64, f64)> {
    let step = (WINDOW_MAX / WINDOW_MIN).ln() / f64::from(UNROUND_STEPS);
    let unround = (0..UNROUND_STEPS).map(move |i| {
        let window = WINDOW_MIN * (step * (f64::from(i) + 0.5)).exp();
        // Windows of less than a second are rare, and the shorter the rarer.
        let share = UNROUND / f64::from(UNROUND_STEPS) * window.min(1.0);
        (window, share.ln(), step)
    });
    ROUND.iter().map(|(window, share)| (*window, share.ln(), 0.0)).chain(unround)
}

/// The even rate at which a bucket of few tokens is never found empty under jitter.
pub(super) fn even(rate: f64, burst: f64, latency: &Latency) -> f64 {
    let spare = (burst - 1.0).max(0.0) / rate;
    1.0 / (1.0 / rate + (latency.jitter_max - spare).max(0.0))
}

/// A fit of one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit<'a> {
    pub(super) record: &'a Excerpt,
    pub(super) latency: Latency,
    /// Its kind and window are likelier than the prior has it.
    pub(super) inherited: Option<Kind>,
}

/// A record of one limit has, as a rule, a member of at least this weight, less so much for each trip
/// beyond the second.
const CONTRADICTED: (f64, f64) = (-23.5, 1.0);

impl Fit<'_> {
    /// Every member, weighed. `None`: nothing to weigh them by.
    pub(super) fn members(&self) -> Option<Vec<Member>> {
        if self.record.trips.is_empty() {
            return None;
        }
        let mut members = Vec::new();
        self.windows(&mut members);
        self.buckets(&mut members);
        self.spaced(&mut members);
        self.concurrent(&mut members);
        if let Some(inherited) = &self.inherited {
            let heirs = members.iter_mut().filter(|m| alike(&m.kind, inherited));
            heirs.for_each(|m| m.weight += INHERITED);
        }
        Some(members)
    }

    fn windows(&self, members: &mut Vec<Member>) {
        let candidates: Vec<_> = window_candidates().collect();
        self.logs(&candidates, members);
        self.fixed(&candidates, members);
    }

    fn logs(&self, candidates: &[(f64, f64, f64)], members: &mut Vec<Member>) {
        for &(window, share, step) in candidates {
            let levels: &[u32] = if step > 0.0 { &[1, 8, 8] } else { &[1] };
            let cells = grid::refine(window.ln(), step, levels, 3, |x, step| {
                let mut bounds = families::sliding(self.record, &self.latency, x.exp());
                bounds.soften(bounds.floor * step / 4.0);
                Limit::whole(&bounds)
            });
            for cell in cells {
                let weight = share + LOG.ln() + cell.share;
                self.window_members(cell.at.exp(), None, &cell.found, weight, members);
            }
        }
    }

    /// Fixed windows: their phase is searched for first roughly and for all of them, then closely
    /// for those that may be it.
    fn fixed(&self, candidates: &[(f64, f64, f64)], members: &mut Vec<Member>) {
        const COARSE: u32 = 24;
        let rate = self.record.trips.iter().map(|trip| trip.rate).fold(0.0, f64::max);
        let search = |window: f64, levels: &[u32]| {
            grid::refine(window / 2.0, window, levels, 6, |phase, step| {
                let mut bounds = families::fixed(self.record, &self.latency, window, phase);
                bounds.soften(rate * step / 3.0);
                Limit::whole(&bounds)
            })
        };
        let rough: Vec<f64> = candidates
            .iter()
            .map(|&(window, share, _)| {
                let cells = search(window, &[COARSE]);
                share + cells.iter().map(|c| c.found.weight).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect();
        let best = rough.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (&(window, share, _), _) in
            candidates.iter().zip(&rough).filter(|(_, weight)| **weight > best - 8.0)
        {
            for cell in search(window, &[COARSE, 8, 8]) {
                let weight = share + FIXED.ln() + cell.share;
                self.window_members(window, Some(cell.at), &cell.found, weight, members);
            }
        }
    }

    fn window_members(
        &self,
        window: f64,
        phase: Option<f64>,
        limit: &Limit,
        weight: f64,
        members: &mut Vec<Member>,
    ) {
        let Ok(length) = Duration::try_from_secs_f64(window) else { return };
        let phase = phase.and_then(|p| Duration::try_from_secs_f64(p.rem_euclid(window)).ok());
        let lasting = window + self.latency.jitter_max;
        for point in &limit.points {
            let whole = point.value.round().max(1.0) as u64;
            let kind = match phase {
                None => Kind::SlidingLog { limit: whole, window: length },
                Some(phase) => Kind::FixedWindow { limit: whole, window: length, phase },
            };
            let (rate, spread) = (point.value / lasting, point.spread / lasting);
            members.push(Member { kind, rate, spread, weight: weight + point.weight });
        }
    }

    fn buckets(&self, members: &mut Vec<Member>) {
        let top = (self.record.trips.iter().map(|t| t.rate).fold(0.0, f64::max) * 1.1).ln();
        let range = 50.0_f64.ln();
        let weigh = |x: f64, step: f64| {
            let bounds = |x: f64| families::bucket(self.record, &self.latency, x.exp());
            let (low, mut mid) = (bounds(x - step / 2.0), bounds(x));
            mid.soften_towards(&low, 0.5);
            Limit::real(&mid, x.exp())
        };
        for cell in grid::refine(top - range / 2.0, range, &[120, 5, 5, 4], 6, weigh) {
            let rate = cell.at.exp();
            // So few tokens are emptied by jitter alone: see `spaced`.
            if cell.found.value < 1.05 + rate * self.latency.jitter_max {
                continue;
            }
            // Bursts of more than a minute's worth are rare, and the longer the rarer.
            let rare = -4.0 * (cell.found.value / rate / 60.0).max(1.0).ln();
            let share = BUCKET.ln() + (range / LIMIT_RANGE).ln() + cell.share;
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
        let low = (low - jitter).max(gap * 0.2);
        let step = (high - low) / f64::from(STEPS);
        for i in 0..=STEPS {
            let spacing = low + step * f64::from(i);
            let rate = 1.0 / spacing;
            let share = SPACED.ln() + (step / spacing / LIMIT_RANGE).ln();
            let weight = share + families::spaced(self.record, &self.latency, rate);
            let lasting = even(rate, 1.0, &self.latency);
            let Some(exact) = Rate::from_per_second(rate) else { continue };
            let kind = Kind::TokenBucket { rate: exact, burst: 1 };
            let spread = lasting * lasting * step / 3.0;
            members.push(Member { kind, rate: lasting, spread, weight });
        }
    }

    fn concurrent(&self, members: &mut Vec<Member>) {
        let answer = self.latency.answer.max(1e-4);
        if answer < self.latency.rtt * 1.02 {
            return;
        }
        let bounds = families::concurrent(self.record, &self.latency);
        let limit = Limit::whole(&bounds);
        if limit.value < (6.0 * bounds.blur()).max(2.5) || self.record.trips.len() < 2 {
            return;
        }
        let kind = Kind::Concurrency { limit: limit.value.round().max(1.0) as u64 };
        let weight = CONCURRENT.ln() + limit.weight;
        let spread = limit.value / answer * 0.01;
        members.push(Member { kind, rate: limit.value / answer, spread, weight });
    }
}

/// A member's limit, given its bounds.
pub(super) struct Limit {
    /// The mean of the limits that the record allows.
    pub(super) value: f64,
    /// Logarithm of their prior mass.
    pub(super) weight: f64,
    /// The whole numbers among them that matter; or all of them together.
    points: Vec<LimitPoint>,
}

struct LimitPoint {
    value: f64,
    spread: f64,
    weight: f64,
}

impl Limit {
    /// A whole number of requests.
    fn whole(bounds: &Bounds) -> Self {
        Self::weigh(
            bounds,
            bounds.floor,
            (bounds.roof() - 1.0).min(bounds.floor * 20.0),
            0.5,
            |_| 1.0,
        )
    }

    /// Any number of tokens; one second's worth of the refill is what vendors like.
    fn real(bounds: &Bounds, rate: f64) -> Self {
        const LIKED: f64 = 0.3;
        let liked = rate.max(1.0);
        let width = 0.5 + 0.005 * liked;
        let prior = move |limit: f64| {
            let z = (limit - liked) / width;
            // Against the density of all others, which is 1 / limit over the range.
            (1.0 - LIKED) + LIKED * (-z * z / 2.0).exp() / width / 2.5 * limit * LIMIT_RANGE
        };
        Self::weigh(bounds, bounds.floor, bounds.roof().min(bounds.floor * 20.0), 0.0, prior)
    }

    fn weigh(bounds: &Bounds, a: f64, b: f64, half: f64, prior: impl Fn(f64) -> f64) -> Self {
        const STEPS: u32 = 32;
        let blur = bounds.blur();
        let (mut low, mut high) =
            ((a.min(b) - 3.0 * blur - half).max(0.5), a.max(b) + 3.0 * blur + half);
        if half > 0.0 && high - low < f64::from(STEPS) - 2.0 {
            // Whole numbers, each in the middle of a step.
            low = low.floor() + 0.5;
            high = low + f64::from(STEPS);
        }
        let step = (high - low) / f64::from(STEPS);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        let mut weights = [0.0; STEPS as usize];
        for (i, weight) in weights.iter_mut().enumerate() {
            let limit = low + step * (i as f64 + 0.5);
            *weight = ln_phi((limit - bounds.floor + half) / blur)
                * bounds.witnesses.clamp(1.0, 8.0)
                + (prior(limit) * step / limit / LIMIT_RANGE).ln();
            *weight += bounds.steady.as_ref().map_or(0.0, |s| s.ln_admitted(limit));
            for (roof, blur) in &bounds.roofs {
                *weight += ln_phi((roof - limit - half) / blur);
            }
        }
        let best = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (i, weight) in weights.iter().enumerate() {
            let limit = low + step * (i as f64 + 0.5);
            let w = (weight - best).exp();
            sum += w;
            first += w * limit;
            second += w * limit * limit;
        }
        let (value, weight) = (first / sum, best + sum.ln());
        let spread = (second / sum - value * value).max(0.0).sqrt();
        // Of few whole numbers, each is a limit of its own: there is nothing between them.
        let points = if half > 0.0 && step == 1.0 && spread < 1.0 {
            let matter = weights.iter().enumerate().filter(|(_, w)| **w > weight - 4.0);
            matter
                .map(|(i, w)| LimitPoint { value: low + i as f64 + 0.5, spread: 0.05, weight: *w })
                .collect()
        } else {
            vec![LimitPoint { value, spread, weight }]
        };
        Self { value, weight, points }
    }
}

/// Logarithm of the normal distribution function, good to a percent and far into the tail.
fn ln_phi(z: f64) -> f64 {
    if z > 6.0 {
        return 0.0;
    }
    if z < -6.0 {
        return -z * z / 2.0 - (-z).ln() - 0.92;
    }
    // Abramowitz and Stegun 26.2.17.
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = t
        * (0.319_381_53
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() * 0.398_942_28 * poly;
    (if z >= 0.0 { 1.0 - tail } else { tail }).max(1e-12).ln()
}

/// Whether two limiters differ in their numbers alone, as a limit does before and after a vendor has
/// raised it.
fn alike(a: &Kind, b: &Kind) -> bool {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
    match (a, b) {
        (Kind::FixedWindow { window: a, .. }, Kind::FixedWindow { window: b, .. })
        | (Kind::SlidingLog { window: a, .. }, Kind::SlidingLog { window: b, .. })
        | (Kind::SlidingCounter { window: a, .. }, Kind::SlidingCounter { window: b, .. }) => {
            close(a.as_secs_f64(), b.as_secs_f64())
        }
        (Kind::TokenBucket { rate, burst }, Kind::TokenBucket { rate: was, burst: had }) => {
            let seconds = |burst: u64, rate: Rate| burst as f64 / rate.per_second();
            burst == had || close(seconds(*burst, *rate), seconds(*had, *was))
        }
        (Kind::Concurrency { .. }, Kind::Concurrency { .. }) => true,
        _ => false,
    }
}

/// What the members say together. `None`: the best of them contradicts the record.
pub(super) fn summary(
    members: &[Member],
    latency: &Latency,
    source: EstimateSource,
    throttles: u32,
    at: Moment,
) -> Option<Estimate> {
    let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
    if !best.is_finite() {
        return None;
    }
    let total: f64 = members.iter().map(|m| (m.weight - best).exp()).sum();
    let share = |m: &Member| (m.weight - best).exp() / total;
    let mut points: Vec<(f64, f64)> = members
        .iter()
        .flat_map(|m| {
            let third = share(m) / 3.0;
            [-1.22, 0.0, 1.22].map(|z| (m.rate + z * m.spread, third))
        })
        .filter(|(rate, _)| *rate > 0.0)
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quantile = |q: f64| {
        let mut sum = 0.0;
        points.iter().find(|(_, w)| {
            sum += w;
            sum >= q
        })
    };
    let value = quantile(0.5)?.0;
    let kinds = kind_shares(members, share);
    let (kind, confidence) = kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let likeliest = members
        .iter()
        .filter(|m| m.kind.as_str() == kind)
        .max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    Some(Estimate {
        rate: Interval {
            value,
            low: quantile(0.025)?.0,
            high: quantile(0.975).map_or(value, |p| p.0),
        },
        cautious: quantile(0.1)?.0,
        limiter: likeliest.kind,
        confidence,
        jitter: Duration::try_from_secs_f64(latency.jitter_max).unwrap_or_default(),
        source,
        throttles,
        at,
    })
}

fn kind_shares(members: &[Member], share: impl Fn(&Member) -> f64) -> Vec<(&'static str, f64)> {
    let mut kinds: Vec<(&'static str, f64)> = Vec::new();
    for m in members {
        let name = m.kind.as_str();
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += share(m),
            None => kinds.push((name, share(m))),
        }
    }
    kinds
}

/// Whether no single limit explains a record with so many trips.
pub(super) fn contradicted(members: &[Member], trips: usize) -> bool {
    let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
    best < CONTRADICTED.0 - CONTRADICTED.1 * (trips as f64 - 2.0)
}
