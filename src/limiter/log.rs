//! The sliding log: the times of what it counted, no more of them than the limit.

use std::collections::VecDeque;
use std::time::Duration;

use super::settings::Quota;
use crate::model::Moment;

/// See [`super::Kind::SlidingLog`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlidingLog {
    limit: usize,
    window: Duration,
    /// The latest `limit` counted requests, oldest first: whether there is room depends on the
    /// oldest of these alone, so refused requests that count cannot make the log grow.
    times: VecDeque<Moment>,
}

impl SlidingLog {
    pub(super) fn new(limit: u64, window: Duration) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX).max(1),
            window: window.max(Duration::from_nanos(1)),
            times: VecDeque::new(),
        }
    }

    pub(super) fn wait(&self, at: Moment) -> Duration {
        if self.times.len() < self.limit {
            return Duration::ZERO;
        }
        self.times.front().map_or(Duration::ZERO, |oldest| (*oldest + self.window).since(at))
    }

    pub(super) fn count(&mut self, at: Moment) {
        while self.times.front().is_some_and(|t| *t + self.window <= at) {
            self.times.pop_front();
        }
        if self.times.len() == self.limit {
            self.times.pop_front();
        }
        self.times.push_back(at);
    }

    pub(super) fn quota(&self, at: Moment) -> Quota {
        // Times are in order, so those still inside the window are a suffix.
        let gone = self.times.partition_point(|t| *t + self.window <= at);
        let used = self.times.len() - gone;
        Quota {
            limit: self.limit as u64,
            remaining: (self.limit - used) as u64,
            reset: self.times.back().map_or(Duration::ZERO, |t| (*t + self.window).since(at)),
            window: self.window,
        }
    }

    /// Another limit over the same record: a lower one holds at once, for what was already sent.
    pub(super) fn change(&mut self, limit: u64, window: Duration) {
        let fresh = Self::new(limit, window);
        self.limit = fresh.limit;
        self.window = fresh.window;
        while self.times.len() > self.limit {
            self.times.pop_front();
        }
    }
}
