//! A message on its way through its attempts, and the bounded queue in which it waits for the next.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::WAITING_MAX;
use crate::model::{Event, MessageEnd, MessageId, MessageResult, Moment, StreamId};

/// A message that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: MessageId,
    /// Its number in the stream.
    pub(super) sequence: u64,
    /// When its first slot was due; the deadline counts from here.
    pub(super) first_due: Moment,
    /// Attempts ordered so far.
    pub(super) attempts: u32,
    /// The latest delay before a retry, for decorrelated jitter.
    pub(super) last_delay: Duration,
    /// It has been sent again for a fresh token once.
    pub(super) reauthorised: bool,
}

impl Message {
    pub(super) fn ended(&self, stream: StreamId, result: MessageResult, at: Moment) -> Event {
        Event::MessageEnded(MessageEnd {
            stream,
            message: self.id,
            result,
            first_due: self.first_due,
            at,
            attempts: self.attempts,
        })
    }
}

/// Messages waiting for a retry, earliest not-before time first.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    heap: BinaryHeap<Entry>,
    /// No message here was first due before this, so none expires before its deadline from here.
    oldest_due: Option<Moment>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    not_before: Moment,
    message: Message,
}

impl Ord for Entry {
    /// Reversed, because the heap gives its greatest first; the sequence breaks ties, so that a
    /// seed replays exactly.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |e: &Self| (e.not_before, e.message.sequence);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// When the first of them may be tried again; never, when there is none.
    pub(super) fn next_at(&self) -> Moment {
        self.heap.peek().map_or(Moment::NEVER, |entry| entry.not_before)
    }

    pub(super) fn is_full(&self) -> bool {
        self.heap.len() >= WAITING_MAX
    }

    pub(super) fn push(&mut self, not_before: Moment, message: Message) {
        let due = message.first_due;
        self.oldest_due = Some(self.oldest_due.map_or(due, |oldest| oldest.min(due)));
        self.heap.push(Entry { not_before, message });
    }

    /// The message whose retry has been due the longest.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Message> {
        if self.heap.peek()?.not_before > now {
            return None;
        }
        self.heap.pop().map(|entry| entry.message)
    }

    /// Takes out the messages whose deadline has passed.
    pub(super) fn take_expired(&mut self, deadline: Duration, now: Moment) -> Vec<Message> {
        if self.oldest_due.is_none_or(|oldest| oldest + deadline > now) {
            return Vec::new();
        }
        let expired = |e: &Entry| e.message.first_due + deadline <= now;
        let (gone, kept): (Vec<_>, Vec<_>) = self.heap.drain().partition(expired);
        self.heap = kept.into();
        self.oldest_due = self.heap.iter().map(|e| e.message.first_due).min();
        gone.into_iter().map(|entry| entry.message).collect()
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Message> {
        self.heap.drain().map(|entry| entry.message)
    }
}
