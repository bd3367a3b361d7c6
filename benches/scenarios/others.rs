//! Other ways to send: what the policy is compared with. Each of them is given the benefit of the doubt.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::model::{
    Answer, AttemptId, CredentialId, EndpointId, MessageId, Moment, Rate, SendOrder, SpanId,
    StreamId, Verdict,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::lab::client::{Client, Next};

fn order(number: u64, now: Moment) -> Next {
    Next::Send(SendOrder {
        attempt: AttemptId(number),
        stream: StreamId(0),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        token_generation: 0,
        message: MessageId(u128::from(number) + 1),
        sequence: number,
        resend: 0,
        span: SpanId(number + 1),
        due: now,
        first_due: now,
        ordered_at: now,
        resume: false,
    })
}

fn rate(per_second: f64) -> Rate {
    Rate::from_per_second(per_second).expect("a rate of a case")
}

/// An open loop at one rate, as load generators do it: a refusal is counted and forgotten.
pub(crate) struct Fixed {
    rate: Rate,
    sent: u64,
}

impl Fixed {
    pub(crate) fn new(per_second: f64) -> Self {
        Self { rate: rate(per_second), sent: 0 }
    }
}

impl Client for Fixed {
    fn next(&mut self, now: Moment) -> Next {
        let due = Moment::ZERO + Duration::from_nanos(self.rate.nanos_to(self.sent));
        if due > now {
            return Next::Wait(due);
        }
        self.sent += 1;
        order(self.sent, now)
    }

    fn answered(&mut self, _: Moment, _: AttemptId, _: Answer) {}
}

/// Exponential backoff for each request by itself: at every slot of the ceiling a retry that is due, or
/// else something new. A request heeds its own Retry-After; the others know nothing of it.
pub(crate) struct Backoff {
    rate: Rate,
    slots: u64,
    sent: u64,
    /// Retries made of what is in flight.
    tries: BTreeMap<AttemptId, u32>,
    waiting: BTreeMap<(Moment, u64), u32>,
    rng: StdRng,
}

impl Backoff {
    const TRIES_MAX: u32 = 5;
    const WAITING_MAX: usize = 10_000;
    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(60);

    pub(crate) fn new(ceiling: f64, seed: u64) -> Self {
        Self {
            rate: rate(ceiling),
            slots: 0,
            sent: 0,
            tries: BTreeMap::new(),
            waiting: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        }
    }
}

impl Client for Backoff {
    fn next(&mut self, now: Moment) -> Next {
        let due = Moment::ZERO + Duration::from_nanos(self.rate.nanos_to(self.slots));
        if due > now {
            return Next::Wait(due);
        }
        self.slots += 1;
        self.sent += 1;
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now);
        let tries = first.map_or(0, |first| first.remove());
        self.tries.insert(AttemptId(self.sent), tries);
        order(self.sent, now)
    }

    fn answered(&mut self, now: Moment, attempt: AttemptId, answer: Answer) {
        let tries = self.tries.remove(&attempt).unwrap_or_default() + 1;
        let full = self.waiting.len() >= Self::WAITING_MAX;
        if answer.verdict != Verdict::Throttled || tries >= Self::TRIES_MAX || full {
            return;
        }
        let most = (Self::BASE * 2_u32.pow(tries - 1)).min(Self::CAP);
        // Full jitter.
        let wait = answer.advice.wait().unwrap_or_default() + most.mul_f64(self.rng.random());
        self.waiting.insert((now + wait, attempt.0), tries);
    }
}

/// Additive increase, multiplicative decrease: the rate grows by 1 % of the cap each second, and is halved
/// by a refusal, though only once for all that were in flight then. It is told the cap for its step, and
/// nobody sends inside a Retry-After.
pub(crate) struct Aimd {
    rate: f64,
    step: f64,
    ceiling: f64,
    updated: Moment,
    due: Moment,
    silent_until: Moment,
    /// What was sent before is not held against the rate of now.
    cut_at: Moment,
    sent: u64,
}

impl Aimd {
    pub(crate) fn new(cap: f64, ceiling: f64) -> Self {
        Self {
            rate: cap / 2.0,
            step: cap * 0.01,
            ceiling,
            updated: Moment::ZERO,
            due: Moment::ZERO,
            silent_until: Moment::ZERO,
            cut_at: Moment::ZERO,
            sent: 0,
        }
    }

    /// What it does while it is silent is no evidence, so it does not grow then.
    fn grow(&mut self, now: Moment) {
        let since = now.since(self.updated.max(self.silent_until)).as_secs_f64();
        self.rate = (self.rate + since * self.step).min(self.ceiling);
        self.updated = self.updated.max(now);
    }
}

impl Client for Aimd {
    fn next(&mut self, now: Moment) -> Next {
        let due = self.due.max(self.silent_until);
        if due > now {
            return Next::Wait(due);
        }
        self.grow(now);
        self.due = due + Duration::from_secs_f64(1.0 / self.rate);
        self.sent += 1;
        order(self.sent, now)
    }

    fn answered(&mut self, now: Moment, _: AttemptId, answer: Answer) {
        if answer.verdict != Verdict::Throttled {
            return;
        }
        if answer.sent_at >= self.cut_at {
            self.grow(now);
            self.rate = (self.rate / 2.0).max(self.step);
            self.cut_at = now;
        }
        if let Some(wait) = answer.advice.wait() {
            self.silent_until = self.silent_until.max(now + wait);
        }
    }
}
