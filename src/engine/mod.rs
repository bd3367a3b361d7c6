//! The sans-IO core: joins schedule, policy and infer, owns every timer and the invariants.
//!
//! The composition feeds it [`Input`]s and asks [`Engine::poll`] for [`Output`]s; the engine says
//! what to send, what to fetch, what happened and when to wake it. It never reads a clock, sleeps,
//! logs, or draws randomness of its own: `now` is an argument and the generator is seeded by the
//! caller, so a day of traffic runs in a test in seconds and a seed replays it.
//!
//! One engine serves every limit domain: what domains must not share (gates) is keyed by domain, and
//! what they must share (tokens, the cap on requests in flight, the end of the run) is in one place.

mod answers;
mod apply;
mod breakers;
mod gates;
mod learning;
mod message;
mod pace;
mod plan;
mod probe;
mod recall;
mod safety;
mod scopes;
mod slots;
mod status;
mod stream;
mod ticks;
mod timers;
mod tokens;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::breakers::Breakers;
use self::gates::GateTable;
use self::message::Message;
pub use self::plan::{CredentialPlan, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan};
use self::probe::Burst;
use self::recall::Recalled;
use self::safety::SafetyDesk;
use self::stream::Streams;
use self::timers::{Timer, Timers};
pub use self::tokens::TokenAnswer;
use self::tokens::TokenDesk;
use crate::infer::{Found, Job};
use crate::model::{
    Advice, Answer, AttemptId, CredentialId, Event, GateId, IdHash, Memory, MessageResult, Moment,
    Rate, RunState, SendOrder, StreamId, WallOffset,
};
use crate::policy::AdaptiveSettings;

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// What an earlier run knew, as it is now. Of use only before the first [`Self::Apply`].
    Recall(Memory),
    /// What the wall clock says of now: before the first [`Self::Apply`], and once in a while, because it
    /// may be stepped. Active hours need it.
    Wall(WallOffset),
    /// The counts of caps are in the state file, as of this [`Engine::ticket`].
    Recorded(u64),
    /// Run this from now on; what did not change is left alone.
    Apply(Plan),
    /// The headers of a refusal have come; its body is still to be read. The gate must not wait
    /// for a slow body, because a Retry-After counts from the headers.
    Warned {
        /// The attempt.
        attempt: AttemptId,
        /// When the headers came.
        headers_at: Moment,
        /// What they advise.
        advice: Advice,
    },
    /// An attempt ended.
    Answered {
        /// The attempt.
        attempt: AttemptId,
        /// What came of it.
        answer: Answer,
    },
    /// A token fetch ended.
    Token {
        /// The credential.
        credential: CredentialId,
        /// What came of it.
        answer: TokenAnswer,
    },
    /// What this credential's tokens are asked for with has changed: fetch one now, and go on with the
    /// one there is until it comes.
    Renew(CredentialId),
    /// A fit of [`Output::Fit`] came to an end.
    Fitted(GateId, Found),
    /// Send a burst in a stream of [`crate::policy::Mode::Probe`], instead of what is left of an earlier one. It
    /// ends at the first refusal in the stream's scope, and at the first slot that cannot be sent.
    Burst {
        /// The stream.
        stream: StreamId,
        /// How fast; never faster than the stream's own rate.
        rate: Rate,
        /// How many requests.
        count: u64,
        /// A single request may go out inside another credential's pause.
        peek: bool,
    },
    /// Send nothing more of any burst.
    Halt,
    /// Send nothing more; let what is in flight finish.
    Drain,
    /// The grace period is over: what is in flight counts as abandoned.
    Abandon,
}

/// Something to do outside.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send this attempt now.
    Send(SendOrder),
    /// Fetch a token for this credential.
    FetchToken(CredentialId),
    /// Compute this fit, somewhere else: it takes some milliseconds. Answer with [`Input::Fitted`].
    Fit(GateId, Box<Job>),
    /// Write the counts of caps to the state file: take [`Engine::memory`] and [`Engine::ticket`] now or
    /// later, and answer with [`Input::Recorded`] when the memory is on the disk.
    Record,
    /// Tell telemetry.
    Event(Event),
    /// Nothing to do before this moment, unless an input comes first.
    WakeAt(Moment),
    /// Drained: nothing is in flight and nothing will be sent.
    Drained,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    rng: StdRng,
    outbox: VecDeque<Output>,
    timers: Timers,
    streams: Streams,
    gates: GateTable,
    tokens: TokenDesk,
    safety: SafetyDesk,
    breakers: Breakers,
    flights: HashMap<AttemptId, Flight, IdHash>,
    in_flight_max: u32,
    adaptive: AdaptiveSettings,
    next_attempt: u64,
    sends_left: Option<u64>,
    run: RunState,
}

/// A request on its way.
#[derive(Debug)]
struct Flight {
    order: SendOrder,
    /// The gate it went through; a reload may have put its stream behind another since.
    gate: GateId,
    /// Its number among the requests that went through that gate.
    ordinal: u64,
    message: Message,
    /// What the headers of a refusal advised, once they have come, and the gate that its stream
    /// stood behind then.
    warned: Option<(Advice, GateId)>,
}

