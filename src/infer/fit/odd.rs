//! Windows of odd lengths that begin at fixed times, where no refusal says when one of them began (see `aligned`): no
//! grid of lengths and phases comes upon them.
//!
//! First every part of the record is asked by itself, as if its windows began at a time of their own: that takes no
//! more than a rough length. Of the lengths that explain all parts, length and phase are then searched for together, from
//! the latest part backwards: a length that is known better tells where windows began longer ago.

use std::cell::OnceCell;
use std::time::Duration;

use super::windows::{Candidate, Phased};
use super::{Fit, Member};
use crate::infer::families::Bounds;
use crate::infer::grid::{self, Cell, Worth};
use crate::infer::limit::{LIMIT_RANGE, Likelihood, Limit};
use crate::infer::record::Excerpt;

/// Phases that are tried of every part.
const PHASES: u32 = 24;
/// How many lengths are looked at closely, how much better others may do from afar, as a logarithm, and how much a look
/// from afar flatters.
const CLOSELY: usize = 3;
const NEAR: f64 = 9.0;
const FLATTERED: f64 = 16.0;
/// Into how many each of them is divided before phases are looked for.
const LENGTHS: u32 = 12;
/// Lengths and phases that are divided further: at first, while little of the record tells them apart, and then.
const KEPT: (usize, usize) = (96, 48);
const LEVELS: (usize, usize) = (8, 28);
/// Of an interval, the standard deviation.
const UNIFORM: f64 = 1.0 / 1.73;

/// A length and a phase, and those about them.
struct Patch {
    ln: f64,
    wide: f64,
    phase: f64,
    open: f64,
    limit: Limit,
}

impl Worth for Patch {
    fn weight(&self) -> f64 {
        self.limit.weight
    }
}

impl Patch {
    /// Whether its phase is to be divided next, and not its length: what leaves more open of the windows that are told
    /// apart. The record goes back by `span`; nothing needs to be known closer than `fine`.
    fn is_later(&self, span: f64, fine: f64) -> bool {
        const ENOUGH: f64 = 1.0 / 200.0;
        let window = self.ln.exp();
        let reach = reach(window, self.wide, self.open);
        let more = self.open > ENOUGH * window || reach >= span;
        let later = more && self.open > reach.min(span) * self.wide && self.open > fine;
        later || self.wide * span <= fine
    }
}

/// A record, and the parts of it since each of the places where it is divided: many patches are asked what the same
/// part says of them.
struct Past<'a> {
    record: &'a Excerpt,
    /// Windows are no longer than this.
    window: f64,
    /// Where it is divided, the beginning first.
    ends: Vec<f64>,
    /// Since each of these; and how many refusals came before.
    since: Vec<OnceCell<(Excerpt, usize)>>,
}

impl<'a> Past<'a> {
    fn of(record: &'a Excerpt, window: f64) -> Self {
        let begin = std::iter::once(f64::NEG_INFINITY);
        let ends: Vec<f64> = begin.chain(divided(record, window)).collect();
        let since = ends.iter().map(|_| OnceCell::new()).collect();
        Self { record, window, ends, since }
    }

    /// The latest part in which it is known which window a request belongs to, if that is known since `from`; and how
    /// many refusals are no part of it.
    fn known(&self, from: f64) -> &(Excerpt, usize) {
        // At least what the last two places tell.
        let latest = self.ends.len().saturating_sub(2);
        let known = match from <= self.record.sends.start() {
            true => 0,
            false => self.ends.partition_point(|end| *end < from).min(latest),
        };
        self.since[known].get_or_init(|| {
            let part = self.record.between(self.ends[known], f64::INFINITY, 2.1 * self.window);
            let unseen = self.record.trips.len() - part.trips.len();
            (part, unseen)
        })
    }
}

/// Where a record is divided: after refusals that lie no further apart than a window and a half.
fn divided(record: &Excerpt, window: f64) -> Vec<f64> {
    const APART: f64 = 1.5;
    let mut ends: Vec<f64> = Vec::new();
    let mut begun = f64::NEG_INFINITY;
    for trip in &record.trips {
        if trip.t - begun > APART * window {
            ends.push(trip.t);
            begun = trip.t;
        } else if let Some(end) = ends.last_mut() {
            *end = trip.t;
        }
    }
    ends
}

