//! What becomes of a stream's slots: each is sent, exactly once, or skipped, with a reason.

use std::time::Duration;

use rand::RngExt;

use super::breakers::Way;
use super::gates::Passing;
use super::message::Message;
use super::stream::Stream;
use super::{CROWDED_WAKE, Engine, Flight, HELD_WAKE, Output};
use crate::model::{
    AttemptId, Event, GateId, MessageId, MessageResult, Moment, RunState, SendOrder, SkipReason,
    SpanId, StreamId,
};
use crate::policy::Passage;

pub(super) const NANOSECOND: Duration = Duration::from_nanos(1);

/// What keeps a stream from sending at the moment.
pub(super) struct Hold {
    pub(super) reason: SkipReason,
    /// When to look again, unless the cause goes away first.
    pub(super) look_again: Moment,
}

impl Engine {
    /// A stream's timer went off.
    pub(super) fn slots_due(&mut self, id: StreamId, at: Moment, now: Moment) {
        if self.streams.get_mut(id).is_some_and(|stream| stream.armed.has_come(at)) {
            self.run_slots(id, now);
        }
    }

    /// What held a stream back is gone: the slots until now are counted under that reason, and it
    /// goes on.
    pub(super) fn kick(&mut self, id: StreamId, now: Moment) {
        let paced = self.streams.get(id).filter(|stream| stream.is_paced());
        if let Some(gate) = paced.map(|stream| stream.gate) {
            self.kick_pace(gate, now);
            return;
        }
        if self.run == RunState::Running {
            self.count_held(id, now);
        }
        self.run_slots(id, now);
    }

    /// Counts the slots until now that something has held back; while it does, that is done once a second.
    fn count_held(&mut self, id: StreamId, now: Moment) {
        let Some(mut stream) = self.streams.take(id) else { return };
        if let Some(reason) = stream.held_by.take() {
            self.skip_before(&mut stream, now, reason);
        }
        self.streams.put(stream);
    }

    /// The same of every stream: nobody will look again.
    pub(super) fn count_all_held(&mut self, now: Moment) {
        for gate in self.gates.ids() {
            self.count_held_ticks(gate, now);
        }
        for id in self.streams.ids() {
            if self.streams.get(id).is_some_and(|stream| !stream.is_paced()) {
                self.count_held(id, now);
            }
        }
    }

    /// Kicks everybody behind a gate.
    pub(super) fn kick_gate(&mut self, gate: GateId, now: Moment) {
        self.kick_pace(gate, now);
        for id in self.gates.members(gate) {
            if self.streams.get(id).is_some_and(|stream| !stream.is_paced()) {
                self.kick(id, now);
            }
        }
    }

    /// Deals with every slot of a stream that is due, and arms its timer for the next. One that takes
    /// its slots from a shared plan has none of its own.
    pub(super) fn run_slots(&mut self, id: StreamId, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        let Some(mut stream) = self.streams.take(id) else { return };
        if !stream.retired && !stream.is_paced() {
            self.expire_waiting(&mut stream, now);
            let wake = self.pass_slots(&mut stream, now);
            self.timers.arm_slots(id, &mut stream.armed, wake);
        }
        self.streams.put(stream);
        if self.sends_left == Some(0) {
            self.begin_drain(now);
        }
    }

    /// Sends or skips until no slot is due; says when to look again.
    fn pass_slots(&mut self, stream: &mut Stream, now: Moment) -> Moment {
        loop {
            self.lapse(stream, now);
            let peeks = self.peeks(stream);
            let (before, way) = self.way(stream.gate, stream.breaker, peeks, now);
            for (from, reason) in before {
                self.skip_before(stream, from, reason);
            }
            let way = match way.and_then(|way| self.hindered(stream, now).map_or(Ok(way), Err)) {
                Ok(way) => way,
                Err(hold) => {
                    stream.held_by = Some(hold.reason);
                    self.skip_before(stream, now + NANOSECOND, hold.reason);
                    return stream.schedule.next_due().max(hold.look_again);
                }
            };
            stream.held_by = None;
            if stream.schedule.next_due() > now || self.sends_left == Some(0) {
                return stream.schedule.next_due();
            }
            let keep = stream.plan.schedule.catch_up_slots.saturating_add(1);
            let late = stream.schedule.trim(now, keep, &mut self.rng);
            self.count_skipped(stream, SkipReason::Late, late);
            if stream.schedule.next_due() > now {
                return stream.schedule.next_due();
            }
            let due = stream.schedule.take(&mut self.rng);
            if stream.is_probe() {
                stream.schedule.keep_distance(now);
            }
            self.send(stream, due, way, now);
            if let Some(pace) = self.gates.pace_mut(stream.gate) {
                pace.sent(now);
            }
        }
    }

