//! The gate table: one gate for each holder of a limit, found by scope key.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::learning::Learning;
use super::pace::GatePace;
use super::recall::Recalled;
use super::{GateName, Output};
use crate::model::{
    Advice, AttemptId, Event, GateChange, GateId, Identity, Moment, ScopeKey, StreamId,
};
use crate::policy::{Gate, Passage, Pause, PolicySettings};

type Outbox = VecDeque<Output>;

/// A gate and what is known about it.
#[derive(Debug)]
pub(super) struct GateEntry {
    pub(super) key: Arc<ScopeKey>,
    pub(super) name: GateName,
    pub(super) gate: Gate,
    pub(super) epochs: u64,
    /// How long it held traffic back in the epochs that are over.
    pub(super) held: Duration,
    /// Streams that stand behind it.
    pub(super) members: Vec<StreamId>,
    /// Requests that went through it so far ...
    sends: u64,
    /// ... and those of them that have not ended.
    pub(super) in_flight: u32,
    /// Who was refused in the latest pause, and whether somebody has peeked since it began.
    pub(super) refused: Vec<StreamId>,
    pub(super) peeked: bool,
    /// What is learned about its limit.
    pub(super) learning: Box<Learning>,
    /// The plan that its adaptive streams share.
    pub(super) pace: Option<Box<GatePace>>,
}

/// The facts of one refusal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) stream: StreamId,
    pub(super) attempt: AttemptId,
    /// When its headers came.
    pub(super) headers_at: Moment,
    pub(super) advice: Advice,
}

/// A request that goes through a gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) attempt: AttemptId,
    /// It asks whether the gate may open.
    pub(super) resume: bool,
    /// It may go out inside another credential's pause.
    pub(super) peeks: bool,
}

/// Every gate.
#[derive(Debug, Default)]
pub(super) struct GateTable {
    /// Of every gate's learner; `None`: no plan has been applied.
    alarm_every: Option<Duration>,
    /// Indexed by id. Ids are never reused, so a removed gate leaves an empty pointer behind.
    entries: Vec<Option<Box<GateEntry>>>,
    by_key: HashMap<Arc<ScopeKey>, GateId>,
    /// What an earlier run knew.
    pub(super) recalled: Recalled,
}

impl GateTable {
    /// How seldom learners may raise a false alarm, those of gates that come included.
    pub(super) fn alarm_every(&mut self, interval: Duration) {
        self.alarm_every = Some(interval);
        for entry in self.entries.iter_mut().flatten() {
            entry.learning.alarm_every(interval);
        }
    }

    /// Puts a stream behind the gate of its scope's holder, made when it is not there. Pauses that
    /// were asked for under another idea of the scope, and that concern the stream, hold here too.
    pub(super) fn join(
        &mut self,
        key: ScopeKey,
        stream: StreamId,
        identity: &Identity,
        now: Moment,
        outbox: &mut Outbox,
    ) -> GateId {
        let id = self.of(key, identity, now, outbox);
        if let Some(entry) = self.get_mut(id) {
            entry.members.push(stream);
        }
        id
    }

    fn of(
        &mut self,
        key: ScopeKey,
        identity: &Identity,
        now: Moment,
        outbox: &mut Outbox,
    ) -> GateId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = GateId(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let mut gate = Gate::default();
        let concerns = |e: &&GateEntry| e.key.domain == key.domain && e.key.covers(identity);
        for entry in self.iter().filter(concerns) {
            gate.inherit(&entry.gate);
        }
        let recalled = self.recalled.gate(&key, identity, now);
        let remembered = recalled.filter(|recalled| recalled.until() > gate.until());
        if let Some(recalled) = &remembered {
            gate.inherit(recalled);
        }
        if let Some(manners) = self.recalled.manners(&key, now) {
            gate.recall_silence(manners.silence);
        }
        let mut learning = Box::new(Learning::new(self.recalled.estimate(&key, now)));
        if let Some(interval) = self.alarm_every {
            learning.alarm_every(interval);
        }
        let key = Arc::new(key);
        let entry = GateEntry {
            name: key.to_string().into(),
            key: Arc::clone(&key),
            gate,
            epochs: 0,
            held: Duration::ZERO,
            members: Vec::new(),
            sends: 0,
            in_flight: 0,
            refused: Vec::new(),
            peeked: false,
            learning,
            pace: None,
        };
        self.by_key.insert(Arc::clone(&key), id);
        self.entries.push(Some(Box::new(entry)));
        outbox.push_back(Output::Event(Event::GateAdded(id, key)));
        if let Some(gate) = remembered {
            let (until, level, long) = (gate.until(), gate.level(), gate.is_long());
            let change = GateChange::Remembered { until, level, long };
            outbox.push_back(Output::Event(Event::Gate(id, change)));
        }
        id
    }

    pub(super) fn find(&self, name: &str) -> Option<GateId> {
        let key = &self.iter().find(|e| &*e.name == name)?.key;
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, id: GateId) -> Option<&GateEntry> {
        self.entries.get(id.0 as usize)?.as_deref()
    }

