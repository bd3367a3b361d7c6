//! Every number that events change, and the one function that lets an event change them.
//!
//! Adding a stream allocates; nothing else does, and no step's cost depends on the number of
//! streams. What a scrape needs ([`Numbers`]) is kept apart from what finds it ([`Index`]), so that
//! a copy takes the numbers alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::cells::{CredentialCell, GateCell, StreamCell, TargetCell};
use super::histogram::{Histogram, LATENESS_BOUNDS};
use super::pace::PaceCell;
use super::safety::SafetyCells;
use crate::model::{
    AttemptRecord, CredentialId, Event, GateId, IdHash, MessageEnd, MessageResult, Moment,
    ScopeKey, SendOrder, StreamId, StreamInfo, TokenEvent, WallOffset,
};

/// What a scrape copies.
#[derive(Clone)]
pub(in crate::telemetry) struct Numbers {
    pub(in crate::telemetry) streams: Vec<Option<StreamCell>>,
    pub(in crate::telemetry) targets: Vec<Option<TargetCell>>,
    pub(in crate::telemetry) gates: Vec<Option<GateCell>>,
    pub(in crate::telemetry) credentials: Vec<Option<CredentialCell>>,
    pub(in crate::telemetry) safety: SafetyCells,
    pub(in crate::telemetry) token_requests: u64,
    pub(in crate::telemetry) draining: bool,
    pub(in crate::telemetry) heartbeat_unix_s: f64,
    pub(in crate::telemetry) wakeups: u64,
    pub(in crate::telemetry) wake_lag: Histogram,
    /// The moment of the latest event or heartbeat.
    pub(in crate::telemetry) now: Moment,
}

struct StreamEntry {
    cell: usize,
    in_flight: u64,
    leaving: bool,
}

#[derive(Default)]
struct Index {
    streams: HashMap<StreamId, StreamEntry, IdHash>,
    /// Streams that were removed and whose last attempt may be out.
    leaving: Vec<StreamId>,
    gates: HashMap<GateId, usize, IdHash>,
    credentials: HashMap<CredentialId, usize, IdHash>,
}

/// The numbers and the way to them.
pub(in crate::telemetry) struct Book {
    pub(in crate::telemetry) numbers: Numbers,
    index: Index,
}

impl Book {
    pub(in crate::telemetry) fn new() -> Self {
        Self {
            numbers: Numbers {
                streams: Vec::new(),
                targets: Vec::new(),
                gates: Vec::new(),
                credentials: Vec::new(),
                safety: SafetyCells::default(),
                token_requests: 0,
                draining: false,
                heartbeat_unix_s: 0.0,
                wakeups: 0,
                wake_lag: Histogram::new(LATENESS_BOUNDS),
                now: Moment::ZERO,
            },
            index: Index::default(),
        }
    }

    /// Counts one event. Events of streams that are not there are ignored: their series are gone.
    pub(in crate::telemetry) fn apply(&mut self, wall: WallOffset, now: Moment, event: &Event) {
        self.numbers.now = now;
        match event {
            Event::StreamAdded(info) => self.add_stream(info),
            Event::StreamRateChanged(id, rate) => self.with_stream(*id, |cell| {
                cell.configured_rate = rate.per_second();
                cell.scheduled_rate = cell.configured_rate;
            }),
            Event::StreamRemoved(id) => self.stream_leaves(*id),
            Event::Skipped { stream, reason, count } => {
                self.with_stream(*stream, |cell| cell.skipped[reason.index()] += count);
            }
            Event::Sent(order) => self.sent(order),
            Event::Ended(record) => self.ended(wall, record),
            Event::MessageEnded(end) => self.message_ended(end),
            Event::RetryQueued { stream, .. } => {
                self.with_stream(*stream, |cell| cell.retries_queued += 1);
            }
            Event::GateAdded(id, key) => self.add_gate(*id, key),
            Event::GateRemoved(id) => self.remove_gate(*id),
            Event::Gate(id, change) => {
                self.with_gate(*id, |cell| cell.change(wall, now, change));
            }
            Event::Pace(id, pace) => {
                self.with_gate(*id, |cell| PaceCell::told(&mut cell.pace, wall, pace));
            }
            Event::Known(id, known) => {
                self.with_gate(*id, |cell| cell.limit.told(wall, known));
            }
            Event::LimitMoved(id, change) => {
                self.with_gate(*id, |cell| cell.limit.moved(wall, change));
            }
            Event::PaceRemoved(id) => self.with_gate(*id, |cell| cell.pace = None),
            Event::BreakerAdded(id, domain) => self.numbers.safety.add_breaker(*id, domain),
            Event::BreakerRemoved(id) => self.numbers.safety.remove_breaker(*id),
            Event::Breaker(id, change) => self.numbers.safety.breaker(*id, wall, now, *change),
            Event::Safety(change) => self.numbers.safety.change(change),
            Event::Token(id, event) => self.token(wall, *id, *event),
            Event::DrainStarted => self.numbers.draining = true,
        }
    }

