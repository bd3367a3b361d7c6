//! Windows: the arithmetic of fixed boundaries, the counter that restarts at each, and the one whose windows
//! begin when somebody comes.

use std::time::Duration;

use super::settings::Quota;
use crate::model::Moment;

/// Windows of one length, laid end to end over the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    length: u64,
    /// Added to a moment so that boundaries fall on whole multiples of the length.
    shift: u64,
}

impl Windows {
    pub(super) fn new(window: Duration, phase: Duration) -> Self {
        let length = nanos(window).max(1);
        let shift = (length - nanos(phase) % length) % length;
        Self { length, shift }
    }

    /// Which window `at` is in, and how far into it.
    pub(super) fn place(self, at: Moment) -> (u64, u64) {
        let shifted = u128::from(at.as_nanos()) + u128::from(self.shift);
        let length = u128::from(self.length);
        (saturate(shifted / length), saturate(shifted % length))
    }

    pub(super) const fn length(self) -> u64 {
        self.length
    }
}

/// Whole nanoseconds, saturating: 584 years is for ever.
pub(super) fn nanos(d: Duration) -> u64 {
    saturate(d.as_nanos())
}

pub(super) fn saturate(n: u128) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// See [`super::Kind::FixedWindow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FixedWindow {
    limit: u64,
    windows: Windows,
    current: u64,
    used: u64,
}

impl FixedWindow {
    pub(super) fn new(limit: u64, windows: Windows) -> Self {
        Self { limit: limit.max(1), windows, current: 0, used: 0 }
    }

    fn used_at(&self, at: Moment) -> u64 {
        if self.windows.place(at).0 == self.current { self.used } else { 0 }
    }

    /// How long until a request would be admitted.
    pub(super) fn wait(&self, at: Moment) -> Duration {
        if self.used_at(at) < self.limit {
            return Duration::ZERO;
        }
        self.to_boundary(at)
    }

    fn to_boundary(&self, at: Moment) -> Duration {
        Duration::from_nanos(self.windows.length() - self.windows.place(at).1)
    }

    pub(super) fn count(&mut self, at: Moment) {
        self.used = self.used_at(at).saturating_add(1);
        self.current = self.windows.place(at).0;
    }

    pub(super) fn quota(&self, at: Moment) -> Quota {
        let remaining = self.limit.saturating_sub(self.used_at(at));
        let whole = remaining == self.limit;
        Quota {
            limit: self.limit,
            remaining,
            reset: if whole { Duration::ZERO } else { self.to_boundary(at) },
            window: Duration::from_nanos(self.windows.length()),
        }
    }

    /// Another limit. What this window has used stays used, unless windows now fall elsewhere.
    pub(super) fn change(&mut self, limit: u64, windows: Windows) {
        let fresh = Self::new(limit, windows);
        if windows == self.windows {
            self.limit = fresh.limit;
        } else {
            *self = fresh;
        }
    }
}

/// See [`super::Kind::OnDemandWindow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OnDemandWindow {
    limit: u64,
    length: u64,
    /// When the latest window ends; it may have ended.
    end: Moment,
    used: u64,
}

impl OnDemandWindow {
    pub(super) fn new(limit: u64, window: Duration) -> Self {
        Self { limit: limit.max(1), length: nanos(window).max(1), end: Moment::ZERO, used: 0 }
    }

    fn used_at(&self, at: Moment) -> u64 {
        if at < self.end { self.used } else { 0 }
    }

    /// How long until a request would be admitted.
    pub(super) fn wait(&self, at: Moment) -> Duration {
        if self.used_at(at) < self.limit { Duration::ZERO } else { self.end.since(at) }
    }

    pub(super) fn count(&mut self, at: Moment) {
        self.used = self.used_at(at).saturating_add(1);
        if self.used == 1 {
            self.end = at + Duration::from_nanos(self.length);
        }
    }

    pub(super) fn quota(&self, at: Moment) -> Quota {
        Quota {
            limit: self.limit,
            remaining: self.limit.saturating_sub(self.used_at(at)),
            reset: self.end.since(at),
            window: Duration::from_nanos(self.length),
        }
    }

    /// Another limit. The window that has begun ends when it was to.
    pub(super) fn change(&mut self, limit: u64, window: Duration) {
        let fresh = Self::new(limit, window);
        if fresh.length == self.length {
            self.limit = fresh.limit;
        } else {
            *self = fresh;
        }
    }
}
