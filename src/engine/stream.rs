//! What the engine knows of one stream.

use std::collections::HashMap;
use std::sync::Arc;

use super::message::Waiting;
use super::plan::StreamPlan;
use super::timers::Armed;
use crate::model::{
    AttemptRecord, BreakerId, GateId, NamedLimit, Outcome, SkipReason, StreamId, StreamInfo,
};
use crate::policy::{Mode, RetryBudget};
use crate::schedule::Schedule;

/// A stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) info: Arc<StreamInfo>,
    pub(super) plan: StreamPlan,
    /// In adaptive mode it only says how far the ramp is.
    pub(super) schedule: Schedule,
    pub(super) gate: GateId,
    pub(super) breaker: BreakerId,
    /// Where its messages are counted.
    pub(super) account: usize,
    pub(super) budget: RetryBudget,
    pub(super) waiting: Waiting,
    pub(super) next_sequence: u64,
    /// When its timer goes off.
    pub(super) armed: Armed,
    /// Why it was held back when it last looked, so that the slots until its release are counted
    /// under that reason.
    pub(super) held_by: Option<SkipReason>,
    /// Its burst is a single request that may go out inside another credential's pause.
    pub(super) peeks: bool,
    /// No longer in the plan; it goes when nothing of it is in flight.
    pub(super) retired: bool,
    pub(super) counts: Counts,
    /// The latest response with quota hints.
    pub(super) last_hinted: Option<Arc<AttemptRecord>>,
    /// The limit that the latest refusal named.
    pub(super) last_named: Option<NamedLimit>,
}

/// A stream's own sums: `scheduled = sent + skipped`, `sent = outcomes + in flight`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) in_flight: u32,
    pub(super) skipped: [u64; SkipReason::ALL.len()],
    pub(super) outcomes: [u64; Outcome::ALL.len()],
}

impl Stream {
    /// Whether it takes its slots from the plan that its gate's adaptive streams share.
    pub(super) fn is_paced(&self) -> bool {
        self.plan.mode == Mode::Adaptive
    }
}

impl Counts {
    pub(super) fn scheduled(&self) -> u64 {
        self.sent + self.skipped.iter().sum::<u64>()
    }
}

/// Every stream, by id and by name.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Indexed by id. Ids are never reused, so a removed stream leaves an empty pointer behind.
    slots: Vec<Option<Box<Stream>>>,
    by_name: HashMap<Arc<str>, StreamId>,
}

impl Streams {
    pub(super) fn next_id(&self) -> StreamId {
        StreamId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn insert(&mut self, stream: Stream) {
        self.by_name.insert(Arc::clone(&stream.info.name), stream.info.id);
        self.slots.push(Some(Box::new(stream)));
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&Stream> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Takes a stream out to work on it beside the rest of the engine. [`Self::put`] it back.
    pub(super) fn take(&mut self, id: StreamId) -> Option<Box<Stream>> {
        self.slots.get_mut(id.0 as usize)?.take()
    }

    pub(super) fn put(&mut self, stream: Box<Stream>) {
        let index = stream.info.id.0 as usize;
        self.slots[index] = Some(stream);
    }

    /// The stream of that name which is in the plan.
    pub(super) fn find(&self, name: &str) -> Option<StreamId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn forget_name(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.by_name.keys().cloned().collect()
    }

    /// Ids of the streams that exist, in order of their creation.
    pub(super) fn ids(&self) -> Vec<StreamId> {
        self.iter().map(|stream| stream.info.id).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().filter_map(Option::as_deref)
    }
}
