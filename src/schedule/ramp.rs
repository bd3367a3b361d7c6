//! A linear ramp as a warp of time, so that every kind of arrivals can be ramped the same way.
//!
//! A schedule at full rate lives in *operational* time. While the rate rises linearly from zero
//! over the ramp `T`, real time `t` has seen as many slots as operational time `t²/2T`; after it,
//! operational time runs at the pace of real time, `T/2` behind.

/// The warp for a ramp of `length_ns` nanoseconds; zero for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ramp {
    length_ns: u64,
}

impl Ramp {
    pub(super) const fn new(length_ns: u64) -> Self {
        Self { length_ns }
    }

    /// Real nanoseconds since the start at which operational time reaches `x`.
    pub(super) fn real(self, x: u64) -> u64 {
        let half = self.length_ns / 2;
        if x > half {
            return x.saturating_add(half);
        }
        let square = 2 * u128::from(self.length_ns) * u128::from(x);
        u64::try_from(square.isqrt()).unwrap_or(u64::MAX)
    }

    /// The latest operational time whose real time is at most `t`: the inverse of [`Self::real`].
    pub(super) fn operational(self, t: u64) -> u64 {
        let half = self.length_ns / 2;
        if t > half.saturating_mul(2) || self.length_ns == 0 {
            return t.saturating_sub(half);
        }
        // isqrt(2·T·x) ≤ t  ⇔  2·T·x < (t + 1)².
        let next = u128::from(t) + 1;
        let x = (next * next - 1) / (2 * u128::from(self.length_ns));
        u64::try_from(x).unwrap_or(u64::MAX).min(half)
    }

    /// The share of the full rate that is reached at real time `t`.
    pub(super) fn share(self, t: u64) -> f64 {
        if t >= self.length_ns { 1.0 } else { t as f64 / self.length_ns as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn no_ramp_is_no_warp() {
        let ramp = Ramp::new(0);
        assert_eq!((ramp.real(7), ramp.operational(7)), (7, 7));
    }

    #[test]
    fn half_the_slots_of_full_rate_fall_in_the_ramp() {
        let ramp = Ramp::new(10 * SECOND);
        assert_eq!(ramp.operational(10 * SECOND), 5 * SECOND);
        assert_eq!(ramp.operational(20 * SECOND), 15 * SECOND);
        // A quarter of those in its first half: the rate rises linearly.
        assert_eq!(ramp.operational(5 * SECOND) / 1_000, 1_250_000);
    }

    proptest! {
        #[test]
        fn the_two_directions_are_inverse(length in 0_u64..100 * SECOND, x in 0_u64..200 * SECOND) {
            let ramp = Ramp::new(length);
            let t = ramp.real(x);
            prop_assert!(ramp.operational(t) >= x);
            prop_assert!(t == 0 || ramp.operational(t - 1) < x || ramp.real(ramp.operational(t - 1)) < t);
        }

        #[test]
        fn real_time_never_runs_faster_than_operational_time(length in 0_u64..100 * SECOND, x in 0_u64..100 * SECOND, dx in 1_u64..SECOND) {
            let ramp = Ramp::new(length);
            // Two roundings down may each lose one nanosecond.
            prop_assert!(ramp.real(x + dx) - ramp.real(x) + 2 >= dx);
        }
    }
}
