//! Limiters that count over windows, over a grid of how long those are and where they begin.

use std::time::Duration;

use super::{Fit, Member, lasting};
use crate::infer::families::{self, Bounds, Latency};
use crate::infer::grid::{self, divisions, ln_sum};
use crate::infer::limit::Limit;
use crate::infer::prior::{
    COUNTED_LEAST, COUNTER, FIXED, LOG, ON_DEMAND, ln_liked, ln_odd, window_candidates,
};
use crate::infer::record::Excerpt;
use crate::model::Kind;

/// A window's length in seconds, the logarithm of its prior, and how far it is to the next: see [`window_candidates`].
pub(super) type Candidate = (f64, f64, f64);

/// What a record says of windows of a length that begin at a time, which is open by so much.
type Counted = dyn Fn(&Excerpt, &Latency, f64, (f64, f64)) -> Bounds;

/// Limiters whose windows begin at fixed times.
pub(super) struct Phased<'a> {
    pub(super) prior: f64,
    /// What is used is a whole number of requests.
    pub(super) whole: bool,
    pub(super) bounds: &'a Counted,
    pub(super) kind: &'a dyn Fn(u64, Duration, Duration) -> Kind,
    pub(super) is: fn(&Kind) -> bool,
}

impl Phased<'_> {
    pub(super) fn limit(&self, bounds: &Bounds) -> Limit {
        if self.whole { Limit::whole(bounds) } else { Limit::fractioned(bounds) }
    }

    /// By how much of a request a limit is told from what is used.
    pub(super) fn half(&self) -> f64 {
        if self.whole { 0.5 } else { 0.0 }
    }

    /// Where any part of a request may be used, how often so much was tells nothing.
    pub(super) fn witnesses(&self, bounds: Bounds) -> Bounds {
        if self.whole { bounds } else { Bounds { witnesses: 1.0, ..bounds } }
    }
}

/// What is spread by no more than this is one whole number, told from the next; and how far off it is at most, in
/// requests and as a share of it.
const ONE: f64 = 0.05;
const EXACTLY: (f64, f64) = (0.015, 0.003);

/// How much less likely round windows of less than a second are, as a logarithm, where a few refusals are all there is:
/// they agree with any few.
const BRIEF: f64 = 2.0;

/// Into how many a range of lengths or phases is divided at first.
const COARSE: u32 = 24;
/// Lengths by which fewer requests than this are told apart are one; and who is less likely than others from afar by
/// more than that, as a logarithm, is not looked at closely.
const APART: f64 = 0.25;
const FAR: f64 = 30.0;

