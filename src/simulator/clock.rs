//! The simulator's clocks: one monotonic for limits, and the wall for dates.

use std::time::{Duration, Instant, SystemTime};

use crate::model::{Moment, WallOffset};

/// Counts from the start of the simulator, which is where the phase of windows counts from too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
    wall: WallOffset,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock that the simulator reads, which stands in for a server elsewhere"
)]
impl Clock {
    pub(super) fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let unix_ns = i64::try_from(unix.as_nanos()).unwrap_or(i64::MAX);
        Self { start: Instant::now(), wall: WallOffset::observed(unix_ns, Moment::ZERO) }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::ZERO + self.start.elapsed()
    }

    /// Time since the Unix epoch at a moment.
    pub(super) fn unix(&self, at: Moment) -> Duration {
        Duration::from_nanos(u64::try_from(self.wall.unix_nanos(at)).unwrap_or(0))
    }
}
