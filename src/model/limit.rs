//! The kinds of rate limiter, as data: what is enforced, simulated, estimated and predicted.

use std::time::Duration;

use super::Rate;

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
    /// At most `limit` in each window; a window begins with the first request after the one before has
    /// ended (a counter with an expiry: Redis' `INCR` and `EXPIRE`, express-rate-limit).
    OnDemandWindow {
        /// Requests admitted in one window.
        limit: u64,
        /// Length of a window.
        window: Duration,
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

impl Kind {
    /// The word for the kind in labels, status and reports.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::FixedWindow { .. } => "fixed_window",
            Self::OnDemandWindow { .. } => "on_demand_window",
            Self::SlidingLog { .. } => "sliding_log",
            Self::SlidingCounter { .. } => "sliding_counter",
            Self::TokenBucket { .. } => "token_bucket",
            Self::Queue { .. } => "queue",
            Self::Concurrency { .. } => "concurrency",
        }
    }

    /// The time over which it counts: its window, or the time to fill an empty bucket. Zero for a
    /// concurrency limit.
    #[must_use]
    pub fn window(&self) -> Duration {
        let to_fill = |rate: Rate, requests: u64| {
            Duration::try_from_secs_f64(requests as f64 / rate.per_second())
                .unwrap_or(Duration::MAX)
        };
        match *self {
            Self::FixedWindow { window, .. }
            | Self::OnDemandWindow { window, .. }
            | Self::SlidingLog { window, .. }
            | Self::SlidingCounter { window, .. } => window,
            Self::TokenBucket { rate, burst } => to_fill(rate, burst),
            // The one being served, and those that wait behind it.
            Self::Queue { rate, depth } => to_fill(rate, depth.saturating_add(1)),
            Self::Concurrency { .. } => Duration::ZERO,
        }
    }

    /// Requests in a full quota.
    #[must_use]
    pub const fn quota(&self) -> u64 {
        match *self {
            Self::FixedWindow { limit, .. }
            | Self::OnDemandWindow { limit, .. }
            | Self::SlidingLog { limit, .. }
            | Self::SlidingCounter { limit, .. }
            | Self::TokenBucket { burst: limit, .. }
            | Self::Queue { depth: limit, .. }
            | Self::Concurrency { limit } => limit,
        }
    }

    /// Where on the clock its windows begin, if they begin at fixed times.
    #[must_use]
    pub const fn phase(&self) -> Option<Duration> {
        match *self {
            Self::FixedWindow { phase, .. } | Self::SlidingCounter { phase, .. } => Some(phase),
            Self::OnDemandWindow { .. }
            | Self::SlidingLog { .. }
            | Self::TokenBucket { .. }
            | Self::Queue { .. }
            | Self::Concurrency { .. } => None,
        }
    }
}