impl Fit<'_> {
    /// Of the candidates those that stand for their neighbours. `rival`: how well others do.
    pub(super) fn odd(
        &self,
        candidates: &[Candidate],
        family: &Phased<'_>,
        rival: f64,
        members: &mut Vec<Member>,
    ) {
        let weigh = |ln: f64, wide: f64| self.unphased(family, ln, wide);
        let mut lengths: Vec<Cell<Limit>> = candidates
            .iter()
            .map(|c| {
                let ln = c.0.ln();
                Cell { at: ln, width: c.2, share: c.1, found: weigh(ln, c.2) }
            })
            .collect();
        let weight = |cell: &Cell<Limit>| cell.share + cell.found.weight;
        lengths.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        let best = lengths.first().map_or(f64::NEG_INFINITY, weight);
        let least = (best - NEAR).max(rival - family.prior.ln() - FLATTERED);
        lengths.retain(|cell| weight(cell) > least);
        lengths.truncate(CLOSELY);
        for length in lengths {
            let mut finer = length.divide(LENGTHS, weigh);
            grid::thin(&mut finer, LENGTHS as usize);
            let others = members.iter().map(|m| m.weight).fold(rival, f64::max);
            for cell in self.together(family, finer, others) {
                let window = cell.found.ln.exp();
                let phase = Duration::try_from_secs_f64(cell.found.phase.rem_euclid(window));
                let phase = phase.unwrap_or_default();
                let kind = |limit, window| (family.kind)(limit, window, phase);
                let weight = family.prior.ln() + cell.share;
                let length = (window, cell.found.wide);
                self.window_members(length, &cell.found.limit, weight, kind, members);
            }
        }
    }

    /// What the record leaves of the limit, if windows are about so long and begin at another time in each of its parts.
    fn unphased(&self, family: &Phased<'_>, ln: f64, wide: f64) -> Limit {
        let window = ln.exp();
        let ends = divided(self.record, window);
        let begins = std::iter::once(f64::NEG_INFINITY).chain(ends.iter().copied());
        let parts: Vec<Vec<Bounds>> = begins
            .zip(ends.iter().copied().chain([f64::INFINITY]))
            .map(|(from, to)| {
                let part = self.record.between(from, to, 2.1 * window);
                let until = part.sends.points().last().map_or(0.0, |p| p.t).min(to);
                let open = window / f64::from(PHASES);
                (0..PHASES)
                    .map(|i| until - open * (f64::from(i) + 0.5))
                    .map(|phase| self.about(family, &part, (ln, wide), (phase, open)))
                    .collect()
            })
            .collect();
        left_by(&parts, family)
    }

    /// What a record says of windows about so long that begin at about that time, each as a middle and a width.
    fn about(
        &self,
        family: &Phased<'_>,
        record: &Excerpt,
        (ln, wide): (f64, f64),
        (phase, open): (f64, f64),
    ) -> Bounds {
        let (window, part) = (ln.exp(), open / 2.0);
        let bounds = |longer: f64, later: f64| {
            let at = (phase + later, part);
            (family.bounds)(record, &self.latency, window * (1.0 + longer), at)
        };
        let mut found = bounds(0.0, 0.0);
        // Where each window begins as late as it may, and as early.
        let others = [bounds(-wide / 2.0, part), bounds(wide / 2.0, -part)];
        let floor_blur = found.below();
        for i in 0..found.roofs.len() {
            let off = |other: &Bounds| (other.roofs[i].0 - found.roofs[i].0).abs();
            let off = others.iter().map(off).fold(0.0, f64::max);
            found.roofs[i].1 += off * UNIFORM;
        }
        let below = |other: &Bounds| (other.floor - found.floor).abs();
        let below = others.iter().map(below).fold(0.0, f64::max);
        found.floor_blur = Some(floor_blur + below * UNIFORM);
        found
    }

    /// Of these lengths, which explain the whole record with windows that begin at one time, and at which; none, if that is
    /// far less likely than others are.
    fn together(
        &self,
        family: &Phased<'_>,
        lengths: Vec<Cell<Limit>>,
        rival: f64,
    ) -> Vec<Cell<Patch>> {
        let anchor = self.record.trips.last().map_or(0.0, |trip| trip.t);
        let span = anchor - self.record.sends.start();
        let fine = self.latency.jitter.max(0.25 / self.rate());
        let longest = lengths.iter().map(|cell| cell.at).fold(f64::NEG_INFINITY, f64::max);
        let past = Past::of(self.record, longest.exp());
        let patch = |ln: f64, wide: f64, phase: f64, open: f64| {
            let (record, unseen) = past.known(anchor - reach(ln.exp(), wide, open));
            let mut bounds = self.about(family, record, (ln, wide), (phase, open));
            bounds.luck -= *unseen as f64 * std::f64::consts::LN_2;
            Patch { ln, wide, phase, open, limit: family.limit(&bounds) }
        };
        let mut cells: Vec<Cell<Patch>> = Vec::new();
        for cell in lengths {
            let open = cell.at.exp() / f64::from(PHASES);
            let share = cell.share - f64::from(PHASES).ln();
            cells.extend((0..PHASES).map(|i| {
                let phase = anchor - open * (f64::from(i) + 0.5);
                let found = patch(cell.at, cell.width, phase, open);
                Cell { at: cell.at, width: cell.width, share, found }
            }));
        }
        for level in 0..LEVELS.1 {
            grid::thin(&mut cells, if level < LEVELS.0 { KEPT.0 } else { KEPT.1 });
            // What is known better does not become likelier, by much.
            if family.prior.ln() + grid::ln_sum(&cells) < rival - FLATTERED {
                return Vec::new();
            }
            let known = |p: &Patch| p.open <= fine && p.wide * span <= fine;
            if cells.iter().all(|cell| known(&cell.found)) {
                break;
            }
            let divide = |cell: Cell<Patch>| match &cell.found {
                p if known(p) => vec![cell],
                p => divided_patch(&cell, p.is_later(span, fine), patch),
            };
            cells = cells.into_iter().flat_map(divide).collect();
        }
        grid::thin(&mut cells, KEPT.1 / 2);
        cells
    }
}

