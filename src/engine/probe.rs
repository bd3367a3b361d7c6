//! Streams that are probed with: nothing is planned until a burst is ordered, and nothing is asked twice.
//!
//! A burst goes the way of every slot: gate, breaker, caps, hours, tokens. Its end is the first refusal in its
//! scope, or the first slot that could not be sent. Where a refusal advises nothing, nobody waits: the probe
//! itself decides when to ask again, because how long it takes is what it measures. For the same reason a pause
//! that is over is not asked about by a single request first: the burst that follows ends at its first
//! refusal anyway.

use super::Engine;
use super::stream::Stream;
use crate::model::{GateId, Moment, Rate, StreamId};
use crate::policy::Mode;

/// What is ordered of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burst {
    pub(super) rate: Rate,
    pub(super) count: u64,
    pub(super) peek: bool,
}

impl Engine {
    /// Whether every stream has a token to send with.
    #[must_use]
    pub fn has_tokens(&self, now: Moment) -> bool {
        self.streams.iter().all(|stream| {
            stream.retired || self.tokens.usable(stream.plan.credential, now).is_some()
        })
    }

    pub(super) fn burst(&mut self, id: StreamId, burst: Burst, now: Moment) {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.is_probe()) else {
            return;
        };
        let ceiling = stream.plan.schedule.rate;
        let slower = burst.rate.per_second() <= ceiling.per_second();
        let rate = if slower { burst.rate } else { ceiling };
        stream.schedule.burst(rate, burst.count, ceiling, now);
        stream.peeks = burst.peek && burst.count == 1;
        self.run_slots(id, now);
    }

    pub(super) fn halt(&mut self) {
        for id in self.streams.ids() {
            self.end_burst(id);
        }
    }

    /// A refusal ends every burst behind its gate.
    pub(super) fn end_bursts(&mut self, gate: GateId) {
        for id in self.gates.members(gate) {
            self.end_burst(id);
        }
    }

    fn end_burst(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.is_probe()) {
            stream.schedule.end();
        }
    }

    /// Opens the gate before a probe whose pause is over.
    pub(super) fn lapse(&mut self, stream: &Stream, now: Moment) {
        if stream.is_probe() && stream.schedule.next_due() <= now {
            self.gates.lapse(stream.gate, now, &mut self.outbox);
        }
    }

    /// Whether a stream may send one request inside the pause of its gate.
    pub(super) fn peeks(&self, stream: &Stream) -> bool {
        let allowed = || {
            let Some(entry) = self.gates.get(stream.gate) else { return false };
            // Whoever was refused with this credential waits as it was told to. The stream itself is not in the
            // table while its slots are dealt with.
            let mine = |id: &StreamId| {
                let other = self.streams.get(*id);
                other.is_none_or(|other| other.plan.identity.token == stream.plan.identity.token)
            };
            !entry.peeked && !entry.refused.is_empty() && !entry.refused.iter().any(mine)
        };
        stream.peeks && allowed()
    }
}

impl Stream {
    pub(super) fn is_probe(&self) -> bool {
        self.plan.mode == Mode::Probe
    }
}
