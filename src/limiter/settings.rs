//! What a limiter is made from, and the words in which it answers.

use std::time::Duration;

use crate::model::Rate;

/// The kinds of rate limiter found in the wild. A limit, burst or window of zero counts as one
/// (request, nanosecond): nothing could ever be admitted otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At most `limit` in each window; windows begin at `phase + k × window` on the server's clock.
    FixedWindow {
        /// Requests admitted in one window.
        limit: u64,
        /// Length of a window.
        window: Duration,
        /// Where on the clock a window begins.
        phase: Duration,
    },
    /// At most `limit` in every half-open interval of one `window`, wherever it begins.
    SlidingLog {
        /// Requests admitted in one window.
        limit: u64,
        /// Length of the window.
        window: Duration,
    },
    /// The log's cheap cousin: this window's count plus the previous one's, weighted by how much of
    /// it the sliding window still covers. The request itself is part of the count.
    SlidingCounter {
        /// What the weighted count may reach.
        limit: u64,
        /// Length of a window.
        window: Duration,
        /// Where on the clock a window begins.
        phase: Duration,
    },
    /// A bucket of `burst` tokens, full at first, refilled continuously at `rate` (GCRA).
    TokenBucket {
        /// Refill.
        rate: Rate,
        /// What the bucket holds.
        burst: u64,
    },
    /// Requests leave at `rate`, one by one; up to `depth` may wait for their turn, further ones are
    /// refused (nginx `limit_req` with `burst = depth` and without `nodelay`).
    Queue {
        /// At which requests leave.
        rate: Rate,
        /// How many may wait.
        depth: u64,
    },
    /// At most `limit` requests between admission and release.
    Concurrency {
        /// Requests at once.
        limit: u64,
    },
}

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
