//! A histogram of plain integers with fixed bounds: copied as a whole by each scrape.

use std::time::Duration;

/// OpenTelemetry's semantic conventions for HTTP request durations. Seconds.
pub(in crate::telemetry) static REQUEST_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Lateness: a precise timer is late by tens of microseconds, a stalled process by seconds.
pub(in crate::telemetry) static LATENESS_BOUNDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0,
];

/// Advised waits. Seconds.
pub(in crate::telemetry) static ADVICE_BOUNDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// Delivery of a message, which may sit out several pauses. Seconds.
pub(in crate::telemetry) static DELIVERY_BOUNDS: &[f64] =
    &[0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// The longest of the bounds above, and one more for what lies beyond.
const BUCKETS_MAX: usize = 17;

/// Index of the bucket that `seconds` falls in; `bounds.len()` for the one without a bound.
pub(in crate::telemetry) fn bucket_of(bounds: &[f64], seconds: f64) -> usize {
    bounds.iter().position(|bound| seconds <= *bound).unwrap_or(bounds.len())
}

/// Counts per bucket (not cumulative) and their sum.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct Histogram {
    bounds: &'static [f64],
    counts: [u64; BUCKETS_MAX],
    sum: f64,
}

impl Histogram {
    pub(in crate::telemetry) fn new(bounds: &'static [f64]) -> Self {
        debug_assert!(bounds.len() < BUCKETS_MAX, "the last bucket needs a place");
        Self { bounds, counts: [0; BUCKETS_MAX], sum: 0.0 }
    }

    pub(in crate::telemetry) fn observe(&mut self, d: Duration) {
        let seconds = d.as_secs_f64();
        self.counts[bucket_of(self.bounds, seconds)] += 1;
        self.sum += seconds;
    }

    pub(in crate::telemetry) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(in crate::telemetry) fn sum(&self) -> f64 {
        self.sum
    }

    /// Upper bounds with the number of observations at or below each.
    pub(in crate::telemetry) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bounds.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound, *total))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_it_and_the_sum_of_buckets_is_the_count() {
        let mut h = Histogram::new(ADVICE_BOUNDS);
        for seconds in [1, 2, 3, 7200] {
            h.observe(Duration::from_secs(seconds));
        }
        let cumulative: Vec<_> = h.cumulative().collect();
        assert_eq!(&cumulative[..3], &[(1.0, 1), (2.0, 2), (5.0, 3)]);
        assert_eq!(cumulative.last(), Some(&(3600.0, 3)), "two hours lie beyond every bound");
        assert_eq!((h.count(), h.sum()), (4, 7206.0));
    }

    #[test]
    fn every_set_of_bounds_fits_and_rises() {
        for bounds in [REQUEST_BOUNDS, LATENESS_BOUNDS, ADVICE_BOUNDS, DELIVERY_BOUNDS] {
            assert!(bounds.len() < BUCKETS_MAX);
            assert!(bounds.windows(2).all(|w| w[0] < w[1]));
        }
    }
}