impl Fit<'_> {
    pub(super) fn windows(&self, members: &mut Vec<Member>) {
        let flat = self.flat;
        let brief = if self.thorough { 0.0 } else { BRIEF };
        let rarer = |(window, share, step): Candidate| {
            (window, share - if step <= 0.0 && window < 1.0 { brief } else { 0.0 }, step)
        };
        let candidates: Vec<_> =
            window_candidates().filter(|c| !flat || c.2 > 0.0).map(rarer).collect();
        let sliding = |limit, window| Kind::SlidingLog { limit, window };
        let log = |record: &Excerpt, latency: &Latency, window: f64, _| {
            families::sliding(record, latency, window)
        };
        self.anywhere(&candidates, LOG, log, sliding, members);
        let on_demand = |limit, window| Kind::OnDemandWindow { limit, window };
        // Nobody counts on demand or by two windows over less than a second.
        let long: Vec<_> = candidates
            .iter()
            .copied()
            .filter(|c| c.0 * (c.2 / 2.0).exp() >= COUNTED_LEAST)
            .collect();
        // Until these end everybody is refused who comes too late, whether that counts or not.
        let ends = self.record.counted.is_none();
        if ends {
            self.anywhere(&long, ON_DEMAND, families::on_demand, on_demand, members);
        }
        let fixed = Phased {
            prior: FIXED,
            whole: true,
            bounds: &families::fixed,
            kind: &|limit, window, phase| Kind::FixedWindow { limit, window, phase },
            is: |kind| matches!(kind, Kind::FixedWindow { .. }),
        };
        if ends {
            self.phased(&candidates, &fixed, members);
        }
        let counter = Phased {
            prior: COUNTER,
            whole: false,
            bounds: &|record, latency, window, at| families::counter(record, latency, window, at.0),
            kind: &|limit, window, phase| Kind::SlidingCounter { limit, window, phase },
            is: |kind| matches!(kind, Kind::SlidingCounter { .. }),
        };
        self.phased(&long, &counter, members);
    }

    /// Limiters whose windows are as long as one of the candidates and have no phase.
    fn anywhere(
        &self,
        candidates: &[Candidate],
        prior: f64,
        bounds: impl Fn(&Excerpt, &Latency, f64, f64) -> Bounds,
        kind: impl Fn(u64, Duration) -> Kind,
        members: &mut Vec<Member>,
    ) {
        let rate = self.rate();
        let weigh = |x: f64, step: f64| {
            let at = |x: f64| bounds(self.record, &self.latency, x.exp(), step);
            let mut found = at(x);
            // Whoever asks just before a window ends tells its length so closely that one that stands for others would
            // pass it by.
            if self.thorough && step * x.exp() * rate > APART {
                found = found.or(&at(x - step / 2.0)).or(&at(x + step / 2.0));
            }
            found.soften(found.floor * step / 4.0);
            Limit::whole(&found)
        };
        let near = if self.thorough { near(candidates, weigh) } else { candidates.to_vec() };
        for (window, share, step) in near {
            let (levels, kept) = match (step > 0.0, self.thorough) {
                (true, true) => (divisions(COARSE, step * window * rate / APART), 16),
                (true, false) => (vec![1, 8, 8], 4),
                (false, _) => (vec![1], 1),
            };
            let cells = grid::refine(window.ln(), step, &levels, kept, weigh);
            for cell in cells {
                let weight = share + prior.ln() + cell.share;
                let length = (cell.at.exp(), cell.width);
                self.window_members(length, &cell.found, weight, &kind, members);
            }
        }
    }

    /// Limiters whose windows begin at fixed times: their phase is searched for first roughly and for all of
    /// them, then closely for those that may be it. A study looks at round ones closely at once (from afar, long ones
    /// flatter), and for odd ones elsewhere: see [`Fit::aligned`] and [`Fit::odd`].
    fn phased(&self, candidates: &[Candidate], family: &Phased<'_>, members: &mut Vec<Member>) {
        if self.sure.is_some_and(|sure| !(family.is)(&sure.kind)) {
            return;
        }
        let rival =
            |members: &[Member]| members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
        let anchor = self.record.trips.last().map_or(0.0, |trip| trip.t);
        let rate = self.rate();
        let kept = if self.thorough { 24 } else { 6 };
        let search = |window: f64, levels: &[u32]| {
            grid::refine(anchor - window / 2.0, window, levels, kept, |phase, step| {
                let at = (phase, step / 2.0);
                let mut bounds = (family.bounds)(self.record, &self.latency, window, at);
                bounds.soften(rate * step / 3.0);
                family.limit(&bounds)
            })
        };
        let closely = |window: f64| {
            let closer = if family.whole { 1.0 } else { 8.0 };
            let wanted = if self.thorough { window * rate * closer } else { 0.0 };
            search(window, &divisions(COARSE, wanted))
        };
        let add = |&(window, share, _): &Candidate, members: &mut Vec<Member>| {
            for cell in closely(window) {
                let phase = Duration::try_from_secs_f64(cell.at.rem_euclid(window));
                let phase = phase.unwrap_or_default();
                let kind = |limit, window| (family.kind)(limit, window, phase);
                let weight = share + family.prior.ln() + cell.share;
                self.window_members((window, 0.0), &cell.found, weight, kind, members);
            }
        };
        if self.thorough {
            let round = candidates.iter().filter(|c| c.2 <= 0.0);
            round.for_each(|candidate| add(candidate, members));
            if self.aligned(family, members) {
                return;
            }
            let odd = match &self.sure {
                Some(sure) => vec![about(sure.lengths)],
                None => candidates.iter().copied().filter(|c| c.2 > 0.0).collect(),
            };
            self.odd(&odd, family, rival(members), members);
            return;
        }
        // A rough search flatters: who does not matter in it never will.
        const NEAR: f64 = 8.0;
        let rough: Vec<f64> =
            candidates.iter().map(|c| c.1 + ln_sum(&search(c.0, &[COARSE]))).collect();
        let least = rough.iter().copied().fold(f64::NEG_INFINITY, f64::max) - NEAR;
        let near = candidates.iter().zip(&rough).filter(|(_, weight)| **weight > least);
        near.for_each(|(candidate, _)| add(candidate, members));
    }

    /// Windows of a length that stands for others, which differ by so much (of its logarithm).
    pub(super) fn window_members(
        &self,
        (window, wide): (f64, f64),
        limit: &Limit,
        weight: f64,
        kind: impl Fn(u64, Duration) -> Kind,
        members: &mut Vec<Member>,
    ) {
        let Ok(length) = Duration::try_from_secs_f64(window) else { return };
        for point in &limit.points {
            let kind = kind(point.value.round().max(1.0) as u64, length);
            // Where one of so few begins is not known well enough; and a bucket tells the same.
            if matches!(kind, Kind::OnDemandWindow { limit: 0..3, .. }) {
                continue;
            }
            let rate = lasting(&kind, point.value, &self.latency);
            // Where windows begin and end is known no closer than jitter lets it be; round ones are what they are.
            let open = if wide > 0.0 { self.latency.jitter_max / window / 2.0 } else { 0.0 };
            let longer = if self.thorough { rate * (wide / 3.5).hypot(open) } else { 0.0 };
            // A limit of a few that is one whole number is known exactly: the rest is the margin's to cover.
            let exact = point.value * EXACTLY.1;
            let exact = if point.spread <= ONE { exact.min(EXACTLY.0) } else { point.spread };
            let spread = (exact / window).hypot(longer);
            // One whole number, and not all of them together.
            let one = if self.thorough { limit.points.len() > 1 } else { point.spread <= ONE };
            let liked =
                if one && !self.flat { ln_liked(point.value, 1.0 / point.value) } else { 0.0 };
            members.push(Member { kind, rate, spread, weight: weight + point.weight + liked });
        }
    }
}

/// Those of the candidates that may matter, as seen from afar.
fn near(candidates: &[Candidate], weigh: impl Fn(f64, f64) -> Limit) -> Vec<Candidate> {
    let afar: Vec<f64> = candidates.iter().map(|c| weigh(c.0.ln(), c.2).weight).collect();
    let least = afar.iter().copied().fold(f64::NEG_INFINITY, f64::max) - FAR;
    let near = candidates.iter().zip(afar).filter(|(_, weight)| *weight > least);
    near.map(|(candidate, _)| *candidate).collect()
}

/// A candidate that stands for all lengths about these.
fn about((low, high): (f64, f64)) -> Candidate {
    /// How much further they may be apart, and at least, as a ratio.
    const WIDER: (f64, f64) = (2.0, 0.004);
    let wide = ((high / low).ln() * WIDER.0).max(WIDER.1);
    let window = (low * high).sqrt();
    (window, ln_odd(window, wide), wide)
}
