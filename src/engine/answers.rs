//! What an answer means for the gate, for the token, and for the message.

use std::sync::Arc;
use std::time::Duration;

use super::gates::Refusal;
use super::message::Message;
use super::stream::Stream;
use super::{Engine, Flight};
use crate::model::{
    Advice, Answer, AttemptId, AttemptRecord, Event, Failure, FailureKind, GateId, MessageResult,
    Moment, RunState, StreamId, Verdict,
};
use crate::policy::believed;

impl Engine {
    /// The headers of a refusal came ahead of its body.
    pub(super) fn warned(
        &mut self,
        attempt: AttemptId,
        headers_at: Moment,
        advice: Advice,
        now: Moment,
    ) {
        let Some(flight) = self.flights.get_mut(&attempt) else { return };
        let (stream, gate) = (flight.order.stream, flight.gate);
        flight.warned = self.streams.get(stream).map(|s| (advice, s.gate));
        let refusal = Refusal { stream, attempt, headers_at, advice };
        self.throttled(gate, &refusal, now);
        self.run_pace(gate, now);
    }

    /// An attempt ended. One that was abandoned before has been counted and is ignored.
    pub(super) fn answered(&mut self, attempt: AttemptId, answer: Answer, now: Moment) {
        let Some(flight) = self.flights.remove(&attempt) else { return };
        let Flight { order, gate, ordinal, message, warned } = flight;
        let Some(mut stream) = self.streams.take(order.stream) else { return };
        let record = Arc::new(AttemptRecord { order, answer });
        stream.counts.in_flight -= 1;
        stream.counts.outcomes[record.outcome().index()] += 1;
        if !record.answer.hints.is_empty() {
            stream.last_hinted = Some(Arc::clone(&record));
        }
        if let Some(named) = &record.answer.named_limit {
            stream.last_named = Some((**named).clone());
        }
        self.emit(Event::Ended(Arc::clone(&record)));
        // One refusal is one: told again it would draw its jitter again and count as an extension.
        // Unless the body advises what the headers did not, or a reload has moved the stream.
        let told = warned == Some((record.answer.advice, stream.gate));
        let resume_delay = stream.plan.policy.backoff.base;
        let later = self.gates.arrives(gate, ordinal);
        if let Some(learning) = self.gates.learning_mut(gate) {
            learning.answered(attempt, &record.answer);
        }
        if let Some(pace) = self.gates.pace_mut(gate) {
            pace.answered(&record.answer, later, now);
        }
        self.settle_token(&record, now);
        self.settle_message(&mut stream, message, &record, now);
        let breaker = stream.breaker;
        self.streams.put(stream);
        self.settle_breaker(&record, breaker, now);
        let opened = self.settle_gate(&record, gate, told, resume_delay, now);
        if opened {
            self.kick_gate(gate, now);
        }
        self.after_flight(order.stream, gate, now);
        self.study(gate, now);
    }

    /// Counts everything in flight as abandoned: the grace period is over.
    pub(super) fn abandon(&mut self, now: Moment) {
        self.begin_drain(now);
        let mut left: Vec<_> = self.flights.keys().copied().collect();
        left.sort();
        for attempt in left {
            let Some(flight) = self.flights.get(&attempt) else { continue };
            let failure = Failure { kind: FailureKind::Abandoned, may_have_arrived: true };
            let sent_at = flight.order.ordered_at;
            self.answered(attempt, Answer::bare(Verdict::Failed(failure), sent_at, now), now);
        }
    }

    fn after_flight(&mut self, id: StreamId, gate: GateId, now: Moment) {
        let paced = self.streams.get(id).filter(|stream| stream.is_paced()).map(|s| s.gate);
        self.kick(id, now);
        // The pace has learned something, and there may be room under a limit in flight.
        if paced != Some(gate) {
            self.kick_pace(gate, now);
        }
        self.remove_if_done(id);
        self.finish_drain();
    }