    /// What a stream itself lacks to send.
    pub(super) fn blocked(&self, stream: &Stream, now: Moment) -> Option<Hold> {
        let soon = now + HELD_WAKE;
        if let Some(hold) = self.safety.bars(stream, now) {
            return Some(hold);
        }
        if self.tokens.usable(stream.plan.credential, now).is_none() {
            return Some(Hold { reason: SkipReason::NoToken, look_again: soon });
        }
        if stream.counts.in_flight >= stream.plan.in_flight_max {
            return Some(Hold { reason: SkipReason::InFlight, look_again: soon });
        }
        None
    }

    /// What keeps a stream with slots of its own from sending.
    fn hindered(&self, stream: &Stream, now: Moment) -> Option<Hold> {
        self.blocked(stream, now).or_else(|| {
            let look_again = now + CROWDED_WAKE;
            let crowded = self.flights.len() >= self.in_flight_max as usize;
            crowded.then_some(Hold { reason: SkipReason::InFlight, look_again })
        })
    }

    fn skip_before(&mut self, stream: &mut Stream, at: Moment, reason: SkipReason) {
        let count = stream.schedule.skip_before(at, &mut self.rng);
        self.count_skipped(stream, reason, count);
    }

    pub(super) fn count_skipped(&mut self, stream: &mut Stream, reason: SkipReason, count: u64) {
        if count > 0 {
            stream.counts.skipped[reason.index()] += count;
            self.emit(Event::Skipped { stream: stream.info.id, reason, count });
            if stream.is_probe() {
                stream.schedule.end();
            }
        }
    }

    /// Uses a slot for the retry that has been due the longest, or else for a new message.
    pub(super) fn send(&mut self, stream: &mut Stream, due: Moment, way: Way, now: Moment) {
        let mut message = match stream.waiting.pop_due(now) {
            Some(message) => message,
            None => self.new_message(stream, due, now),
        };
        let attempt = AttemptId(self.next_attempt);
        self.next_attempt += 1;
        let order = SendOrder {
            attempt,
            stream: stream.info.id,
            endpoint: stream.plan.endpoint,
            credential: stream.plan.credential,
            token_generation: self.tokens.usable(stream.plan.credential, now).unwrap_or_default(),
            message: message.id,
            sequence: message.sequence,
            resend: message.attempts,
            span: SpanId(self.rng.random_range(1..=u64::MAX)),
            due,
            first_due: message.first_due,
            ordered_at: now,
            resume: way.resume,
        };
        message.attempts += 1;
        stream.counts.sent += 1;
        stream.counts.in_flight += 1;
        self.sends_left = self.sends_left.map(|left| left.saturating_sub(1));
        let ordinal = self.gates.departs(stream.gate);
        let flight = Flight { order, gate: stream.gate, ordinal, message, warned: None };
        self.flights.insert(attempt, flight);
        self.outbox.push_back(Output::Send(order));
        self.emit(Event::Sent(order));
        let peeks = std::mem::take(&mut stream.peeks);
        let passing = Passing { attempt, resume: way.resume, peeks };
        self.gates.sent(stream.gate, passing, now, &mut self.outbox);
        if way.trial {
            self.trial_sent(stream.breaker, attempt);
        }
    }

    fn new_message(&mut self, stream: &mut Stream, due: Moment, now: Moment) -> Message {
        stream.budget.earn();
        self.safety.count(stream.account, now, &mut self.outbox);
        let sequence = stream.next_sequence;
        stream.next_sequence += 1;
        Message {
            id: MessageId(self.rng.random_range(1..=u128::MAX)),
            sequence,
            first_due: due,
            attempts: 0,
            last_delay: Duration::ZERO,
            reauthorised: false,
        }
    }

    pub(super) fn expire_waiting(&mut self, stream: &mut Stream, now: Moment) {
        let id = stream.info.id;
        for message in stream.waiting.take_expired(stream.plan.policy.deadline, now) {
            self.emit(message.ended(id, MessageResult::DeadlineExceeded, now));
        }
    }
}

/// What a gate, or a breaker, lets nobody through for.
pub(super) fn barred(passage: Passage, reason: SkipReason, now: Moment) -> Option<Hold> {
    let soon = now + HELD_WAKE;
    let look_again = match passage {
        Passage::Until(until) => until.min(soon),
        Passage::Waiting => soon,
        Passage::Free | Passage::Resume(_) => return None,
    };
    Some(Hold { reason, look_again })
}
