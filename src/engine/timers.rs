//! One heap of not-before times: the only timer the engine has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::{Moment, StreamId};

/// What to do when a time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look at a stream's slots. Stale when the stream has been armed for another time since.
    Slots(StreamId),
    /// Look at the token desk.
    Tokens,
}

/// The heap.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Moment, Timer)>>,
    tokens_at: Option<Moment>,
}

impl Timers {
    pub(super) fn arm_slots(&mut self, stream: StreamId, at: Moment) {
        if at != Moment::NEVER {
            self.heap.push(Reverse((at, Timer::Slots(stream))));
        }
    }

    pub(super) fn arm_tokens(&mut self, at: Moment) {
        if at != Moment::NEVER && self.tokens_at.is_none_or(|armed| at < armed) {
            self.tokens_at = Some(at);
            self.heap.push(Reverse((at, Timer::Tokens)));
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
        Some((at, timer))
    }

    pub(super) fn next_at(&self) -> Moment {
        self.heap.peek().map_or(Moment::NEVER, |Reverse((at, _))| *at)
    }
}
