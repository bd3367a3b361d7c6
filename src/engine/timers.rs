//! One set of not-before times: the only timer the engine has.
//!
//! Arming a timer anew takes its old time out. A heap would keep that until it had passed, and a stream
//! whose requests in flight are at their cap moves its timer to and fro at every answer.

use std::collections::BTreeSet;

use crate::model::{Moment, StreamId};

/// What to do when a time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look at a stream's slots.
    Slots(StreamId),
    /// Look at the token desk.
    Tokens,
}

/// The set; each timer is in it once, unless it is armed for never.
#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    /// Arms a timer for `at` that was armed for `was`; never is not armed.
    pub(super) fn arm(&mut self, timer: Timer, was: Moment, at: Moment) {
        if was == at {
            return;
        }
        if was != Moment::NEVER {
            self.armed.remove(&(was, timer));
        }
        if at != Moment::NEVER {
            self.armed.insert((at, timer));
        }
    }

    /// Takes out the timer that has been due the longest: it is not armed any more.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Timer> {
        if self.next_at() > now {
            return None;
        }
        self.armed.pop_first().map(|(_, timer)| timer)
    }

    pub(super) fn next_at(&self) -> Moment {
        self.armed.first().map_or(Moment::NEVER, |(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_timer_moved_to_and_fro_is_there_once() {
        let (mut timers, timer) = (Timers::default(), Timer::Slots(StreamId(0)));
        timers.arm(Timer::Tokens, Moment::NEVER, at(5));
        let mut was = Moment::NEVER;
        for answer in 1..1_000 {
            for wake in [at(1_000 + answer), at(answer)] {
                timers.arm(timer, was, wake);
                was = wake;
            }
        }
        assert_eq!(timers.armed.len(), 2);
        assert_eq!(timers.pop_due(at(4)), None);
        assert_eq!(timers.pop_due(at(999)), Some(Timer::Tokens));
        assert_eq!(timers.pop_due(at(999)), Some(timer));
        assert_eq!((timers.pop_due(Moment::NEVER), timers.next_at()), (None, Moment::NEVER));
    }

    #[test]
    fn never_takes_a_timer_out() {
        let mut timers = Timers::default();
        timers.arm(Timer::Tokens, Moment::NEVER, at(5));
        timers.arm(Timer::Tokens, at(5), Moment::NEVER);
        assert_eq!(timers.next_at(), Moment::NEVER);
    }
}
