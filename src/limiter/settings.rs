//! What a limiter is made from, and the words in which it answers.

use std::time::Duration;

pub use crate::model::Kind;

/// The punishment for being refused, on top of the limit itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Lockout {
    /// None.
    #[default]
    None,
    /// Everything is refused for this long from the refusal that starts it.
    Fixed(Duration),
    /// The same, but each request refused meanwhile starts the time afresh.
    Extended(Duration),
}

/// One limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimiterSettings {
    /// The limit.
    pub kind: Kind,
    /// What a refusal brings beyond it.
    pub lockout: Lockout,
    /// Whether a refused request uses up quota as an admitted one does. A token bucket is emptied
    /// by it, never overdrawn; a concurrency limit holds nothing for a refused request.
    pub counts_refused: bool,
}

impl LimiterSettings {
    /// A limiter without lockout whose refusals cost nothing.
    #[must_use]
    pub const fn plain(kind: Kind) -> Self {
        Self { kind, lockout: Lockout::None, counts_refused: false }
    }
}

/// What a limiter says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may pass, after `delay` (zero unless the limiter queues).
    Admitted {
        /// How long it waits before it is served.
        delay: Duration,
    },
    /// It may not.
    Refused {
        /// The earliest time at which a request would be admitted, lockout included, if nobody else
        /// comes. Zero for a full concurrency limit, whose places only a release frees.
        retry_after: Duration,
    },
}

impl Decision {
    /// Whether the request may pass.
    #[must_use]
    pub const fn is_admitted(self) -> bool {
        matches!(self, Self::Admitted { .. })
    }
}

/// What a limiter would say of itself in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests in a full quota.
    pub limit: u64,
    /// What is left; nothing during a lockout.
    pub remaining: u64,
    /// Time until the quota is whole again if nobody comes; zero for a concurrency limit.
    pub reset: Duration,
    /// The time over which the quota counts: the window, or the time to fill an empty bucket. Zero
    /// for a concurrency limit.
    pub window: Duration,
}
