//! Applying a plan: what did not change is left alone.
//!
//! Identity is the stream's name. An unchanged stream is untouched; a changed rate is re-anchored
//! now; a changed target or credential makes a new stream. Gates belong to the scope and stay.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::message::Waiting;
use super::plan::{Plan, StreamPlan};
use super::stream::{Counts, Stream};
use super::timers::Armed;
use super::{Engine, spread};
use crate::model::{Event, MessageResult, Moment, RunState, ScopeKey, StreamId, StreamInfo};
use crate::policy::{Mode, RetryBudget};
use crate::schedule::{Schedule, ScheduleSettings};

impl Engine {
    pub(super) fn apply(&mut self, mut plan: Plan, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        // Nothing more is due at `now` from here on, so shared plans rest until they are opened again.
        let known = self.close_paces(now);
        self.in_flight_max = plan.in_flight_max;
        self.adaptive = plan.adaptive;
        self.gates.alarm_every(plan.false_alarm_interval);
        self.tokens.apply(std::mem::take(&mut plan.credentials), &mut self.outbox);
        let wanted: HashSet<_> = plan.streams.iter().map(|s| Arc::clone(&s.name)).collect();
        let mut gone: Vec<_> =
            self.streams.names().into_iter().filter(|name| !wanted.contains(name)).collect();
        gone.sort();
        for name in gone {
            self.retire(&name, now);
        }
        // Who leaves has left under the old envelope, and nobody begins but under the new.
        self.apply_breakers(plan.safety.breaker, now);
        self.apply_safety(&plan, now);
        for stream in plan.streams {
            self.place(stream, now);
        }
        self.open_paces(&known, now);
        self.gates.sweep(&mut self.outbox);
        self.tokens_due(now);
    }

    /// Puts one stream of the plan in its place: kept, changed, or new.
    fn place(&mut self, plan: StreamPlan, now: Moment) {
        let existing = self.streams.find(&plan.name).and_then(|id| self.streams.get(id));
        match existing {
            Some(stream) if same_stream(&stream.plan, &plan) => {
                let id = stream.info.id;
                if stream.plan != plan {
                    self.change(id, plan, now);
                }
            }
            Some(_) => {
                let name = Arc::clone(&plan.name);
                self.retire(&name, now);
                self.add(plan, now);
            }
            None => self.add(plan, now),
        }
    }

    fn add(&mut self, plan: StreamPlan, now: Moment) {
        let id = self.streams.next_id();
        let key = ScopeKey::of(&plan.domain, &plan.scope, &plan.identity);
        let gate = self.gates.join(key, id, &plan.identity, now, &mut self.outbox);
        let breaker = self.join_breaker(&plan.domain);
        let account = self.safety.of_stream(&plan.name);
        let phase = spread(id.0);
        let schedule = match plan.mode {
            Mode::Probe => Schedule::idle(plan.schedule.rate),
            _ => Schedule::start(&plan.schedule, now, phase, &mut self.rng),
        };
        let info = Arc::new(stream_info(id, &plan));
        self.emit(Event::StreamAdded(Arc::clone(&info)));
        self.streams.insert(Stream {
            info,
            schedule,
            gate,
            breaker,
            account,
            budget: RetryBudget::new(&plan.policy.retry_budget),
            waiting: Waiting::default(),
            next_sequence: 0,
            armed: Armed::NOT,
            held_by: None,
            peeks: false,
            retired: false,
            counts: Counts::default(),
            last_hinted: None,
            last_named: None,
            plan,
        });
        self.run_slots(id, now);
    }

    /// Changes a stream that stays the same stream.
    fn change(&mut self, id: StreamId, plan: StreamPlan, now: Moment) {
        // What was due under the old plan is dealt with under it.
        self.run_slots(id, now);
        let Some(mut stream) = self.streams.take(id) else { return };
        let (old, new) = (&stream.plan.schedule, &plan.schedule);
        let fixed_again = stream.is_paced() && plan.mode == Mode::Fixed;
        if old.arrivals != new.arrivals || fixed_again {
            let fresh = ScheduleSettings { ramp: Duration::ZERO, ..*new };
            stream.schedule = Schedule::start(&fresh, now + new.rate.period(), 0.0, &mut self.rng);
        } else if old.rate != new.rate {
            stream.schedule.change_rate(new.rate, now, &mut self.rng);
        }
        if old.rate != new.rate {
            self.emit(Event::StreamRateChanged(id, new.rate));
        }
        stream.budget.reconfigure(&plan.policy.retry_budget);
        let key = ScopeKey::of(&plan.domain, &plan.scope, &plan.identity);
        if self.gates.get(stream.gate).is_none_or(|entry| *entry.key != key) {
            let left = stream.gate;
            stream.gate = self.gates.join(key, id, &plan.identity, now, &mut self.outbox);
            self.gates.leave(left, id);
        }
        stream.info = Arc::new(StreamInfo { rate: plan.schedule.rate, ..(*stream.info).clone() });
        stream.plan = plan;
        self.streams.put(stream);
        self.run_slots(id, now);
    }

    /// Takes a stream out of the plan: no more slots, waiting messages end, in-flight ones finish.
    fn retire(&mut self, name: &str, now: Moment) {
        let Some(id) = self.streams.find(name) else { return };
        // Slots that were due before this moment are sent or skipped first, so that none is lost.
        self.run_slots(id, now);
        self.end_waiting(id, MessageResult::Drained, now);
        self.streams.forget_name(name);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.retired = true;
            stream.armed = Armed::NOT;
        }
        self.remove_if_done(id);
    }

    /// Removes a retired stream once nothing of it is in flight.
    pub(super) fn remove_if_done(&mut self, id: StreamId) {
        let done = self.streams.get(id).filter(|s| s.retired && s.counts.in_flight == 0);
        let Some((gate, breaker)) = done.map(|stream| (stream.gate, stream.breaker)) else {
            return;
        };
        self.streams.take(id);
        self.leave_breaker(breaker);
        self.gates.leave(gate, id);
        self.gates.sweep(&mut self.outbox);
        self.emit(Event::StreamRemoved(id));
    }
}

/// Whether a changed plan still describes the same stream.
fn same_stream(old: &StreamPlan, new: &StreamPlan) -> bool {
    old.endpoint == new.endpoint
        && old.credential == new.credential
        && old.domain == new.domain
        && old.identity == new.identity
        && (old.mode == Mode::Probe) == (new.mode == Mode::Probe)
}

fn stream_info(id: StreamId, plan: &StreamPlan) -> StreamInfo {
    StreamInfo {
        id,
        name: Arc::clone(&plan.name),
        target: Arc::clone(&plan.target),
        credential: Arc::clone(&plan.credential_name),
        domain: Arc::clone(&plan.domain),
        identity: plan.identity.clone(),
        method: Arc::clone(&plan.method),
        path_template: Arc::clone(&plan.path_template),
        server_address: Arc::clone(&plan.server_address),
        server_port: plan.server_port,
        rate: plan.schedule.rate,
    }
}
