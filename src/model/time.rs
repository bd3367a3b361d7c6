//! Monotonic moments, and the offset that turns one into a wall-clock time.
//!
//! The core counts nanoseconds from an arbitrary start and never asks a clock. Wall time enters
//! only as a [`WallOffset`], because HTTP dates, epoch resets and payload timestamps need it and
//! nothing else does.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point on the monotonic clock, in whole nanoseconds since the process's own start.
///
/// Sixty-four bits of nanoseconds last 584 years, so arithmetic saturates rather than wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than every moment that can be reached.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `ns` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Seconds since the start, for display and for statistics (not for scheduling).
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.since(Self::ZERO).as_secs_f64()
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ns))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, d: Duration) -> Self {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(ns))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// The wall-clock time of [`Moment::ZERO`], in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WallOffset(i64);

impl WallOffset {
    /// The offset for a clock that reads `unix_ns` (nanoseconds since the epoch) at `now`.
    #[must_use]
    pub fn observed(unix_ns: i64, now: Moment) -> Self {
        Self(unix_ns.saturating_sub(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Nanoseconds since the Unix epoch at `at`.
    #[must_use]
    pub fn unix_nanos(self, at: Moment) -> i64 {
        self.0.saturating_add(i64::try_from(at.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Seconds since the Unix epoch at `at`, as Prometheus wants its timestamps.
    #[must_use]
    pub fn unix_seconds(self, at: Moment) -> f64 {
        self.unix_nanos(at) as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let one = Duration::from_secs(1);
        assert_eq!(Moment::ZERO - one, Moment::ZERO);
        assert_eq!(Moment::NEVER + one, Moment::NEVER);
        assert_eq!(Moment::ZERO.since(Moment::ZERO + one), Duration::ZERO);
    }

    #[test]
    fn wall_time_moves_with_the_monotonic_clock() {
        let seen_at = Moment::from_nanos(5_000_000_000);
        let wall = WallOffset::observed(1_700_000_000_000_000_000, seen_at);
        assert_eq!(wall.unix_nanos(seen_at), 1_700_000_000_000_000_000);
        assert_eq!(wall.unix_seconds(seen_at + Duration::from_secs(2)), 1_700_000_002.0);
    }
}
