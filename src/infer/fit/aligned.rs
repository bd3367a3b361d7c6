//! Windows of odd lengths that begin at fixed times, found by when one of them must have begun. A pause of a fixed
//! window ends with it. And every refusal tells how much was used: of a fixed window, it began just before the first
//! of so many requests; of a sliding counter, at one of two times.

use std::time::Duration;

use super::windows::Phased;
use super::{Fit, Member};
use crate::infer::grid::{self, Cell, divisions, ln_sum};
use crate::infer::limit::Limit;
use crate::infer::periods::{Period, Place, Wanted};
use crate::infer::prior::{COUNTED_LEAST, WINDOW_MAX, ln_odd};
use crate::infer::record::Trip;

/// Who explains a record has, as a rule, at least this weight, less so much for each trip.
const EXPLAINED: (f64, f64) = (-25.0, 1.5);
/// Fewer places tell nothing, however well they agree; and so many of them have to be narrow enough to tell of a length.
const PLACES_MIN: usize = 2;
const TELLING: usize = 3;
/// Limits that are tried, and how many silences before a refusal they are counted from.
const LIMITS: usize = 6;
const SILENCES: usize = 3;
/// The shortest windows that are looked for, in seconds.
const LEAST: f64 = 0.25;
/// How many of the lengths that agree are looked at closely.
const CLOSELY: usize = 24;

/// A length that agrees, and what it is worth from afar.
struct Found {
    period: Period,
    weight: f64,
}

impl grid::Worth for Found {
    fn weight(&self) -> f64 {
        self.weight
    }
}

