//! Limiters that count over windows, over a grid of how long those are and where they begin.

use std::time::Duration;

use super::{Fit, Member, lasting};
use crate::infer::families::{self, Bounds, Latency};
use crate::infer::grid::{self, Cell, Weighed, divisions, ln_sum};
use crate::infer::limit::Limit;
use crate::infer::prior::{
    COUNTED_LEAST, COUNTER, FIXED, LOG, ON_DEMAND, ln_liked, window_candidates,
};
use crate::infer::record::{Excerpt, Trip};
use crate::model::Kind;

/// Windows of odd lengths that begin at fixed times and are looked at closely.
const ODD_MAX: usize = 6;

/// A window's length in seconds, the logarithm of its prior, and how far it is to the next: see [`window_candidates`].
type Candidate = (f64, f64, f64);

impl Fit<'_> {
    pub(super) fn windows(&self, members: &mut Vec<Member>) {
        let flat = self.flat;
        let candidates: Vec<_> = window_candidates().filter(|c| !flat || c.2 > 0.0).collect();
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
        self.anywhere(&long, ON_DEMAND, families::on_demand, on_demand, members);
        let fixed = |limit, window, phase| Kind::FixedWindow { limit, window, phase };
        let whole = Limit::whole as fn(&Bounds) -> Limit;
        self.phased(&candidates, FIXED, (families::fixed, whole), fixed, members);
        let counter = |limit, window, phase| Kind::SlidingCounter { limit, window, phase };
        let fractioned = Limit::fractioned as fn(&Bounds) -> Limit;
        let by_two = |record: &Excerpt, latency: &Latency, window: f64, at: (f64, f64)| {
            families::counter(record, latency, window, at.0)
        };
        self.phased(&long, COUNTER, (by_two, fractioned), counter, members);
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
        for &(window, share, step) in candidates {
            let levels: &[u32] = match step > 0.0 {
                true if self.thorough => &[1, 40, 8],
                true => &[1, 8, 8],
                false => &[1],
            };
            let kept = if self.thorough { 8 } else { 4 };
            let cells = grid::refine(window.ln(), step, levels, kept, |x, step| {
                let mut bounds = bounds(self.record, &self.latency, x.exp(), step);
                bounds.soften(bounds.floor * step / 4.0);
                Limit::whole(&bounds)
            });
            for cell in cells {
                let weight = share + prior.ln() + cell.share;
                self.window_members(cell.at.exp(), &cell.found, weight, &kind, members);
            }
        }
    }

    /// Limiters whose windows begin at fixed times: their phase is searched for first roughly and for all of
    /// them, then closely for those that may be it.
    fn phased(
        &self,
        candidates: &[Candidate],
        prior: f64,
        (bounds, limit): (
            impl Fn(&Excerpt, &Latency, f64, (f64, f64)) -> Bounds,
            fn(&Bounds) -> Limit,
        ),
        kind: impl Fn(u64, Duration, Duration) -> Kind,
        members: &mut Vec<Member>,
    ) {
        const COARSE: u32 = 24;
        // The further from here, the more a window that is a little longer shifts where others begin.
        let anchor = self.record.trips.last().map_or(0.0, |trip| trip.t);
        let (span, rate) = (self.span(), self.rate());
        let rival = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
        // `wide`: of the logarithm of the windows that this one stands for.
        let search = |window: f64, wide: f64, levels: &[u32]| {
            grid::refine(anchor - window / 2.0, window, levels, 6, |phase, step| {
                let at = (phase, step / 2.0);
                let mut bounds = bounds(self.record, &self.latency, window, at);
                bounds.soften(rate * step / 3.0);
                if wide > 0.0 && self.thorough {
                    let shift = |trip: &Trip| ((anchor - trip.t) * wide).min(window) / 3.0;
                    let blurs: Vec<f64> =
                        self.record.trips.iter().map(|trip| trip.rate * shift(trip)).collect();
                    bounds.soften_each(&blurs);
                }
                limit(&bounds)
            })
        };
        let all = |window: f64, wide: f64| search(window, wide, &[COARSE]);
        let closely = |window: f64, wide: f64| {
            let wanted = if self.thorough { window * rate } else { 0.0 };
            search(window, wide, &divisions(COARSE, wanted))
        };
        let mut add = |window: f64, weight: f64, cells: Vec<Cell<Limit>>| {
            for cell in cells {
                let phase = Duration::try_from_secs_f64(cell.at.rem_euclid(window));
                let phase = phase.unwrap_or_default();
                let kind = |limit, window| kind(limit, window, phase);
                self.window_members(window, &cell.found, weight + cell.share, kind, members);
            }
        };
        // Of the few that stand for no others, a study knows at once how well they do: from afar, long ones flatter.
        let at_once = |step: f64| self.thorough && step <= 0.0;
        let mut looks: Vec<Vec<Cell<Limit>>> = candidates
            .iter()
            .map(|&(w, _, step)| if at_once(step) { closely(w, 0.0) } else { all(w, step) })
            .collect();
        let rough: Vec<f64> =
            candidates.iter().zip(&looks).map(|(c, cells)| c.1 + ln_sum(cells)).collect();
        for i in self.worth_it(candidates, &rough, rival - prior.ln()) {
            let (window, share, step) = candidates[i];
            let share = share + prior.ln();
            if at_once(step) {
                add(window, share, std::mem::take(&mut looks[i]));
                continue;
            }
            let fine = step > 0.0 && self.thorough;
            // Until a window's end is known to within a request, wherever in the record it is.
            let levels = if fine { divisions(1, step * span * rate) } else { vec![1] };
            let weigh = |x: f64, wide: f64| Weighed(ln_sum(&all(x.exp(), wide)));
            let mut lengths = grid::refine(window.ln(), step, &levels, 10, weigh);
            if fine {
                grid::thin(&mut lengths, 5);
            }
            for length in lengths {
                let window = length.at.exp();
                add(window, share + length.share, closely(window, length.width));
            }
        }
    }

    /// Which of the candidates may be it, by how well they did from afar and how well others did.
    fn worth_it(&self, candidates: &[Candidate], rough: &[f64], rival: f64) -> Vec<usize> {
        const NEAR: f64 = 8.0;
        let odd = |c: &Candidate| c.2 > 0.0;
        // A rough search flatters, those that stand for neighbours most: who does not matter in it never will.
        let least = |of: bool| {
            let alike =
                candidates.iter().zip(rough).filter(|(c, _)| odd(c) == of || !self.thorough);
            let near = alike.map(|(_, weight)| *weight).fold(f64::NEG_INFINITY, f64::max) - NEAR;
            if self.thorough { near.max(rival - 10.0) } else { near }
        };
        let (least_odd, least_round) = (least(true), least(false));
        let mut weights: Vec<f64> = candidates
            .iter()
            .zip(rough)
            .filter(|(c, weight)| odd(c) && **weight > least_odd)
            .map(|(_, weight)| *weight)
            .collect();
        weights.sort_by(|a, b| b.total_cmp(a));
        let most = weights.get(ODD_MAX).copied().filter(|_| self.thorough).unwrap_or(least_odd);
        let matters = |i: &usize| {
            rough[*i] > if odd(&candidates[*i]) { most.max(least_odd) } else { least_round }
        };
        (0..candidates.len()).filter(matters).collect()
    }

    pub(super) fn window_members(
        &self,
        window: f64,
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
            let spread = point.spread / window;
            // One whole number, and not all of them together.
            let one = self.thorough && !self.flat && limit.points.len() > 1;
            let liked = if one { ln_liked(point.value, 1.0 / point.value) } else { 0.0 };
            members.push(Member { kind, rate, spread, weight: weight + point.weight + liked });
        }
    }
}
