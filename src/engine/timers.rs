//! One heap of not-before times: the only timer the engine has.
//!
//! A heap gives back nothing but its first, so a time that is no longer wanted stays in it until it has
//! passed. A stream whose requests in flight are at their cap is told at every answer to look again
//! at once, and then again in a second: its later time is kept for when the earlier has passed,
//! rather than one more of them left behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::{GateId, Moment, StreamId};

/// What to do when a time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look at a stream's slots.
    Slots(StreamId),
    /// Look at the ticks of a gate's shared plan.
    Pace(GateId),
    /// Look at the token desk.
    Tokens,
    /// Look at caps and active hours.
    Safety,
}

/// The times in the heap that a stream, or a gate, counts on. Any other of its times is ignored when
/// it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    /// The next one; never, when it has come.
    at: Moment,
    /// One after that; never, when there is none.
    later: Moment,
}

impl Armed {
    pub(super) const NOT: Self = Self { at: Moment::NEVER, later: Moment::NEVER };

    /// A time of the stream's has come: says whether it is one to act on.
    pub(super) fn has_come(&mut self, at: Moment) -> bool {
        let wanted = self.at == at;
        if wanted {
            self.at = Moment::NEVER;
        }
        if self.later == at {
            self.later = Moment::NEVER;
        }
        wanted
    }
}

/// The heap.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, Timer)>>,
    tokens_at: Option<Moment>,
    safety_armed: bool,
}

impl Timers {
    /// Sees to it that a stream looks again at `wake` or before: a look that comes too early does
    /// nothing but arm again.
    pub(super) fn arm_slots(&mut self, stream: StreamId, armed: &mut Armed, wake: Moment) {
        self.arm(Timer::Slots(stream), armed, wake);
    }

    /// As [`Self::arm_slots`], for the ticks of a gate.
    pub(super) fn arm_pace(&mut self, gate: GateId, armed: &mut Armed, wake: Moment) {
        self.arm(Timer::Pace(gate), armed, wake);
    }

    fn arm(&mut self, timer: Timer, armed: &mut Armed, wake: Moment) {
        if wake >= armed.at {
            return;
        }
        let next = armed.at.min(armed.later);
        if wake >= next {
            *armed = Armed { at: next, later: Moment::NEVER };
            return;
        }
        let later = if armed.later == Moment::NEVER { armed.at } else { armed.later };
        *armed = Armed { at: wake, later };
        self.heap.push(Reverse((wake, timer)));
    }

    pub(super) fn arm_tokens(&mut self, at: Moment) {
        if at != Moment::NEVER && self.tokens_at.is_none_or(|armed| at < armed) {
            self.tokens_at = Some(at);
            self.heap.push(Reverse((at, Timer::Tokens)));
        }
    }

    /// Sees to it that caps are looked at, if nobody has before.
    pub(super) fn arm_safety(&mut self, at: Moment) {
        if !std::mem::replace(&mut self.safety_armed, true) {
            self.heap.push(Reverse((at, Timer::Safety)));
        }
    }

    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Moment, Timer)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((at, timer)) = self.heap.pop()?;
        if timer == Timer::Tokens && self.tokens_at == Some(at) {
            self.tokens_at = None;
        }
        self.safety_armed &= timer != Timer::Safety;
        Some((at, timer))
    }

    pub(super) fn next_at(&self) -> Moment {
        self.heap.peek().map_or(Moment::NEVER, |Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const STREAM: StreamId = StreamId(0);

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    /// When the stream looks, up to `now`.
    fn looks(timers: &mut Timers, armed: &mut Armed, now: Moment) -> Vec<Moment> {
        std::iter::from_fn(|| timers.pop_due(now))
            .map(|(at, _)| at)
            .filter(|at| armed.has_come(*at))
            .collect()
    }

    #[test]
    fn a_full_house_leaves_no_times_behind() {
        let (mut timers, mut armed) = (Timers::default(), Armed::NOT);
        timers.arm_slots(STREAM, &mut armed, at(1_000));
        for answer in (2..990).step_by(2) {
            timers.arm_slots(STREAM, &mut armed, at(answer));
            assert_eq!(looks(&mut timers, &mut armed, at(answer)), [at(answer)]);
            timers.arm_slots(STREAM, &mut armed, at(1_000 + answer));
            assert_eq!(timers.heap.len(), 1);
        }
        assert_eq!(
            looks(&mut timers, &mut armed, at(1_500)),
            [at(1_000)],
            "early, and looks again"
        );
        timers.arm_slots(STREAM, &mut armed, at(1_988));
        assert_eq!(timers.next_at(), at(1_988));
    }

    #[test]
    fn a_stream_looks_no_later_than_it_was_told() {
        let (mut timers, mut armed) = (Timers::default(), Armed::NOT);
        for wake in [50, 40, 30, 60] {
            timers.arm_slots(STREAM, &mut armed, at(wake));
        }
        assert_eq!(looks(&mut timers, &mut armed, at(30)), [at(30)]);
        timers.arm_slots(STREAM, &mut armed, at(45));
        assert_eq!(
            looks(&mut timers, &mut armed, at(45)),
            [at(45)],
            "what was armed for 40 is stale"
        );
        timers.arm_slots(STREAM, &mut armed, Moment::NEVER);
        assert_eq!(looks(&mut timers, &mut armed, at(99)), [], "there is nothing to look for");
        assert_eq!((timers.next_at(), timers.heap.len()), (Moment::NEVER, 0));
    }
}