    /// The send loop woke at `now`, having planned to at `planned`.
    pub(in crate::telemetry) fn heartbeat(
        &mut self,
        wall: WallOffset,
        now: Moment,
        planned: Option<Moment>,
    ) {
        self.numbers.now = now;
        self.numbers.heartbeat_unix_s = wall.unix_seconds(now);
        self.numbers.wakeups += 1;
        if let Some(planned) = planned {
            self.numbers.wake_lag.observe(now.since(planned));
        }
        self.sweep();
    }

    pub(in crate::telemetry) fn scheduled_rate(&mut self, id: StreamId, per_second: f64) {
        self.with_stream(id, |cell| cell.scheduled_rate = per_second);
    }

    /// Names the credentials there are. Revisions of one name share its series; the series of names
    /// that are no longer there go.
    pub(in crate::telemetry) fn credentials(&mut self, all: &[(CredentialId, Arc<str>)]) {
        let cells = &mut self.numbers.credentials;
        for cell in cells.iter_mut() {
            cell.take_if(|c| all.iter().all(|(_, name)| *name != c.name));
        }
        self.index.credentials.clear();
        for (id, name) in all {
            let found = cells.iter().position(|c| c.as_ref().is_some_and(|c| c.name == *name));
            let slot =
                found.unwrap_or_else(|| insert(cells, CredentialCell::new(Arc::clone(name))));
            self.index.credentials.insert(*id, slot);
        }
    }

    fn with_stream(&mut self, id: StreamId, change: impl FnOnce(&mut StreamCell)) {
        let Some(entry) = self.index.streams.get(&id) else { return };
        if let Some(cell) = self.numbers.streams[entry.cell].as_mut() {
            change(cell);
        }
    }

    fn with_gate(&mut self, id: GateId, change: impl FnOnce(&mut GateCell)) {
        let Some(slot) = self.index.gates.get(&id) else { return };
        if let Some(cell) = self.numbers.gates[*slot].as_mut() {
            change(cell);
        }
    }

    fn add_stream(&mut self, info: &Arc<StreamInfo>) {
        let numbers = &mut self.numbers;
        // A changed credential makes a new stream of the same name and target: its series go on.
        let found = numbers.streams.iter().position(|cell| {
            cell.as_ref().is_some_and(|c| c.info.name == info.name && c.info.target == info.target)
        });
        let slot = found.unwrap_or_else(|| {
            let same = |t: &Option<TargetCell>| t.as_ref().is_some_and(|t| t.name == info.target);
            let target = numbers.targets.iter().position(same).unwrap_or_else(|| {
                insert(&mut numbers.targets, TargetCell::new(Arc::clone(&info.target)))
            });
            if let Some(cell) = numbers.targets[target].as_mut() {
                cell.users += 1;
            }
            insert(&mut numbers.streams, StreamCell::new(Arc::clone(info), target))
        });
        if let Some(cell) = numbers.streams[slot].as_mut() {
            cell.users += 1;
            cell.info = Arc::clone(info);
            cell.configured_rate = info.rate.per_second();
            cell.scheduled_rate = cell.configured_rate;
        }
        let entry = StreamEntry { cell: slot, in_flight: 0, leaving: false };
        self.index.streams.insert(info.id, entry);
    }

    fn stream_leaves(&mut self, id: StreamId) {
        if let Some(entry) = self.index.streams.get_mut(&id)
            && !entry.leaving
        {
            entry.leaving = true;
            self.index.leaving.push(id);
            self.sweep();
        }
    }

    /// Drops the series of removed streams that have nothing in flight. Not called when an attempt
    /// ends, because the end of its message is told right after it and still counts.
    fn sweep(&mut self) {
        let Self { numbers, index } = self;
        index.leaving.retain(|id| {
            let Some(entry) = index.streams.get(id) else { return false };
            if entry.in_flight > 0 {
                return true;
            }
            drop_user(numbers, entry.cell);
            index.streams.remove(id);
            false
        });
    }