    /// True when the answer opened the gate. `told`: the gate knows of this refusal already.
    fn settle_gate(
        &mut self,
        record: &AttemptRecord,
        gate: GateId,
        told: bool,
        delay: Duration,
        now: Moment,
    ) -> bool {
        let (stream, attempt) = (record.order.stream, record.order.attempt);
        let answer = &record.answer;
        if answer.verdict == Verdict::Throttled {
            if told {
                return false;
            }
            let headers_at = answer.headers_at.unwrap_or(answer.done_at);
            let refusal = Refusal { stream, attempt, headers_at, advice: answer.advice };
            self.throttled(gate, &refusal, now);
            return false;
        }
        // A final word about the message says that the limit let the request pass. A 401 does not: who asks may be
        // looked at before how often; nor does a failure.
        let admitted = matches!(answer.verdict, Verdict::Accepted | Verdict::Rejected);
        let opened = self.gates.ended(gate, attempt, admitted, now, delay, &mut self.outbox);
        if let (Some(held), Some(pace)) = (opened, self.gates.pace_mut(gate)) {
            pace.opened(held, now);
        }
        opened.is_some()
    }

    /// Closes the gate that the attempt went through, and the one that its stream stands behind
    /// now, should a reload have moved it.
    fn throttled(&mut self, gate: GateId, refusal: &Refusal, now: Moment) {
        let Some(stream) = self.streams.get(refusal.stream) else { return };
        let (moved_to, policy) = (stream.gate, stream.plan.policy);
        // How long to wait without advice is what a probe measures.
        let unadvised = stream.is_probe() && believed(refusal.advice).is_none();
        for id in std::iter::once(gate).chain((moved_to != gate).then_some(moved_to)) {
            self.end_bursts(id);
            if unadvised {
                continue;
            }
            let (rng, outbox) = (&mut self.rng, &mut self.outbox);
            let began = self.gates.throttled(id, refusal, &policy, rng, outbox);
            if began && let Some(pace) = self.gates.pace_mut(id) {
                pace.closed(now);
            }
        }
    }

    fn settle_token(&mut self, record: &AttemptRecord, now: Moment) {
        let (credential, generation) = (record.order.credential, record.order.token_generation);
        if record.answer.verdict == Verdict::Unauthorized {
            self.tokens.unauthorized(credential, generation, now, &mut self.rng, &mut self.outbox);
            self.tokens_due(now);
        } else if record.answer.status.is_some() {
            self.tokens.proven(credential, generation);
        }
    }

    /// Ends the message, or queues it for another attempt.
    fn settle_message(
        &mut self,
        stream: &mut Stream,
        mut message: Message,
        record: &AttemptRecord,
        now: Moment,
    ) {
        let id = stream.info.id;
        match self.next_try(stream, &mut message, record.answer.verdict, now) {
            Ok(not_before) => {
                self.emit(Event::RetryQueued { stream: id, message: message.id, not_before });
                stream.waiting.push(not_before, message);
            }
            Err(result) => self.emit(message.ended(id, result, now)),
        }
    }

    /// When the message may be tried again, or how it ended.
    fn next_try(
        &mut self,
        stream: &mut Stream,
        message: &mut Message,
        verdict: Verdict,
        now: Moment,
    ) -> Result<Moment, MessageResult> {
        let policy = &stream.plan.policy;
        let not_before = match verdict {
            Verdict::Accepted => return Err(MessageResult::Delivered),
            Verdict::Rejected => return Err(MessageResult::Rejected),
            Verdict::Unauthorized => {
                let fetched = self.tokens.is_fetched(stream.plan.credential);
                if message.reauthorised || !fetched {
                    return Err(MessageResult::Rejected);
                }
                message.reauthorised = true;
                now
            }
            // The gate holds it; a delay of its own would add nothing.
            Verdict::Throttled => now,
            Verdict::Failed(Failure { kind: FailureKind::Abandoned, .. }) => {
                return Err(MessageResult::Drained);
            }
            Verdict::Failed(failure) => {
                if failure.may_have_arrived && !stream.plan.resend_is_safe {
                    return Err(MessageResult::Unsafe);
                }
                let delay =
                    policy.backoff.delay(message.attempts, message.last_delay, &mut self.rng);
                message.last_delay = delay;
                now + delay
            }
        };
        if self.run != RunState::Running || stream.retired {
            return Err(MessageResult::Drained);
        }
        if message.attempts >= policy.max_attempts {
            return Err(MessageResult::AttemptsExhausted);
        }
        if not_before >= message.first_due + policy.deadline {
            return Err(MessageResult::DeadlineExceeded);
        }
        if stream.waiting.is_full() {
            return Err(MessageResult::QueueFull);
        }
        if !stream.budget.spend() {
            return Err(MessageResult::BudgetExhausted);
        }
        Ok(not_before)
    }
}
