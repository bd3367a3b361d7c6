//! Caps on messages: how many were counted in the last hour, in the last day, and in all.
//!
//! Windows slide over the process's own clock, so no sixty minutes hold more than the cap, and nobody gets
//! two days' worth by setting a clock. A count is kept in steps: what happened within one step expires
//! together, when its latest does, so that a count is never too low.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{CapWindow, CountMemory, Moment};

/// Messages that may be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapSettings {
    /// In any hour; `None`: no cap.
    pub per_hour: Option<u64>,
    /// In any 24 hours.
    pub per_day: Option<u64>,
    /// In all, across restarts.
    pub in_all: Option<u64>,
}

impl CapSettings {
    /// The cap of a window.
    #[must_use]
    pub const fn of(&self, window: CapWindow) -> Option<u64> {
        match window {
            CapWindow::Hour => self.per_hour,
            CapWindow::Day => self.per_day,
            CapWindow::All => self.in_all,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How many messages were counted, in each window.
#[derive(Clone, Debug, Default)]
pub struct MessageCount {
    hour: Sliding<{ CapWindow::HOUR.as_secs() }>,
    day: Sliding<{ CapWindow::DAY.as_secs() }>,
    in_all: u64,
}

/// What a sliding window of so many seconds holds.
#[derive(Clone, Debug, Default)]
struct Sliding<const SECONDS: u64> {
    steps: VecDeque<Step>,
    sum: u64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    first: Moment,
    latest: Moment,
    /// What is taken off `latest`: an earlier run's moments lie before this one's clock.
    before: Duration,
    count: u64,
}

/// Steps in a window.
const STEPS: u64 = 60;

impl<const SECONDS: u64> Sliding<SECONDS> {
    const LENGTH: Duration = Duration::from_secs(SECONDS);

    fn expires(step: &Step) -> Moment {
        step.latest + Self::LENGTH.saturating_sub(step.before)
    }

    fn add(&mut self, count: u64, now: Moment) {
        self.sum += count;
        if let Some(step) = self.steps.back_mut()
            && now.since(step.first) < Self::LENGTH / STEPS as u32
            && step.before.is_zero()
        {
            step.latest = step.latest.max(now);
            step.count += count;
            return;
        }
        self.steps.push_back(Step { first: now, latest: now, before: Duration::ZERO, count });
    }

    fn expire(&mut self, now: Moment) {
        while let Some(step) = self.steps.front().filter(|step| Self::expires(step) <= now) {
            self.sum -= step.count;
            self.steps.pop_front();
        }
    }

    /// When it holds fewer than `cap`.
    fn room_at(&self, cap: u64) -> Option<Moment> {
        let mut left = self.sum;
        if left < cap {
            return Some(Moment::ZERO);
        }
        self.steps.iter().find_map(|step| {
            left -= step.count;
            (left < cap).then(|| Self::expires(step))
        })
    }

    fn memory(&self, now: Moment) -> Vec<(Duration, u64)> {
        let age = |step: &Step| now.since(step.latest) + step.before;
        self.steps.iter().map(|step| (age(step), step.count)).collect()
    }

    fn recalled(memory: &[(Duration, u64)], now: Moment) -> Self {
        let mut old: Vec<_> = memory.iter().filter(|(age, _)| *age < Self::LENGTH).collect();
        old.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
        let step = |(age, count): &(Duration, u64)| Step {
            first: now,
            latest: now,
            before: *age,
            count: *count,
        };
        let steps: VecDeque<_> = old.into_iter().map(step).collect();
        Self { sum: steps.iter().map(|step| step.count).sum(), steps }
    }
}

impl MessageCount {
    /// What an earlier run counted.
    #[must_use]
    pub fn recalled(memory: &CountMemory, now: Moment) -> Self {
        let mut count = Self {
            hour: Sliding::recalled(&memory.hour, now),
            day: Sliding::recalled(&memory.day, now),
            in_all: memory.in_all,
        };
        // They may have been sent until this very moment.
        count.add(memory.reserved, now);
        count
    }

    /// What a later run should know; `reserved` may have been sent by then as well.
    #[must_use]
    pub fn memory(&self, reserved: u64, now: Moment) -> CountMemory {
        let (hour, day) = (self.hour.memory(now), self.day.memory(now));
        CountMemory { hour, day, in_all: self.in_all, reserved }
    }

    /// Counts so many at `now`. O(1).
    pub fn add(&mut self, count: u64, now: Moment) {
        if count > 0 {
            self.hour.add(count, now);
            self.day.add(count, now);
            self.in_all = self.in_all.saturating_add(count);
        }
    }

    /// Forgets what has left the windows.
    pub fn expire(&mut self, now: Moment) {
        self.hour.expire(now);
        self.day.expire(now);
    }

    /// What a window holds, as of the latest [`Self::expire`].
    #[must_use]
    pub const fn used(&self, window: CapWindow) -> u64 {
        match window {
            CapWindow::Hour => self.hour.sum,
            CapWindow::Day => self.day.sum,
            CapWindow::All => self.in_all,
        }
    }

    /// How many more the caps leave, as of the latest [`Self::expire`].
    #[must_use]
    pub fn room(&self, caps: &CapSettings) -> u64 {
        let left = |w: &CapWindow| Some(caps.of(*w)?.saturating_sub(self.used(*w)));
        CapWindow::ALL.iter().filter_map(left).min().unwrap_or(u64::MAX)
    }

    /// When a window's cap leaves room for another; `None`: never by itself.
    #[must_use]
    pub fn room_at(&self, window: CapWindow, cap: u64) -> Option<Moment> {
        match window {
            CapWindow::Hour => self.hour.room_at(cap),
            CapWindow::Day => self.day.room_at(cap),
            CapWindow::All => (self.in_all < cap).then_some(Moment::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(s: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(s)
    }

    const CAPS: CapSettings = CapSettings { per_hour: Some(50), per_day: Some(120), in_all: None };

    proptest! {
        /// Over days, restarts included: no hour holds more than its cap, no day more than its own.
        #[test]
        fn no_window_holds_more_than_its_cap(
            gaps in prop::collection::vec((1_u64..900, prop::bool::weighted(0.02)), 1..1_500),
        ) {
            let mut count = MessageCount::default();
            // Before `origin` ran earlier runs, whose clocks are gone.
            let (mut clock, mut origin, mut sent) = (0_u64, 0_u64, Vec::<u64>::new());
            for (gap, restart) in gaps {
                clock += gap;
                let now = at(clock - origin);
                count.expire(now);
                if restart {
                    let memory = count.memory(0, now).later(Duration::ZERO);
                    origin = clock;
                    count = MessageCount::recalled(&memory, at(0));
                    continue;
                }
                if count.room(&CAPS) > 0 {
                    count.add(1, now);
                    sent.push(clock);
                }
                let within = |s: u64| sent.iter().filter(|t| **t + s > clock).count();
                prop_assert!(within(3_600) <= 50 && within(86_400) <= 120);
            }
        }

        /// Nor does it hold back for longer than a step after the window has room.
        #[test]
        fn room_comes_back(first in 1_u64..100_000) {
            let mut count = MessageCount::default();
            count.add(50, at(first));
            count.expire(at(first));
            prop_assert_eq!(count.room(&CAPS), 0);
            let room_at = count.room_at(CapWindow::Hour, 50);
            prop_assert_eq!(room_at, Some(at(first + 3_600)));
            count.expire(at(first + 3_600));
            prop_assert_eq!(count.room(&CAPS), 50);
        }
    }

    #[test]
    fn what_was_reserved_counts_as_sent() {
        let mut count = MessageCount::default();
        count.add(10, at(5));
        let memory = count.memory(7, at(10)).later(Duration::from_secs(20));
        let count = MessageCount::recalled(&memory, at(1));
        for window in CapWindow::ALL {
            assert_eq!(count.used(*window), 17, "{window}");
        }
        let caps = CapSettings { in_all: Some(17), ..CapSettings::default() };
        assert_eq!((count.room(&caps), count.room_at(CapWindow::All, 17)), (0, None));
        // The ten of them are gone when their hour is over, the reserved ones have one of their own.
        let mut count = count;
        count.expire(at(1 + 3_600 - 25));
        assert_eq!(count.used(CapWindow::Hour), 7);
    }

    #[test]
    fn a_month_of_messages_takes_no_more_than_its_steps() {
        let mut count = MessageCount::default();
        for minute in 0..30 * 24 * 60 {
            count.add(1, at(minute * 60));
            count.expire(at(minute * 60));
        }
        assert_eq!((count.used(CapWindow::Hour), count.used(CapWindow::All)), (60, 43_200));
        assert!(count.hour.steps.len() + count.day.steps.len() <= 2 * STEPS as usize + 2);
    }
}
