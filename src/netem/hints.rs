//! What the server says of its quotas, true or not.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::answers::whole_seconds;
use super::settings::{HintStyle, ResetStyle};
use crate::limiter::Quota;
use crate::model::{Dialect, Moment, QuotaHint};

/// Tells this generator from the world's own.
const HINTS: u64 = 0x6869_6e74_735f_5f5f;

/// The window of the tenant whose numbers [`HintStyle::Foreign`] gives.
const FOREIGN_WINDOW: Duration = Duration::from_secs(60);

/// The writer of hints.
#[derive(Debug)]
pub(super) struct Hints {
    style: HintStyle,
    resets: ResetStyle,
    rng: StdRng,
    foreign: Foreign,
}

/// The quota of a tenant we have nothing to do with.
#[derive(Debug)]
struct Foreign {
    limit: u64,
    remaining: u64,
}

impl Hints {
    pub(super) fn new(seed: u64, style: HintStyle, resets: ResetStyle) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ HINTS);
        let limit = rng.random_range(50..2_000);
        let foreign = Foreign { limit, remaining: rng.random_range(0..=limit) };
        Self { style, resets, rng, foreign }
    }

    pub(super) const fn are_given(&self) -> bool {
        !matches!(self.style, HintStyle::None)
    }

    /// What an answer of `at` says about a quota.
    pub(super) fn say(&mut self, at: Moment, truth: Quota) -> QuotaHint {
        let told = match self.style {
            HintStyle::None | HintStyle::Honest => truth,
            HintStyle::Frozen => Quota { remaining: truth.limit, ..truth },
            HintStyle::Inflated(factor) => Quota {
                limit: truth.limit.saturating_mul(factor),
                remaining: truth.remaining.saturating_mul(factor),
                ..truth
            },
            HintStyle::Foreign => self.foreign(at),
        };
        let reset = match self.resets {
            ResetStyle::Exact => told.reset,
            ResetStyle::WholeSeconds => whole_seconds(told.reset),
        };
        QuotaHint {
            dialect: Dialect::XRateLimit,
            policy: None,
            limit: Some(told.limit),
            remaining: Some(told.remaining),
            reset: Some(reset),
            window: None,
        }
    }

    /// A walk at random within the stranger's quota, under a clock that runs as ours does.
    fn foreign(&mut self, at: Moment) -> Quota {
        let Foreign { limit, remaining } = self.foreign;
        let stride = (limit / 20).max(1);
        let moved = (remaining + self.rng.random_range(0..=2 * stride)).saturating_sub(stride);
        self.foreign.remaining = moved.min(limit);
        let into = at.as_nanos() % FOREIGN_WINDOW.as_nanos() as u64;
        Quota {
            limit,
            remaining: self.foreign.remaining,
            reset: FOREIGN_WINDOW - Duration::from_nanos(into),
            window: FOREIGN_WINDOW,
        }
    }
}