    fn sent(&mut self, order: &SendOrder) {
        let Some(entry) = self.index.streams.get_mut(&order.stream) else { return };
        entry.in_flight += 1;
        let Some(cell) = self.numbers.streams[entry.cell].as_mut() else { return };
        cell.sent += 1;
        if order.resend == 0 {
            cell.messages_started += 1;
        } else {
            cell.resends += 1;
        }
    }

    fn ended(&mut self, wall: WallOffset, record: &AttemptRecord) {
        let AttemptRecord { order, answer } = record;
        let Some(entry) = self.index.streams.get_mut(&order.stream) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        let Some(cell) = self.numbers.streams[entry.cell].as_mut() else { return };
        cell.ended[record.outcome().index()] += 1;
        if !answer.hints.is_empty() {
            cell.hinted(wall, answer.headers_at.unwrap_or(answer.done_at), &answer.hints);
        }
        let target = cell.target;
        if let Some(target) = self.numbers.targets[target].as_mut() {
            target.ended(record);
        }
    }

    fn message_ended(&mut self, end: &MessageEnd) {
        let Some(entry) = self.index.streams.get(&end.stream) else { return };
        let Some(cell) = self.numbers.streams[entry.cell].as_mut() else { return };
        cell.messages_ended[end.result.index()] += 1;
        let target = cell.target;
        if end.result == MessageResult::Delivered
            && let Some(target) = self.numbers.targets[target].as_mut()
        {
            target.delivery.observe(end.at.since(end.first_due));
        }
        if !self.index.leaving.is_empty() {
            self.sweep();
        }
    }

    fn add_gate(&mut self, id: GateId, key: &ScopeKey) {
        let name = key.to_string();
        let gates = &mut self.numbers.gates;
        let same = |cell: &Option<GateCell>| cell.as_ref().is_some_and(|c| *c.name == name);
        let found = gates.iter().position(same);
        let slot =
            found.unwrap_or_else(|| insert(gates, GateCell::new(name.into(), key.factors())));
        self.index.gates.insert(id, slot);
    }

    fn remove_gate(&mut self, id: GateId) {
        // Scopes that are written the same way share one set of series.
        if let Some(slot) = self.index.gates.remove(&id)
            && self.index.gates.values().all(|used| *used != slot)
        {
            self.numbers.gates[slot] = None;
        }
    }

    fn token(&mut self, wall: WallOffset, id: CredentialId, event: TokenEvent) {
        if event == TokenEvent::Fetching {
            self.numbers.token_requests += 1;
        }
        let Some(slot) = self.index.credentials.get(&id) else { return };
        let Some(cell) = self.numbers.credentials[*slot].as_mut() else { return };
        match event {
            TokenEvent::Fetching => {}
            TokenEvent::Granted { expires_at } => {
                cell.fetches[0] += 1;
                cell.expires_unix_s = expires_at.map_or(f64::INFINITY, |at| wall.unix_seconds(at));
            }
            TokenEvent::Unavailable { throttled, .. } => {
                cell.fetches[if throttled { 1 } else { 2 }] += 1;
            }
            TokenEvent::Revoked => {
                cell.revoked += 1;
                cell.expires_unix_s = 0.0;
            }
        }
    }
}

/// Puts `value` in the first free place and says where.
fn insert<T>(slots: &mut Vec<Option<T>>, value: T) -> usize {
    match slots.iter().position(Option::is_none) {
        Some(free) => {
            slots[free] = Some(value);
            free
        }
        None => {
            slots.push(Some(value));
            slots.len() - 1
        }
    }
}

/// One stream less counts in `slot`; with the last, its series go, and its target's with their last.
fn drop_user(numbers: &mut Numbers, slot: usize) {
    let Some(cell) = numbers.streams[slot].as_mut() else { return };
    cell.users -= 1;
    if cell.users > 0 {
        return;
    }
    let target = cell.target;
    numbers.streams[slot] = None;
    if let Some(cell) = numbers.targets[target].as_mut() {
        cell.users -= 1;
        if cell.users == 0 {
            numbers.targets[target] = None;
        }
    }
}

#[cfg(test)]
pub(in crate::telemetry) mod tests;
