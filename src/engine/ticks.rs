//! What becomes of the ticks of a shared plan: each is a slot of the stream whose turn it is, or of
//! another that stands in when that one cannot send.

use super::breakers::Way;
use super::pace::{GatePace, Held};
use super::slots::{Hold, NANOSECOND};
use super::{CROWDED_WAKE, Engine, HELD_WAKE};
use crate::model::{BreakerId, Event, GateId, Moment, RunState, SkipReason, StreamId};

impl Engine {
    /// A gate's timer went off.
    pub(super) fn pace_due(&mut self, gate: GateId, at: Moment, now: Moment) {
        if self.gates.pace_mut(gate).is_some_and(|pace| pace.armed.has_come(at)) {
            self.run_pace(gate, now);
        }
    }

    /// What held ticks back may be gone: those until now are counted under that reason.
    pub(super) fn kick_pace(&mut self, gate: GateId, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        self.count_held_ticks(gate, now);
        self.run_pace(gate, now);
    }

    /// Counts the ticks until now that something has held back.
    pub(super) fn count_held_ticks(&mut self, gate: GateId, now: Moment) {
        let Some(mut pace) = self.gates.take_pace(gate) else { return };
        if pace.held != Held::No {
            self.skip_ticks(&mut pace, now);
            pace.held = Held::No;
        }
        self.gates.put_pace(gate, pace);
    }

    /// Deals with every tick that is due and with what the policy has to say, and arms the timer.
    pub(super) fn run_pace(&mut self, gate: GateId, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        let Some(mut pace) = self.gates.take_pace(gate) else { return };
        if pace.expire_at <= now {
            pace.expire_at = now + HELD_WAKE;
            for id in pace.turns.streams() {
                self.expire(id, now);
            }
        }
        let mut wake = self.pass_ticks(gate, &mut pace, now);
        if pace.is_due(now) {
            if pace.ceilings_are_due(now)
                && let Some(terms) = self.terms(gate, now)
            {
                pace.configure(self.adaptive, terms, now, &mut self.rng);
            }
            pace.review(now, &mut self.rng);
            // At another rate the next tick may be due already.
            wake = self.pass_ticks(gate, &mut pace, now);
            if let Some(told) = pace.tell(now) {
                self.emit(Event::Pace(gate, Box::new(told)));
            }
        }
        let wake = wake.min(pace.look_at(now));
        self.timers.arm_pace(gate, &mut pace.armed, wake);
        self.gates.put_pace(gate, pace);
        if self.sends_left == Some(0) {
            self.begin_drain(now);
        }
    }

    /// Uses or skips until no tick is due; says when to look again.
    fn pass_ticks(&mut self, gate: GateId, pace: &mut GatePace, now: Moment) -> Moment {
        loop {
            let (before, way) = self.way(gate, self.breaker_of(pace), false, now);
            for (from, reason) in before {
                pace.held = Held::All(reason);
                self.skip_ticks(pace, from);
            }
            if way.is_ok() && self.is_full(gate, pace) {
                return self.await_place(pace, now);
            }
            let way = match way.and_then(|way| self.is_crowded(now).map_or(Ok(way), Err)) {
                Ok(way) => way,
                Err(hold) => {
                    pace.held = Held::All(hold.reason);
                    return self.hold_ticks(pace, hold.look_again, now);
                }
            };
            pace.held = Held::No;
            if pace.schedule.next_due() > now || self.sends_left == Some(0) {
                return pace.schedule.next_due();
            }
            let keep = pace.catch_up_slots.saturating_add(1);
            let late = pace.schedule.trim(now, keep, &mut self.rng);
            let first_kept = pace.schedule.next_due();
            self.deal_out(pace, late, Held::All(SkipReason::Late), first_kept);
            if let Some(look_again) = self.use_tick(pace, way, now) {
                pace.held = Held::Each;
                return self.hold_ticks(pace, look_again, now);
            }
        }
    }

    /// Spends the next tick. Answers with when to look again if no stream can send at the moment.
    fn use_tick(&mut self, pace: &mut GatePace, way: Way, now: Moment) -> Option<Moment> {
        let due = pace.schedule.take(&mut self.rng);
        let owner = pace.turns.next(due)?;
        // Whether a closed gate may open is for the server to say, whatever the model says.
        if !way.resume && pace.adaptive.vetoes(now) {
            self.skip_one(owner, SkipReason::Vetoed);
            return None;
        }
        let Some(hold) = self.is_blocked(owner, now) else {
            self.send_tick(pace, owner, due, way, now);
            return None;
        };
        self.skip_one(owner, hold.reason);
        let can = |id| self.is_blocked(id, now).is_none();
        if let Some(stand_in) = pace.turns.stand_in(due, can) {
            self.send_tick(pace, stand_in, due, way, now);
            return None;
        }
        self.all_blocked(pace, now)
    }

