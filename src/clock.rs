//! The process's clock: the one place where time is read.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::{Moment, WallOffset};

/// A monotonic clock that starts with the process. Copying it is free.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin_ns: u64,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin_ns: nanos(ClockId::Monotonic) }
    }

    /// The time since the start.
    #[must_use]
    pub fn now(self) -> Moment {
        Moment::from_nanos(nanos(ClockId::Monotonic).saturating_sub(self.origin_ns))
    }

    /// What the wall clock says of now. Read anew once in a while, because it may be stepped.
    #[must_use]
    pub fn wall(self) -> WallOffset {
        WallOffset::observed(unix_nanos(), self.now())
    }

    /// A moment as the kernel's monotonic clock counts it, for absolute timers.
    #[must_use]
    pub(crate) fn kernel_nanos(self, at: Moment) -> u64 {
        self.origin_ns.saturating_add(at.as_nanos())
    }
}

/// Nanoseconds since the Unix epoch. Through the C library, as log lines and spans take theirs: whoever gives this
/// process a wall clock of its own gives it one, and not two.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where the wall clock is read")]
pub fn unix_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Nanoseconds since the machine started, its sleep included. Nobody steps this clock.
#[must_use]
pub fn boot_nanos() -> u64 {
    nanos(ClockId::Boottime)
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_seconds() -> f64 {
    unix_nanos() as f64 / 1e9
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}
