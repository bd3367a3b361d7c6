//! The clocks that answers are stamped with, handed in so that this room reads none of its own.

use std::fmt;
use std::sync::Arc;

use crate::model::Moment;

/// A monotonic clock and a wall clock. Cloning it is cheap.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Moment + Send + Sync>,
    unix_nanos: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Clock {
    /// A clock made of `now`, which stamps every answer, and `unix_nanos` (nanoseconds since the
    /// Unix epoch), which is asked only where a response has a date in it but no `Date` header.
    pub fn new(
        now: impl Fn() -> Moment + Send + Sync + 'static,
        unix_nanos: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        Self { now: Arc::new(now), unix_nanos: Arc::new(unix_nanos) }
    }

    pub(super) fn now(&self) -> Moment {
        (self.now)()
    }

    pub(super) fn unix_nanos(&self) -> i64 {
        (self.unix_nanos)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