    fn send_tick(&mut self, pace: &mut GatePace, id: StreamId, due: Moment, way: Way, now: Moment) {
        self.expire(id, now);
        // A cap lets retries through alone, and the retry may just have met its deadline.
        if let Some(hold) = self.is_blocked(id, now) {
            self.skip_one(id, hold.reason);
            return;
        }
        let Some(mut stream) = self.streams.take(id) else { return };
        self.send(&mut stream, due, way, now);
        self.streams.put(stream);
        pace.sent(now);
    }

    /// Notes with each stream why it cannot send. `None`: one of them can.
    fn all_blocked(&mut self, pace: &GatePace, now: Moment) -> Option<Moment> {
        let mut look_again = Moment::NEVER;
        for id in pace.turns.streams() {
            let hold = self.is_blocked(id, now)?;
            look_again = look_again.min(hold.look_again);
            if let Some(stream) = self.streams.get_mut(id) {
                stream.held_by = Some(hold.reason);
            }
        }
        Some(look_again)
    }

    fn is_blocked(&self, id: StreamId, now: Moment) -> Option<Hold> {
        self.streams.get(id).and_then(|stream| self.blocked(stream, now))
    }

    /// Streams behind one gate are of one limit domain.
    fn breaker_of(&self, pace: &GatePace) -> BreakerId {
        let stream = pace.turns.streams().into_iter().find_map(|id| self.streams.get(id));
        stream.map_or(BreakerId(u32::MAX), |stream| stream.breaker)
    }

    /// No room for another request in the process.
    fn is_crowded(&self, now: Moment) -> Option<Hold> {
        let crowded = self.flights.len() >= self.in_flight_max as usize;
        let reason = SkipReason::InFlight;
        crowded.then(|| Hold { reason, look_again: now + CROWDED_WAKE })
    }

    /// No room for another request under a recognised limit of the scope.
    fn is_full(&self, gate: GateId, pace: &GatePace) -> bool {
        let max = pace.adaptive.in_flight_max();
        max.is_some_and(|max| self.gates.get(gate).is_some_and(|entry| entry.in_flight >= max))
    }

    /// As many ticks as may be caught up wait for the next answer: it frees a place.
    fn await_place(&mut self, pace: &mut GatePace, now: Moment) -> Moment {
        pace.held = Held::No;
        let late = pace.schedule.trim(now, pace.catch_up_slots, &mut self.rng);
        let first_kept = pace.schedule.next_due();
        self.deal_out(pace, late, Held::All(SkipReason::InFlight), first_kept);
        now + HELD_WAKE
    }

    fn hold_ticks(&mut self, pace: &mut GatePace, look_again: Moment, now: Moment) -> Moment {
        self.skip_ticks(pace, now + NANOSECOND);
        pace.schedule.next_due().max(look_again)
    }

    /// Skips the ticks before a moment for the reason that holds them back.
    fn skip_ticks(&mut self, pace: &mut GatePace, at: Moment) {
        let count = pace.schedule.skip_before(at, &mut self.rng);
        self.deal_out(pace, count, pace.held, at);
    }

    /// Counts ticks as skipped slots of the streams that they would have been.
    fn deal_out(&mut self, pace: &mut GatePace, ticks: u64, held: Held, at: Moment) {
        if ticks == 0 {
            return;
        }
        for (id, count) in pace.turns.deal(ticks, at) {
            let Some(mut stream) = self.streams.take(id) else { continue };
            let reason = match held {
                Held::All(reason) => reason,
                Held::Each | Held::No => stream.held_by.unwrap_or(SkipReason::InFlight),
            };
            self.count_skipped(&mut stream, reason, count);
            self.streams.put(stream);
        }
    }

    fn skip_one(&mut self, id: StreamId, reason: SkipReason) {
        if let Some(mut stream) = self.streams.take(id) {
            self.count_skipped(&mut stream, reason, 1);
            self.streams.put(stream);
        }
    }

    fn expire(&mut self, id: StreamId, now: Moment) {
        if let Some(mut stream) = self.streams.take(id) {
            self.expire_waiting(&mut stream, now);
            self.streams.put(stream);
        }
    }
}
