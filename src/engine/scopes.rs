//! Which gates have a pace, and on what terms: after a plan was applied, and while ramps last.

use super::Engine;
use super::gates::GateEntry;
use super::pace::{GatePace, Prior, Terms};
use crate::model::{Event, GateId, GateState, Moment, StreamId};
use crate::policy::{Adaptive, Mode};
use crate::schedule::Claim;

/// What was known of a scope before a plan was applied.
pub(super) struct Known {
    /// The streams that shared the limit, in their order.
    streams: Vec<StreamId>,
    adaptive: Adaptive,
}

impl Engine {
    /// Deals with the ticks that are due under the old plan, so that none is lost; says what is known.
    pub(super) fn close_paces(&mut self, now: Moment) -> Vec<Known> {
        let mut known = Vec::new();
        for gate in self.gates.ids() {
            self.run_pace(gate, now);
            let Some(entry) = self.gates.get(gate) else { continue };
            if let Some(pace) = &entry.pace {
                let streams = self.sharing(entry);
                known.push(Known { streams, adaptive: pace.adaptive.clone() });
            }
        }
        known
    }

    /// Gives every gate with adaptive streams a pace, and takes it from those without. What was
    /// learned stays with the gate; a scope that was only redrawn, round the same streams, takes it over.
    pub(super) fn open_paces(&mut self, known: &[Known], now: Moment) {
        for gate in self.gates.ids() {
            let terms = self.terms(gate, now);
            let pace = self.gates.take_pace(gate);
            let pace = match (terms, pace) {
                (None, None) => continue,
                (None, Some(_)) => {
                    self.emit(Event::PaceRemoved(gate));
                    continue;
                }
                (Some(terms), Some(mut pace)) => {
                    pace.configure(self.adaptive, terms, now, &mut self.rng);
                    pace
                }
                (Some(terms), None) => self.new_pace(gate, terms, known, now),
            };
            self.gates.put_pace(gate, pace);
            self.run_pace(gate, now);
        }
    }

    fn new_pace(
        &mut self,
        gate: GateId,
        terms: Terms,
        known: &[Known],
        now: Moment,
    ) -> Box<GatePace> {
        let entry = self.gates.get(gate);
        let closed = entry.is_some_and(|entry| entry.gate.state() != GateState::Open);
        let streams = entry.map(|entry| self.sharing(entry)).unwrap_or_default();
        let before = known.iter().find(|known| known.streams == streams);
        let prior = match before {
            Some(known) => Prior::Here(Box::new(known.adaptive.clone())),
            None => entry
                .and_then(|entry| entry.learning.known().cloned())
                .map_or(Prior::Nothing, |estimate| Prior::Remembered(Box::new(estimate))),
        };
        let is_new = before.is_none();
        let mut pace = GatePace::new(gate, prior, self.adaptive, terms, now, &mut self.rng);
        if is_new && closed {
            pace.rest();
        }
        let manners = self.gates.get(gate).and_then(|e| self.gates.recalled.manners(&e.key, now));
        if is_new && manners.is_some_and(|manners| manners.hints_lie) {
            pace.adaptive.distrust_hints();
        }
        let learning = self.gates.learning_mut(gate).filter(|l| l.known().is_none());
        if let (Some(learning), Some(estimate)) = (learning, pace.adaptive.pace().estimate) {
            learning.begin_with(estimate);
        }
        Box::new(pace)
    }

    /// What the streams behind a gate may send now. `None`: none of them is adaptive.
    pub(super) fn terms(&self, gate: GateId, now: Moment) -> Option<Terms> {
        let mut terms = Terms::NONE;
        for id in self.sharing(self.gates.get(gate)?) {
            let Some(stream) = self.streams.get(id) else { continue };
            let (settings, rate) = (&stream.plan.schedule, stream.schedule.rate_at(now));
            match stream.plan.mode {
                Mode::Fixed | Mode::Probe => terms.endure(rate, settings),
                Mode::Adaptive => {
                    let weight = stream.plan.weight;
                    terms.admit(Claim { stream: id, weight, ceiling: rate }, settings);
                }
            }
        }
        (!terms.claims.is_empty()).then_some(terms)
    }

    /// The streams of the plan that stand behind a gate, in their order.
    fn sharing(&self, entry: &GateEntry) -> Vec<StreamId> {
        let active = |id: &StreamId| self.streams.get(*id).is_some_and(|s| !s.retired);
        let mut streams: Vec<_> = entry.members.iter().copied().filter(active).collect();
        streams.sort();
        streams
    }
}
