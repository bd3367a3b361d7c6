//! Queues. What one refuses is what a bucket of the same rate would: how many are missing when it does is its depth,
//! and that they are equally many each time tells its rate, closer than delays do.

use super::{Fit, Member, Served};
use crate::infer::families;
use crate::infer::grid::ln_sum_of;
use crate::infer::limit::LIMIT_RANGE;
use crate::infer::prior::BUCKET;
use crate::infer::record::Trip;
use crate::model::{Kind, Rate};

/// Rates that are tried: so many on either side of what delays tell, and how far apart, in its standard deviations.
const STEPS: i32 = 24;
const APART: f64 = 0.125;
/// Which whole number the depth is may be off by so much, and by such a share of what each refusal may be.
const OFF: (f64, f64) = (0.3, 0.1);
/// Depths further off than so many standard deviations do not matter.
const FAR: f64 = 4.0;
/// So often a refusal is off by far more than it seems, and by how many times.
const ODDLY: (f64, f64) = (0.02, 5.0);

/// How many were waiting when one more was refused: `exactly` so many, or no more than that, where nobody had come for
/// long.
struct Waiting {
    up_to: f64,
    blur: f64,
    exactly: bool,
}

impl Fit<'_> {
    /// Its delays tell the rate, whatever jitter makes of refusals: those tell the depth.
    pub(super) fn queues(&self, served: &Served, members: &mut Vec<Member>) {
        let rate = |i: i32| served.rate * (served.spread * f64::from(i) * APART).exp();
        let roofs = |i: i32| families::bucket(self.record, &self.latency, rate(i)).roofs;
        let mut before = roofs(-STEPS - 1);
        for i in -STEPS..=STEPS {
            let roofs = roofs(i);
            let trips = self.record.trips.iter().zip(roofs.iter().zip(&before));
            let waiting: Vec<Waiting> = trips
                .map(|(trip, (roof, at_last))| waiting(trip, *roof, roof.0 - at_last.0, rate(i)))
                .collect();
            let off = f64::from(i) * APART;
            let share = BUCKET.ln() - off * off / 2.0 + (APART / 2.507).ln();
            self.depths((rate(i), share), rate(i) * served.spread * APART, &waiting, members);
            before = roofs;
        }
    }

    /// The depths that refusals leave open, at a rate that stands for others as far apart as that.
    fn depths(
        &self,
        (rate, share): (f64, f64),
        apart: f64,
        waiting: &[Waiting],
        members: &mut Vec<Member>,
    ) {
        let sharp = |w: &&Waiting| if w.exactly { w.blur.powi(-2) } else { 0.0 };
        let total: f64 = waiting.iter().map(|w| sharp(&w)).sum();
        let Some(exact) = Rate::from_per_second(rate).filter(|_| total > 0.0) else { return };
        let mean = waiting.iter().map(|w| w.up_to * sharp(&w)).sum::<f64>() / total;
        let close = total.sqrt().recip();
        let each = close * (waiting.iter().filter(|w| w.exactly).count() as f64).sqrt();
        let spread = close.hypot(OFF.0).hypot(each * OFF.1);
        let likely: f64 = waiting.iter().map(|w| w.ln(mean)).sum();
        let ln = |limit: f64| -((limit - mean) / spread).powi(2) / 2.0;
        let least = (mean - FAR * spread).ceil().max(1.0) as u64;
        let most = (mean + FAR * spread).floor().max(1.0) as u64;
        // Of many, some stand for all.
        let every = ((most.saturating_sub(least)) / 24).max(1) as usize;
        let limits: Vec<u64> = (least..=most.max(least)).step_by(every).collect();
        let together = ln_sum_of(limits.iter().map(|limit| ln(*limit as f64)));
        let prior = (1.0_f64.max(spread) / mean.max(1.0) / LIMIT_RANGE).ln();
        for limit in limits {
            let kind = Kind::Queue { rate: exact, depth: limit - 1 };
            let weight = share + prior + likely + ln(limit as f64) - together;
            members.push(Member { kind, rate, spread: apart / 2.0, weight });
        }
    }
}

/// What a refusal says at a rate, which stands for others where so many more were waiting.
fn waiting(trip: &Trip, (roof, blur): (f64, f64), more: f64, rate: f64) -> Waiting {
    /// Nobody had come for so many turns.
    const LONG: f64 = 3.0;
    // The one before was admitted: what more there was when this one came is all that it may be off.
    let step = (1.0 - rate / trip.rate).clamp(0.0, 1.0);
    let blur = blur.hypot(more / 2.0);
    Waiting { up_to: roof - step / 2.0, blur, exactly: trip.gap * rate < LONG }
}

impl Waiting {
    /// Logarithm of how likely that is if it refuses whoever finds so many waiting.
    fn ln(&self, limit: f64) -> f64 {
        let off = (limit - self.up_to) / self.blur;
        if !self.exactly && off < 0.0 {
            return 0.0;
        }
        let evenly = (1.0 - ODDLY.0).ln() - off.powi(2) / 2.0;
        let oddly = ODDLY.0.ln() - (off / ODDLY.1).powi(2) / 2.0;
        ln_sum_of([evenly, oddly].into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trip(rate: f64, gap: f64) -> Trip {
        Trip { t: 1.0, rate, gap, settled: true, met: true, late: 0.0 }
    }

    #[test]
    fn a_refusal_says_how_many_waited_and_a_late_one_only_at_most() {
        // Twice as fast as it lets through, each adds half a request.
        let at_once = waiting(&trip(20.0, 0.05), (8.0, 0.3), 0.0, 10.0);
        assert!((at_once.up_to - 7.75).abs() < 1e-9 && at_once.exactly);
        assert!(at_once.ln(6.0) < -4.0 && at_once.ln(9.5) < -4.0 && at_once.ln(7.75) > -0.1);
        let late = waiting(&trip(20.0, 4.0), (8.0, 0.3), 0.0, 10.0);
        assert!(late.ln(3.0) == 0.0 && late.ln(12.0) < -5.0);
        // However far off it is, that is a number.
        assert!(late.ln(1e9).is_finite());
    }
}
