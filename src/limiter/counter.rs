//! The sliding counter: two windows' counts stand in for a log.

use std::time::Duration;

use super::settings::Quota;
use super::window::{Windows, saturate};
use crate::model::Moment;

/// See [`super::Kind::SlidingCounter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlidingCounter {
    limit: u64,
    windows: Windows,
    current: u64,
    used: u64,
    previous: u64,
}

/// The two counts as they stand at a moment, `into` nanoseconds after the boundary.
struct Seen {
    previous: u64,
    used: u64,
    into: u64,
}

impl SlidingCounter {
    pub(super) fn new(limit: u64, windows: Windows) -> Self {
        Self { limit: limit.max(1), windows, current: 0, used: 0, previous: 0 }
    }

    fn seen(&self, at: Moment) -> Seen {
        let (index, into) = self.windows.place(at);
        match index.saturating_sub(self.current) {
            0 => Seen { previous: self.previous, used: self.used, into },
            1 => Seen { previous: self.used, used: 0, into },
            _ => Seen { previous: 0, used: 0, into },
        }
    }

    /// The weighted count, in requests × window length, so that it is a whole number.
    fn weighed(&self, seen: &Seen) -> u128 {
        let length = self.windows.length();
        u128::from(seen.previous) * u128::from(length - seen.into)
            + u128::from(seen.used) * u128::from(length)
    }

    pub(super) fn wait(&self, at: Moment) -> Duration {
        let length = u128::from(self.windows.length());
        let Seen { mut previous, mut used, into } = self.seen(at);
        // Two boundaries on, both counts are zero, so the loop ends there at the latest.
        for boundaries in 0..=2_u128 {
            if let Some(ready) = self.ready_in(previous, used) {
                let from_start = boundaries * length + ready;
                return Duration::from_nanos(saturate(from_start.saturating_sub(into.into())));
            }
            (previous, used) = (used, 0);
        }
        Duration::ZERO
    }

    /// How far into a window with these counts a request would be admitted, if at all in it.
    fn ready_in(&self, previous: u64, used: u64) -> Option<u128> {
        let length = u128::from(self.windows.length());
        let room = u128::from(self.limit.checked_sub(used)?.checked_sub(1)?);
        // previous × (length − into) ≤ room × length
        if u128::from(previous) <= room {
            return Some(0);
        }
        Some(length - room * length / u128::from(previous))
    }

    pub(super) fn count(&mut self, at: Moment) {
        let seen = self.seen(at);
        self.previous = seen.previous;
        self.used = seen.used.saturating_add(1);
        self.current = self.windows.place(at).0;
    }

    pub(super) fn quota(&self, at: Moment) -> Quota {
        let seen = self.seen(at);
        let length = self.windows.length();
        let weighed = saturate(self.weighed(&seen).div_ceil(u128::from(length)));
        let to_boundary = length - seen.into;
        let reset = match (seen.used, seen.previous) {
            (0, 0) => 0,
            (0, _) => to_boundary,
            _ => to_boundary.saturating_add(length),
        };
        Quota {
            limit: self.limit,
            remaining: self.limit.saturating_sub(weighed),
            reset: Duration::from_nanos(reset),
            window: Duration::from_nanos(length),
        }
    }

    /// Another limit over the same counts, unless windows now fall elsewhere.
    pub(super) fn change(&mut self, limit: u64, windows: Windows) {
        let fresh = Self::new(limit, windows);
        if windows == self.windows {
            self.limit = fresh.limit;
        } else {
            *self = fresh;
        }
    }
}