    fn get_mut(&mut self, id: GateId) -> Option<&mut GateEntry> {
        self.entries.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// Every gate, in order of creation.
    pub(super) fn iter(&self) -> impl Iterator<Item = &GateEntry> {
        self.entries.iter().filter_map(Option::as_deref)
    }

    /// The ids of all gates, in order of creation.
    pub(super) fn ids(&self) -> Vec<GateId> {
        let mut ids: Vec<_> = self.by_key.values().copied().collect();
        ids.sort();
        ids
    }

    pub(super) fn pace_mut(&mut self, id: GateId) -> Option<&mut GatePace> {
        self.get_mut(id)?.pace.as_deref_mut()
    }

    pub(super) fn learning_mut(&mut self, id: GateId) -> Option<&mut Learning> {
        Some(&mut self.get_mut(id)?.learning)
    }

    /// Takes a gate's pace out to work on it beside the rest of the engine. [`Self::put_pace`] it
    /// back.
    pub(super) fn take_pace(&mut self, id: GateId) -> Option<Box<GatePace>> {
        self.get_mut(id)?.pace.take()
    }

    pub(super) fn put_pace(&mut self, id: GateId, pace: Box<GatePace>) {
        if let Some(entry) = self.get_mut(id) {
            entry.pace = Some(pace);
        }
    }

    /// A request goes through: its number.
    pub(super) fn departs(&mut self, id: GateId) -> u64 {
        let Some(entry) = self.get_mut(id) else { return 0 };
        entry.sends += 1;
        entry.in_flight += 1;
        entry.sends
    }

    /// The request of that number has ended: how many were sent after it.
    pub(super) fn arrives(&mut self, id: GateId, ordinal: u64) -> u64 {
        let Some(entry) = self.get_mut(id) else { return 0 };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        entry.sends - ordinal
    }

    pub(super) fn members(&self, id: GateId) -> Vec<StreamId> {
        self.get(id).map(|e| e.members.clone()).unwrap_or_default()
    }

    pub(super) fn passage(&self, id: GateId, now: Moment) -> Passage {
        self.get(id).map_or(Passage::Free, |e| e.gate.passage(now))
    }

    /// Takes a stream away from its gate.
    pub(super) fn leave(&mut self, id: GateId, stream: StreamId) {
        if let Some(entry) = self.get_mut(id) {
            entry.members.retain(|member| *member != stream);
        }
    }

    /// Drops gates that are open and that nobody stands behind. A closed one stays: what the
    /// server asked for holds for whoever comes back.
    pub(super) fn sweep(&mut self, outbox: &mut Outbox) {
        let idle = |e: &GateEntry| e.members.is_empty() && e.gate.until() == Moment::ZERO;
        for slot in &mut self.entries {
            if let Some(entry) = slot.take_if(|e| idle(e))
                && let Some(id) = self.by_key.remove(&entry.key)
            {
                outbox.push_back(Output::Event(Event::GateRemoved(id)));
            }
        }
    }

    /// A request of this scope was throttled. True when this began an epoch.
    pub(super) fn throttled(
        &mut self,
        id: GateId,
        refusal: &Refusal,
        policy: &PolicySettings,
        rng: &mut impl Rng,
        outbox: &mut Outbox,
    ) -> bool {
        let Refusal { stream, attempt, headers_at, advice } = *refusal;
        let Some(entry) = self.get_mut(id) else { return false };
        let pause = entry.gate.throttled(attempt, headers_at, advice, policy, rng);
        let (until, long) = (entry.gate.until(), entry.gate.is_long());
        if pause == Pause::Began {
            (entry.refused, entry.peeked) = (Vec::new(), false);
        }
        if !entry.refused.contains(&stream) {
            entry.refused.push(stream);
        }
        let change = match pause {
            Pause::Began => {
                entry.epochs += 1;
                GateChange::Closed { until, advice, level: entry.gate.level(), long, cause: stream }
            }
            Pause::Extended => GateChange::Extended { until, long },
            Pause::Covered => return false,
        };
        outbox.push_back(Output::Event(Event::Gate(id, change)));
        pause == Pause::Began
    }

    /// Opens a gate whose pause is over without a question, for a probe.
    pub(super) fn lapse(&mut self, id: GateId, now: Moment, outbox: &mut Outbox) {
        let Some(entry) = self.get_mut(id) else { return };
        if let Some(held) = entry.gate.lapse(now) {
            entry.held += held;
            outbox.push_back(Output::Event(Event::Gate(id, GateChange::Opened { held })));
        }
    }

    /// An attempt goes out. Counts it as a violation if a pause that the server asked for is on, unless it may
    /// peek.
    pub(super) fn sent(&mut self, id: GateId, passing: Passing, now: Moment, outbox: &mut Outbox) {
        let Passing { attempt, resume, peeks } = passing;
        let Some(entry) = self.get_mut(id) else { return };
        entry.learning.sent(attempt, now);
        if entry.gate.forbids(now) {
            entry.peeked |= peeks;
            let change = if peeks { GateChange::Peeked } else { GateChange::Violated };
            outbox.push_back(Output::Event(Event::Gate(id, change)));
        }
        if resume {
            entry.gate.resume_sent(attempt, now);
            outbox.push_back(Output::Event(Event::Gate(id, GateChange::HalfOpen)));
        }
    }

    /// An attempt ended, not throttled. How long the gate had held traffic when this opened it.
    pub(super) fn ended(
        &mut self,
        id: GateId,
        attempt: AttemptId,
        admitted: bool,
        now: Moment,
        delay: Duration,
        outbox: &mut Outbox,
    ) -> Option<Duration> {
        let entry = self.get_mut(id)?;
        let held = entry.gate.ended(attempt, admitted, now, delay)?;
        entry.held += held;
        outbox.push_back(Output::Event(Event::Gate(id, GateChange::Opened { held })));
        Some(held)
    }

    pub(super) fn open_by_operator(
        &mut self,
        id: GateId,
        now: Moment,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(entry) = self.get_mut(id) else { return false };
        let opened = entry.gate.open_by_operator(now);
        if opened {
            let key = Arc::clone(&entry.key);
            self.recalled.forgive(&key);
            outbox.push_back(Output::Event(Event::Gate(id, GateChange::OpenedByOperator)));
        }
        opened
    }
}
