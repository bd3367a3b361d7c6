//! Exponential backoff with jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015).

use std::time::Duration;

use rand::{Rng, RngExt};

use super::{BackoffSettings, Jitter};

impl BackoffSettings {
    /// The delay before try number `nth` (1 for the first retry), where the one before it waited
    /// `previous`. In `(0, cap]`.
    pub fn delay(&self, nth: u32, previous: Duration, rng: &mut impl Rng) -> Duration {
        let doubled = 2_u32.checked_pow(nth.saturating_sub(1)).unwrap_or(u32::MAX);
        let exponential = self.base.saturating_mul(doubled).min(self.cap);
        let delay = match self.jitter {
            Jitter::Full => between(Duration::ZERO, exponential, rng),
            Jitter::Equal => between(exponential / 2, exponential, rng),
            Jitter::Decorrelated => {
                between(self.base, previous.saturating_mul(3).max(self.base), rng)
            }
        };
        delay.clamp(Duration::from_nanos(1), self.cap.max(Duration::from_nanos(1)))
    }

    /// The same for a pause after a refusal without advice: never shorter than the base, because
    /// jitter near zero would send the next request straight into the limit that just refused one.
    pub fn pause(&self, nth: u32, previous: Duration, rng: &mut impl Rng) -> Duration {
        self.delay(nth, previous, rng).max(self.base.min(self.cap))
    }
}

/// Uniform in `[low, high]`.
fn between(low: Duration, high: Duration, rng: &mut impl Rng) -> Duration {
    low + high.saturating_sub(low).mul_f64(rng.random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);

    fn settings(jitter: Jitter) -> BackoffSettings {
        BackoffSettings { base: BASE, cap: CAP, jitter }
    }

    #[test]
    fn the_exponent_doubles_until_the_cap() {
        let mut rng = StdRng::seed_from_u64(1);
        for (nth, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (40, 60), (u32::MAX, 60)] {
            let exponential = Duration::from_secs(seconds);
            for _ in 0..100 {
                let equal = settings(Jitter::Equal).delay(nth, BASE, &mut rng);
                assert!(equal >= exponential / 2 && equal <= exponential, "{nth}: {equal:?}");
                let full = settings(Jitter::Full).delay(nth, BASE, &mut rng);
                assert!(full <= exponential, "{nth}: {full:?}");
            }
        }
    }

    #[test]
    fn full_jitter_covers_its_whole_range() {
        let mut rng = StdRng::seed_from_u64(1);
        let delays: Vec<_> =
            (0..1_000).map(|_| settings(Jitter::Full).delay(3, BASE, &mut rng)).collect();
        assert!(delays.iter().any(|d| *d < Duration::from_millis(100)));
        assert!(delays.iter().any(|d| *d > Duration::from_millis(3_900)));
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(nth in 0_u32..100, previous_ms in 0_u64..1_000_000, seed: u64) {
            let mut rng = StdRng::seed_from_u64(seed);
            let previous = Duration::from_millis(previous_ms);
            for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
                let delay = settings(jitter).delay(nth, previous, &mut rng);
                prop_assert!(delay > Duration::ZERO && delay <= CAP);
                let pause = settings(jitter).pause(nth, previous, &mut rng);
                prop_assert!(pause >= BASE && pause <= CAP);
            }
        }
    }
}