impl Engine {
    /// An engine with nothing to run. `stop_after` ends the run when that many requests have been
    /// sent, as a bound on what a test may cost.
    #[must_use]
    pub fn new(seed: u64, stop_after: Option<u64>) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            outbox: VecDeque::new(),
            timers: Timers::default(),
            streams: Streams::default(),
            gates: GateTable::default(),
            tokens: TokenDesk::default(),
            safety: SafetyDesk::default(),
            breakers: Breakers::new(SafetyPlan::default().breaker),
            flights: HashMap::default(),
            in_flight_max: 0,
            adaptive: AdaptiveSettings::default(),
            next_attempt: 0,
            sends_left: stop_after,
            run: RunState::Running,
        }
    }

    /// Takes note of something that happened. O(1), except for [`Input::Apply`] and for a gate or a
    /// token whose change concerns many streams.
    pub fn handle(&mut self, now: Moment, input: Input) {
        match input {
            Input::Recall(memory) => {
                self.safety.recall(&memory.safety, now, &mut self.outbox);
                self.gates.recalled = Recalled::new(memory.scopes, now);
            }
            Input::Wall(wall) => self.wall(wall),
            Input::Recorded(ticket) => self.recorded(ticket, now),
            Input::Apply(plan) => self.apply(plan, now),
            Input::Warned { attempt, headers_at, advice } => {
                self.warned(attempt, headers_at, advice, now);
            }
            Input::Answered { attempt, answer } => self.answered(attempt, answer, now),
            Input::Token { credential, answer } => self.token_answered(credential, answer, now),
            Input::Renew(credential) => {
                self.tokens.renew(credential);
                self.tokens_due(now);
            }
            Input::Fitted(gate, found) => self.fitted(gate, &found, now),
            Input::Burst { stream, rate, count, peek } => {
                self.burst(stream, Burst { rate, count, peek }, now);
            }
            Input::Halt => self.halt(),
            Input::Drain => self.begin_drain(now),
            Input::Abandon => self.abandon(now),
        }
    }

    /// The next thing to do. Call until it answers [`Output::WakeAt`] or [`Output::Drained`], or
    /// stop where [`Self::has_orders`] allows.
    pub fn poll(&mut self, now: Moment) -> Output {
        loop {
            if let Some(output) = self.outbox.pop_front() {
                return output;
            }
            if self.run == RunState::Drained {
                return Output::Drained;
            }
            match self.timers.pop_due(now) {
                Some((at, Timer::Slots(stream))) => self.slots_due(stream, at, now),
                Some((at, Timer::Pace(gate))) => self.pace_due(gate, at, now),
                Some((_, Timer::Tokens)) => self.tokens_due(now),
                Some((_, Timer::Safety)) => self.safety_due(now),
                None => return Output::WakeAt(self.timers.next_at()),
            }
        }
    }

    /// Whether [`Self::poll`] has something to hand out already. A caller may stop polling early to
    /// take in answers, but not before this is false: an order that was given before a throttle
    /// must not be carried out after the throttle has been heard.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Lets an operator end a long pause, by the gate's readable name. False when there is no such
    /// gate or its pause is not long.
    pub fn open_gate(&mut self, name: &str, now: Moment) -> bool {
        let Some(id) = self.gates.find(name) else { return false };
        let opened = self.gates.open_by_operator(id, now, &mut self.outbox);
        if opened {
            self.kick_gate(id, now);
        }
        opened
    }

    fn emit(&mut self, event: Event) {
        self.outbox.push_back(Output::Event(event));
    }

    fn begin_drain(&mut self, now: Moment) {
        if self.run != RunState::Running {
            return;
        }
        self.count_all_held(now);
        self.run = RunState::Draining;
        self.emit(Event::DrainStarted);
        for id in self.streams.ids() {
            self.end_waiting(id, MessageResult::Drained, now);
        }
        self.finish_drain();
    }

    fn finish_drain(&mut self) {
        if self.run == RunState::Draining && self.flights.is_empty() {
            self.run = RunState::Drained;
        }
    }

    fn tokens_due(&mut self, now: Moment) {
        self.tokens.run(now, &mut self.outbox);
        self.timers.arm_tokens(self.tokens.next_at(now));
    }

    fn token_answered(&mut self, credential: CredentialId, answer: TokenAnswer, now: Moment) {
        self.tokens.answered(credential, answer, now, &mut self.rng, &mut self.outbox);
        self.tokens_due(now);
        for id in self.streams.ids() {
            if self.streams.get(id).is_some_and(|s| s.plan.credential == credential) {
                self.kick(id, now);
            }
        }
    }

    /// Ends every message of a stream that waits for a retry.
    fn end_waiting(&mut self, id: StreamId, result: MessageResult, now: Moment) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        for message in stream.waiting.drain() {
            self.outbox.push_back(Output::Event(message.ended(id, result, now)));
        }
    }
}

/// How often a stream that is held back wakes to count the slots it skips, so that a scrape sees
/// them while the pause lasts.
const HELD_WAKE: Duration = Duration::from_secs(1);

/// How soon a stream looks again when requests of *other* streams fill the common cap.
const CROWDED_WAKE: Duration = Duration::from_millis(1);

/// Messages that may wait for a retry in one stream. A bound on memory: a full queue ends the
/// message rather than grow.
const WAITING_MAX: usize = 1_024;

/// The name under which a gate is shown.
type GateName = Arc<str>;

/// Where in its period the plan of that number begins: multiples of the golden ratio's fraction spread
/// plans of one rate evenly, however many there are and whenever they come.
fn spread(number: u32) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    (f64::from(number) * GOLDEN).fract()
}