/// How long ago windows are still told apart that begin at a time that is open by so much now and are so long.
fn reach(window: f64, wide: f64, open: f64) -> f64 {
    const PART: f64 = 1.0 / 6.0;
    (window * PART - open / 2.0).max(0.0) * 2.0 / wide.max(1e-12)
}

/// Divides a patch by its phase, or by its length.
fn divided_patch(
    cell: &Cell<Patch>,
    later: bool,
    patch: impl Fn(f64, f64, f64, f64) -> Patch,
) -> Vec<Cell<Patch>> {
    const PARTS: u32 = 4;
    let p = &cell.found;
    let off = |i: u32| (f64::from(i) + 0.5) / f64::from(PARTS) - 0.5;
    let part = 1.0 / f64::from(PARTS);
    let found = |i: u32| {
        if later {
            patch(p.ln, p.wide, p.phase + p.open * off(i), p.open * part)
        } else {
            patch(p.ln + p.wide * off(i), p.wide * part, p.phase, p.open)
        }
    };
    (0..PARTS)
        .map(|i| {
            let found = found(i);
            Cell { at: found.ln, width: found.wide, share: cell.share + part.ln(), found }
        })
        .collect()
}

/// What is left of a limit by several parts of a record, each of which is as one of its phases has it.
fn left_by(parts: &[Vec<Bounds>], family: &Phased<'_>) -> Limit {
    const STEPS: u32 = 48;
    let most = |of: &dyn Fn(&Bounds) -> f64, part: &[Bounds]| {
        part.iter().map(of).fold(f64::NEG_INFINITY, f64::max)
    };
    let roof = |b: &Bounds| b.roof() + 3.0 * b.blur();
    let floor = |b: &Bounds| 3.0 * b.below() - b.floor;
    let high = parts.iter().map(|part| most(&roof, part)).fold(f64::INFINITY, f64::min);
    let low = parts.iter().map(|part| -most(&floor, part)).fold(0.5, f64::max);
    let (low, high) = (low.min(high).max(0.5), high.max(low).min(low.max(1.0) * 20.0));
    let step = ((high - low) / f64::from(STEPS)).max(1e-9);
    let mut weights = vec![0.0; STEPS as usize];
    for part in parts {
        let softened = part.iter().cloned().map(|mut bounds| {
            bounds.soften(step / 3.0);
            family.witnesses(bounds)
        });
        let softened: Vec<Bounds> = softened.collect();
        let likely: Vec<Likelihood<'_>> =
            softened.iter().map(|bounds| Likelihood::of(bounds, family.half())).collect();
        for (i, weight) in weights.iter_mut().enumerate() {
            let limit = low + step * (i as f64 + 0.5);
            let all: Vec<f64> = likely.iter().map(|likely| likely.ln(limit, 1.0)).collect();
            let best = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = all.iter().map(|ln| (ln - best).exp()).sum();
            *weight += best + (sum / all.len() as f64).ln();
        }
    }
    let at = |i: usize| low + step * (i as f64 + 0.5);
    let weights: Vec<f64> =
        weights.iter().enumerate().map(|(i, w)| w + (step / at(i) / LIMIT_RANGE).ln()).collect();
    let best = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = weights.iter().map(|w| (w - best).exp()).sum();
    let value =
        weights.iter().enumerate().map(|(i, w)| (w - best).exp() * at(i)).sum::<f64>() / sum;
    Limit { value, weight: best + sum.ln(), points: Vec::new() }
}
