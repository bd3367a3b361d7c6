//! Fixed windows of odd lengths, found by when pauses ended.

use std::time::Duration;

use super::{Fit, Member};
use crate::infer::families;
use crate::infer::grid::{self, Cell, divisions, ln_sum};
use crate::infer::limit::Limit;
use crate::infer::periods::{Period, periods};
use crate::infer::prior::{FIXED, ln_odd};
use crate::infer::record::Trip;
use crate::model::Kind;

/// Who explains a record has, as a rule, at least this weight, less so much for each trip.
const EXPLAINED: (f64, f64) = (-25.0, 1.5);
/// How many of the lengths that agree with the pauses are looked at closely.
const CLOSELY: usize = 12;
/// How much likelier one may look from afar, as a logarithm.
const FLATTERED: f64 = 12.0;

impl Fit<'_> {
    /// Windows that begin when the pauses ended: of lengths that no grid would come upon.
    pub(super) fn aligned(&self, members: &mut Vec<Member>) {
        // Of so many lengths, some always agree by chance: they are asked where nothing else explains the record.
        let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
        let explained = best > EXPLAINED.0 - EXPLAINED.1 * self.record.trips.len() as f64;
        if !self.thorough || self.record.pauses.len() < 3 || explained {
            return;
        }
        let mut found: Vec<(f64, Period)> = periods(&self.record.pauses)
            .into_iter()
            .map(|period| {
                let cells = self.phases(period.ln, period.wide, &period, &[6]);
                (ln_odd(period.ln.exp(), period.wide) + ln_sum(&cells), period)
            })
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = found.first().map_or(f64::NEG_INFINITY, |f| f.0);
        found.truncate(CLOSELY);
        for (_, period) in found.iter().filter(|f| f.0 > best - FLATTERED) {
            self.closely(period, members);
        }
    }

    fn closely(&self, period: &Period, members: &mut Vec<Member>) {
        let rate = self.rate();
        let wanted = period.wide * self.span() * rate;
        let weigh =
            |ln: f64, wide: f64| grid::Weighed(ln_sum(&self.phases(ln, wide, period, &[6])));
        let levels = divisions(4, wanted);
        let mut lengths = grid::refine(period.ln, period.wide, &levels, 8, weigh);
        grid::thin(&mut lengths, 4);
        for length in lengths {
            let window = length.at.exp();
            let levels = divisions(6, period.open * rate);
            for cell in self.phases(length.at, length.width, period, &levels) {
                let phase = Duration::try_from_secs_f64(cell.at.rem_euclid(window));
                let phase = phase.unwrap_or_default();
                let odd = ln_odd(window, period.wide) + length.share;
                let begins = (period.open / window).min(1.0).ln() + cell.share;
                let kind = |limit, window| Kind::FixedWindow { limit, window, phase };
                let weight = FIXED.ln() + odd + begins;
                self.window_members((window, length.width), &cell.found, weight, kind, members);
            }
        }
    }

    /// The phases that a period leaves open, for windows of one length that stands for others about as long.
    fn phases(&self, ln: f64, wide: f64, period: &Period, levels: &[u32]) -> Vec<Cell<Limit>> {
        let (window, rate) = (ln.exp(), self.rate());
        let open = period.open + 2.0 * self.latency.jitter_max;
        grid::refine(period.begins, open.min(window), levels, 5, |phase, step| {
            let mut bounds =
                families::fixed(self.record, &self.latency, window, (phase, step / 2.0));
            bounds.soften(rate * step / 4.0);
            let shift =
                |trip: &Trip| trip.rate * ((period.begins - trip.t).abs() * wide).min(window) / 4.0;
            let blurs: Vec<f64> = self.record.trips.iter().map(shift).collect();
            bounds.soften_each(&blurs);
            Limit::whole(&bounds)
        })
    }
}