impl Fit<'_> {
    /// Whether they explain the record.
    pub(super) fn aligned(&self, family: &Phased<'_>, members: &mut Vec<Member>) -> bool {
        let mut found: Vec<Cell<Found>> = Vec::new();
        for limit in self.limits() {
            let periods = if family.whole { self.by_first(limit) } else { self.by_count(limit) };
            found.extend(periods.into_iter().map(|period| {
                let cells = self.phases(family, (period.ln, period.wide), &period, &[6]);
                let begins = (period.open / period.ln.exp()).min(1.0).ln();
                let weight = ln_odd(period.ln.exp(), period.wide) + begins + ln_sum(&cells);
                let found = Found { period, weight };
                Cell { at: period.ln, width: period.wide, share: 0.0, found }
            }));
        }
        grid::thin(&mut found, CLOSELY);
        let before = members.len();
        for cell in &found {
            self.closely(family, &cell.found.period, cell.share, members);
        }
        let best = members[before..].iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
        best > EXPLAINED.0 - EXPLAINED.1 * self.record.trips.len() as f64
    }

    /// Limits that it may be: what had been admitted before each refusal since the one before, or since one of the
    /// silences before it. From rest, that is the limit as often as no window begins meanwhile; those that recur come
    /// first, and the least.
    fn limits(&self) -> Vec<f64> {
        let mut reader = self.record.sends.reader();
        let mut before = 0.0;
        let mut counts: Vec<f64> = Vec::new();
        for trip in &self.record.trips {
            let admitted = reader.at(trip.t);
            counts.push(admitted - std::mem::replace(&mut before, admitted));
            counts.extend(self.admitted_since_silences(trip));
        }
        counts.sort_by(f64::total_cmp);
        let alike = |a: &f64, b: &f64| b - a < 1.0;
        let mut groups: Vec<(usize, f64)> = counts
            .chunk_by(alike)
            .map(|group| (group.len(), group[group.len() / 2]))
            .filter(|(_, limit)| *limit >= 2.0)
            .collect();
        groups.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)));
        groups.truncate(LIMITS);
        groups.into_iter().map(|(_, limit)| limit).collect()
    }

    fn admitted_since_silences(&self, trip: &Trip) -> Vec<f64> {
        let points = self.record.sends.points();
        let end = points.partition_point(|p| p.t <= trip.t);
        let admitted = self.record.sends.reader().at(trip.t);
        let silent = (8.0 / trip.rate).max(4.0 * self.latency.jitter_max).max(0.05);
        let pairs = points[..end].windows(2).rev();
        let silences =
            pairs.filter(|pair| pair[1].n - pair[0].n <= 1.0 && pair[1].t - pair[0].t > silent);
        silences.take(SILENCES).map(|pair| admitted - pair[0].n).collect()
    }

    /// Between these lengths, in seconds, or those of them that are not yet excluded.
    fn wanted(&self, least: f64) -> Wanted {
        const WIDER: f64 = 1.002;
        let anchor = self.record.trips.last().map_or(0.0, |trip| trip.t);
        let (low, high) = self.sure.map_or((LEAST, WINDOW_MAX), |sure| sure.lengths);
        Wanted {
            lengths: (least.max(low / WIDER), WINDOW_MAX.min(high * WIDER)),
            anchor,
            span: anchor - self.record.sends.start(),
            fine: (2.0 * self.latency.jitter_max).max(1.0 / self.rate()),
        }
    }

    /// Fixed windows, if this is the limit.
    fn by_first(&self, limit: f64) -> Vec<Period> {
        let jitter = self.latency.jitter_max;
        let mut reader = self.record.sends.reader();
        let place = |from: f64, to: f64| Place { at: (from + to) / 2.0, within: vec![(from, to)] };
        let first = self.record.trips.iter().filter_map(|trip| {
            let unsettled = if trip.settled { 0.0 } else { (trip.rate * jitter).ceil() };
            let before = (reader.at(trip.t) - limit).round();
            let from = self.record.sends.when(before - unsettled)?;
            let to = self.record.sends.when(before + 1.0 + unsettled)?;
            Some(place(from - jitter, to + jitter))
        });
        let pauses = self.record.pauses.iter().map(|(from, to)| place(*from, *to));
        let places: Vec<Place> = first.chain(pauses).collect();
        let mut open: Vec<f64> = places.iter().map(Place::open).collect();
        open.sort_by(f64::total_cmp);
        let Some(telling) = open.get(TELLING.min(open.len()).max(PLACES_MIN) - 1) else {
            return Vec::new();
        };
        let wanted = self.wanted(LEAST.max(2.0 * telling));
        let fine = wanted.fine.max(open[0]);
        Wanted { fine, ..wanted }.periods(|_, _| places.clone())
    }

    /// Sliding counters, if this is the limit.
    fn by_count(&self, limit: f64) -> Vec<Period> {
        // Who was still refused when much had been forgotten may have been so by any that was left.
        let met = || self.record.trips.iter().filter(|trip| trip.met);
        if met().count() <= PLACES_MIN {
            return Vec::new();
        }
        let wanted = self.wanted(COUNTED_LEAST);
        wanted.periods(|window, wide| {
            let closest = (wanted.span * wide).max(wanted.fine);
            met().map(|trip| self.counted_to(limit, trip, (window, wide), closest)).collect()
        })
    }

    /// When a window of a sliding counter began, if the limit was reached by a trip.
    fn counted_to(
        &self,
        limit: f64,
        trip: &Trip,
        (window, wide): (f64, f64),
        closest: f64,
    ) -> Place {
        /// Into how many parts a window is divided at first, and how far off a count may be.
        const PARTS: u32 = 32;
        const OFF: f64 = 0.7;
        let [mut now, mut first, mut before] = [(); 3].map(|()| self.record.counted().reader());
        let admitted = now.at(self.record.just_before(trip.t));
        let off = OFF + if trip.settled { 0.0 } else { trip.rate * self.latency.jitter_max };
        let mut over = |begin: f64| {
            let at_begin = first.at(begin);
            let previous = at_begin - before.at(begin - window);
            let used = admitted - at_begin + previous * (1.0 - (trip.t - begin) / window);
            // Above one it is too much, below minus one too little.
            (used - (limit - 0.5)) / (0.5 + off)
        };
        let part = window / f64::from(PARTS);
        let mut within: Vec<(f64, f64)> = Vec::new();
        let mut from = (trip.t - window, over(trip.t - window));
        for i in 1..=PARTS {
            let at = trip.t - window + part * f64::from(i);
            let to = (at, over(at));
            between(&mut over, from, to, closest.min(part), &mut within);
            from = to;
        }
        let shift = self.latency.jitter_max + window * wide / 2.0;
        within.iter_mut().for_each(|(from, to)| (*from, *to) = (*from - shift, *to + shift));
        Place { at: trip.t, within }
    }

    fn closely(&self, family: &Phased<'_>, period: &Period, times: f64, members: &mut Vec<Member>) {
        // Parts of requests are told apart much closer than whole ones.
        let closer = if family.whole { 1.0 } else { 8.0 };
        let rate = self.rate();
        let wanted = period.wide * self.span() * rate * closer;
        let weigh = |ln: f64, wide: f64| {
            grid::Weighed(ln_sum(&self.phases(family, (ln, wide), period, &[6])))
        };
        let levels = divisions(4, wanted);
        let mut lengths = grid::refine(period.ln, period.wide, &levels, 8, weigh);
        grid::thin(&mut lengths, 4);
        for length in lengths {
            let window = length.at.exp();
            let levels = divisions(6, period.open * rate * closer);
            for cell in self.phases(family, (length.at, length.width), period, &levels) {
                let phase = Duration::try_from_secs_f64(cell.at.rem_euclid(window));
                let phase = phase.unwrap_or_default();
                let odd = ln_odd(window, period.wide) + length.share + times;
                let begins = (period.open / window).min(1.0).ln() + cell.share;
                let kind = |limit, window| (family.kind)(limit, window, phase);
                let weight = family.prior.ln() + odd + begins;
                self.window_members((window, length.width), &cell.found, weight, kind, members);
            }
        }
    }

    /// The phases that a period leaves open, for windows of one length that stands for others about as long.
    fn phases(
        &self,
        family: &Phased<'_>,
        (ln, wide): (f64, f64),
        period: &Period,
        levels: &[u32],
    ) -> Vec<Cell<Limit>> {
        let (window, rate) = (ln.exp(), self.rate());
        let open = period.open + 2.0 * self.latency.jitter_max;
        grid::refine(period.begins, open.min(window), levels, 5, |phase, step| {
            let at = (phase, step / 2.0);
            let mut bounds = (family.bounds)(self.record, &self.latency, window, at);
            bounds.soften(rate * step / 4.0);
            let shift =
                |trip: &Trip| trip.rate * ((period.begins - trip.t).abs() * wide).min(window) / 4.0;
            let blurs: Vec<f64> = self.record.trips.iter().map(shift).collect();
            bounds.soften_each(&blurs);
            family.limit(&bounds)
        })
    }
}

/// Where a function is between minus one and one, as closely as asked for, given its values at two places.
fn between(
    f: &mut impl FnMut(f64) -> f64,
    from: (f64, f64),
    to: (f64, f64),
    closest: f64,
    within: &mut Vec<(f64, f64)>,
) {
    if from.1.max(to.1) < -1.0 || from.1.min(to.1) > 1.0 {
        return;
    }
    let inside = from.1.abs() <= 1.0 && to.1.abs() <= 1.0;
    if inside || to.0 - from.0 <= closest {
        match within.last_mut().filter(|last| last.1 >= from.0) {
            Some(last) => last.1 = to.0,
            None => within.push((from.0, to.0)),
        }
        return;
    }
    let at = (from.0 + to.0) / 2.0;
    let middle = (at, f(at));
    between(f, from, middle, closest, within);
    between(f, middle, to, closest, within);
}
