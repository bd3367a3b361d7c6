//! The generic cell rate algorithm: token bucket and queue are two readings of one number.
//!
//! The state is the *theoretical arrival time* of ITU-T I.371: when the bucket would be full again,
//! or when the queue would be empty. It is kept in ticks of `1/events` nanosecond, in which both a
//! nanosecond (`events` ticks) and the period of the rate (`per` ticks) are whole numbers.

use std::time::Duration;

use super::settings::Quota;
use super::window::saturate;
use crate::model::{Moment, Rate};

/// See [`super::Kind::TokenBucket`] and [`super::Kind::Queue`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gcra {
    events: u64,
    per: u64,
    burst: u64,
    /// In ticks since the start of the clock.
    full_at: u128,
}

impl Gcra {
    pub(super) fn new(rate: Rate, burst: u64) -> Self {
        let (events, per) = rate.fraction();
        Self { events, per, burst: burst.max(1), full_at: 0 }
    }

    fn ticks(&self, at: Moment) -> u128 {
        u128::from(at.as_nanos()) * u128::from(self.events)
    }

    fn span(&self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.per)
    }

    fn duration(&self, ticks: u128) -> Duration {
        Duration::from_nanos(saturate(ticks.div_ceil(u128::from(self.events))))
    }

    /// What is missing from the bucket, or waits in the queue, in ticks.
    fn debt(&self, at: Moment) -> u128 {
        self.full_at.saturating_sub(self.ticks(at))
    }

    pub(super) fn wait(&self, at: Moment) -> Duration {
        self.duration(self.debt(at).saturating_sub(self.span(self.burst - 1)))
    }

    /// How long a request admitted now stands in the queue.
    pub(super) fn delay(&self, at: Moment) -> Duration {
        self.duration(self.debt(at))
    }

    /// Takes a token. A refused request that counts finds less than one, and empties the bucket.
    pub(super) fn count(&mut self, at: Moment) {
        let debt = self.debt(at).saturating_add(self.span(1)).min(self.span(self.burst));
        self.full_at = self.ticks(at).saturating_add(debt);
    }

    pub(super) fn quota(&self, at: Moment) -> Quota {
        let debt = self.debt(at);
        let missing = saturate(debt.div_ceil(u128::from(self.per)));
        Quota {
            limit: self.burst,
            remaining: self.burst.saturating_sub(missing),
            reset: self.duration(debt),
            window: self.duration(self.span(self.burst)),
        }
    }

    /// Another rate or size. What is missing stays missing, in tokens (rounded up to a tick), but a
    /// smaller bucket cannot be more than empty.
    pub(super) fn change(&mut self, at: Moment, rate: Rate, burst: u64) {
        let debt = self.debt(at);
        let old_per = u128::from(self.per);
        let mut fresh = Self::new(rate, burst);
        let new_per = u128::from(fresh.per);
        // Whole tokens and the rest apart, so that the product cannot overflow.
        let whole = (debt / old_per).saturating_mul(new_per);
        let rest = (debt % old_per * new_per).div_ceil(old_per);
        let kept = whole.saturating_add(rest).min(fresh.span(fresh.burst));
        fresh.full_at = fresh.ticks(at).saturating_add(kept);
        *self = fresh;
    }
}
