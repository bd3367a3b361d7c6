//! The circuit breakers: one for each limit domain, found by its name.

use std::sync::Arc;

use super::slots::{Hold, barred};
use super::{Engine, Output};
use crate::model::{
    AttemptId, AttemptRecord, BreakerChange, BreakerId, BreakerStatus, Event, FailureKind, GateId,
    Moment, SkipReason, Verdict, WallOffset,
};
use crate::policy::{Breaker, BreakerSettings, Passage, Trip};

/// A breaker and whom it concerns.
#[derive(Debug)]
struct Entry {
    domain: Arc<str>,
    breaker: Breaker,
    /// Streams of the domain.
    members: u32,
    opened: u64,
}

/// Every breaker.
#[derive(Debug)]
pub(super) struct Breakers {
    /// Indexed by id. Ids are never reused.
    entries: Vec<Option<Entry>>,
    settings: BreakerSettings,
}

/// What may pass a gate and the breaker of its limit domain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// It is the request that asks whether the gate may open.
    pub(super) resume: bool,
    /// It is the request that asks whether the API is back.
    pub(super) trial: bool,
}

impl Breakers {
    pub(super) const fn new(settings: BreakerSettings) -> Self {
        Self { entries: Vec::new(), settings }
    }

    fn get(&self, id: BreakerId) -> Option<&Entry> {
        self.entries.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: BreakerId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0 as usize)?.as_mut()
    }

    fn find(&self, domain: &str) -> Option<BreakerId> {
        let is = |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| &*e.domain == domain);
        let index = self.entries.iter().position(is)?;
        u32::try_from(index).ok().map(BreakerId)
    }
}

impl Engine {
    /// Puts a stream of a limit domain behind its breaker, made when it is not there.
    pub(super) fn join_breaker(&mut self, domain: &Arc<str>) -> BreakerId {
        let id = self.breakers.find(domain).unwrap_or_else(|| {
            let id = BreakerId(u32::try_from(self.breakers.entries.len()).unwrap_or(u32::MAX));
            let (domain, breaker) = (Arc::clone(domain), Breaker::default());
            self.emit(Event::BreakerAdded(id, Arc::clone(&domain)));
            self.breakers.entries.push(Some(Entry { domain, breaker, members: 0, opened: 0 }));
            id
        });
        if let Some(entry) = self.breakers.get_mut(id) {
            entry.members += 1;
        }
        id
    }

    /// A stream is gone; the breaker of a domain without streams goes with it.
    pub(super) fn leave_breaker(&mut self, id: BreakerId) {
        let Some(entry) = self.breakers.get_mut(id) else { return };
        entry.members = entry.members.saturating_sub(1);
        if entry.members == 0 {
            self.breakers.entries[id.0 as usize] = None;
            self.emit(Event::BreakerRemoved(id));
        }
    }

    pub(super) fn apply_breakers(&mut self, settings: BreakerSettings, now: Moment) {
        self.breakers.settings = settings;
        if settings.failures > 0 {
            return;
        }
        for index in 0..self.breakers.entries.len() {
            let Some(entry) = &mut self.breakers.entries[index] else { continue };
            if let Trip::Closed(held) = entry.breaker.switch_off(now) {
                let id = BreakerId(index as u32);
                self.emit(Event::Breaker(id, BreakerChange::Closed { held }));
            }
        }
    }

    /// What may pass at `now`; or what keeps everybody behind the gate from sending. `gate` says of which
    /// slots, due before a moment, it must not be one. Who peeks passes the gate.
    pub(super) fn way(
        &self,
        gate: GateId,
        breaker: BreakerId,
        peeks: bool,
        now: Moment,
    ) -> (Vec<(Moment, SkipReason)>, Result<Way, Hold>) {
        let mut before = Vec::new();
        let mut way = Way { resume: false, trial: false };
        let through_gate = if peeks { Passage::Free } else { self.gates.passage(gate, now) };
        if let Passage::Resume(from) = through_gate {
            before.push((from, SkipReason::Gated));
            way.resume = true;
        }
        if let Some(hold) = barred(through_gate, SkipReason::Gated, now) {
            return (before, Err(hold));
        }
        let Some(entry) = self.breakers.get(breaker) else { return (before, Ok(way)) };
        let through = entry.breaker.passage(now);
        if let Passage::Resume(from) = through {
            before.push((from, SkipReason::CircuitOpen));
            way.trial = true;
        }
        let hold = barred(through, SkipReason::CircuitOpen, now);
        (before, hold.map_or(Ok(way), Err))
    }

    pub(super) fn trial_sent(&mut self, id: BreakerId, attempt: AttemptId) {
        if let Some(entry) = self.breakers.get_mut(id) {
            entry.breaker.trial_sent(attempt);
            self.emit(Event::Breaker(id, BreakerChange::HalfOpen));
        }
    }

    /// What an answer says of whether the API is there.
    pub(super) fn settle_breaker(&mut self, record: &AttemptRecord, id: BreakerId, now: Moment) {
        let failed = match record.answer.verdict {
            // It was we who gave up.
            Verdict::Failed(failure) if failure.kind == FailureKind::Abandoned => return,
            Verdict::Failed(_) => true,
            _ => false,
        };
        let Self { breakers, rng, outbox, .. } = self;
        let settings = breakers.settings;
        let Some(entry) = breakers.get_mut(id) else { return };
        let trip = entry.breaker.ended(record.order.attempt, failed, &settings, now, rng);
        let domain = Arc::clone(&entry.domain);
        let change = match trip {
            Trip::None => return,
            Trip::Opened(until) => {
                entry.opened += 1;
                BreakerChange::Opened { until, failures: entry.breaker.failures() }
            }
            Trip::Closed(held) => BreakerChange::Closed { held },
        };
        outbox.push_back(Output::Event(Event::Breaker(id, change)));
        if let Trip::Closed(_) = trip {
            for gate in self.gates.ids() {
                if self.gates.get(gate).is_some_and(|entry| entry.key.domain == domain) {
                    self.kick_gate(gate, now);
                }
            }
        }
    }

    pub(super) fn breaker_status(&self, wall: WallOffset) -> Vec<BreakerStatus> {
        let one = |entry: &Entry| BreakerStatus {
            domain: entry.domain.to_string(),
            state: entry.breaker.state(),
            until: entry.breaker.until().map(|until| wall.unix_seconds(until)),
            failures: entry.breaker.failures(),
            opened: entry.opened,
        };
        self.breakers.entries.iter().flatten().map(one).collect()
    }
}
