//! The world: requests under way, the server that decides them in order of arrival, and answers
//! under way back.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::answers;
use super::hints::Hints;
use super::neighbours::{NeighbourCount, Neighbours};
use super::settings::{NetworkSettings, ServerSettings};
use crate::limiter::{Layers, Ruling};
use crate::model::{
    Answer, AttemptId, CredentialId, Failure, FailureKind, Identity, Moment, SendOrder, StreamId,
    Verdict,
};

/// One request as the server saw it: the truth that a client can only infer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it reached the server.
    pub at: Moment,
    /// When the client sent it.
    pub sent_at: Moment,
    /// The attempt.
    pub attempt: AttemptId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Whether every limit admitted it (and its token was good).
    pub admitted: bool,
}

/// Tells the gateways' generator from the world's own.
const GATEWAYS: u64 = 0x6761_7465_7761_7973;

/// A network and a server in virtual time.
#[derive(Debug)]
pub struct World {
    network: NetworkSettings,
    server: ServerSettings,
    /// One for each gateway.
    shards: Vec<Layers>,
    rng: StdRng,
    /// Which gateway: a generator of its own, so that sharding leaves the other draws as they are.
    gateway_rng: StdRng,
    hints: Hints,
    neighbours: Neighbours,
    /// What happens next. Ties are settled by the number, which is the order of scheduling.
    agenda: BTreeMap<(Moment, u64), Happening>,
    next_number: u64,
    revoked: BTreeMap<CredentialId, u32>,
    log: Vec<Arrival>,
    log_max: usize,
    arrivals: u64,
}

#[derive(Debug)]
enum Happening {
    Change(usize),
    Arrive(Box<Flight>),
    Release(usize, Box<Identity>),
    Neighbour(usize),
    Answer(AttemptId, Box<Answer>),
}

/// A request under way, with everything that chance has in store for it drawn already: so what
/// befalls it depends on the order of sending alone, not on what other requests meet.
#[derive(Debug)]
struct Flight {
    order: SendOrder,
    identity: Identity,
    sent_at: Moment,
    back: Duration,
    service: Duration,
    /// The client has given up, or will: no answer reaches it.
    unheard: bool,
    reset: bool,
    unauthorized: bool,
    server_error: bool,
}

impl World {
    /// Arrivals that the log keeps, unless told otherwise.
    pub const LOG_MAX: usize = 1_000_000;

    /// A world in which nothing has happened yet.
    #[must_use]
    pub fn new(seed: u64, network: NetworkSettings, server: ServerSettings) -> Self {
        let shards = server.shards.max(1) as usize;
        let mut world = Self {
            shards: vec![Layers::new(server.layers.clone()); shards],
            rng: StdRng::seed_from_u64(seed),
            gateway_rng: StdRng::seed_from_u64(seed ^ GATEWAYS),
            hints: Hints::new(seed, server.hints, server.resets),
            neighbours: Neighbours::new(seed, server.neighbours.clone()),
            network,
            server,
            agenda: BTreeMap::new(),
            next_number: 0,
            revoked: BTreeMap::new(),
            log: Vec::new(),
            log_max: Self::LOG_MAX,
            arrivals: 0,
        };
        for i in 0..world.server.changes.len() {
            world.schedule(world.server.changes[i].at, Happening::Change(i));
        }
        for i in 0..world.server.neighbours.len() {
            world.expect_neighbour(i);
        }
        world
    }

    /// The same world with a log of at most `max` arrivals; later ones are only counted. Zero
    /// switches it off.
    #[must_use]
    pub fn with_log_max(mut self, max: usize) -> Self {
        self.log_max = max;
        self
    }

    /// Sends a request. Calls come in order of time, and not earlier than what was delivered.
    pub fn send(&mut self, at: Moment, order: SendOrder, identity: &Identity) {
        let out = self.way();
        let back = self.way();
        let request_lost = self.chance(self.network.loss);
        let answer_lost = self.chance(self.network.loss);
        let reset_before = self.chance(self.network.reset_before_write);
        let reset = self.chance(self.network.reset_after_write);
        let unauthorized = self.chance(self.server.unauthorized);
        let server_error = self.chance(self.server.server_error);
        let service = self.server.service + self.uniform(self.server.service_jitter);
        if reset_before {
            let known_at = at + out + back;
            let answer = answers::failed(FailureKind::Connect, false, at, known_at);
            return self.answer(order.attempt, answer);
        }
        let unheard = request_lost || answer_lost || out > self.network.timeout;
        if unheard {
            self.time_out(order.attempt, at);
        }
        if request_lost {
            return;
        }
        let flight = Flight {
            order,
            identity: identity.clone(),
            sent_at: at,
            back,
            service,
            unheard,
            reset,
            unauthorized,
            server_error,
        };
        self.schedule(at + out, Happening::Arrive(Box::new(flight)));
    }

    /// When something happens next, whether or not the client will see it.
    #[must_use]
    pub fn next_at(&self) -> Option<Moment> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets everything happen up to and including `now`, and returns the next answer that has come
    /// by then. Call until it returns `None`.
    pub fn deliver(&mut self, now: Moment) -> Option<(AttemptId, Answer)> {
        while self.next_at().is_some_and(|at| at <= now) {
            let ((at, _), happening) = self.agenda.pop_first()?;
            match happening {
                Happening::Change(i) => {
                    let change = self.server.changes[i];
                    for layers in &mut self.shards {
                        layers.change(change.layer, at, change.kind);
                    }
                }
                Happening::Arrive(flight) => self.arrive(at, &flight),
                Happening::Release(shard, identity) => self.shards[shard].release(at, &identity),
                Happening::Neighbour(i) => self.neighbour_arrives(at, i),
                Happening::Answer(attempt, answer) => return Some((attempt, *answer)),
            }
        }
        None
    }

    /// From now on the server refuses this credential's tokens up to and including a generation.
    pub fn revoke(&mut self, credential: CredentialId, generation: u32) {
        self.revoked.insert(credential, generation);
    }

    /// What arrived, in order of arrival.
    #[must_use]
    pub fn log(&self) -> &[Arrival] {
        &self.log
    }

    /// How many requests arrived, those that the log has no room for included.
    #[must_use]
    pub const fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// The limits as they stand, one stack for each gateway.
    #[must_use]
    pub fn shards(&self) -> &[Layers] {
        &self.shards
    }

    /// How the others fared so far.
    #[must_use]
    pub const fn neighbours(&self) -> NeighbourCount {
        self.neighbours.count
    }

    /// Takes what arrived since the last call, to make room in the log.
    pub fn drain_log(&mut self) -> impl Iterator<Item = Arrival> {
        self.log.drain(..)
    }

    fn arrive(&mut self, at: Moment, flight: &Flight) {
        let shard = self.gateway();
        let (verdict, status, served_at, ruling) = self.serve(at, flight, shard);
        let admitted = matches!(ruling, Some(Ruling::Admitted { .. }));
        self.record(Arrival {
            at,
            sent_at: flight.sent_at,
            attempt: flight.order.attempt,
            stream: flight.order.stream,
            admitted,
        });
        let done_at = served_at + flight.back;
        if flight.unheard {
            return;
        }
        if done_at > flight.sent_at + self.network.timeout {
            return self.time_out(flight.order.attempt, flight.sent_at);
        }
        if flight.reset {
            let kind = FailureKind::Transport;
            let answer = answers::failed(kind, true, flight.sent_at, done_at);
            return self.answer(flight.order.attempt, answer);
        }
        let mut answer = answers::response(verdict, status, flight.sent_at, done_at);
        if let Some(Ruling::Refused { layer, retry_after }) = ruling {
            answer.advice = answers::advice(self.server.advice, retry_after);
            let layers = &self.shards[shard];
            let quota = layers.quota(layer, at, &flight.identity);
            let named = layers.iter().nth(layer).map(|l| answers::named(l, quota));
            answer.named_limit = named.map(Box::new);
        }
        if self.hints.are_given() && ruling.is_some() {
            let tightest = self.shards[shard].tightest(at, &flight.identity);
            answer.hints.extend(tightest.map(|(_, quota)| self.hints.say(at, quota)));
        }
        self.answer(flight.order.attempt, answer);
    }

    /// The server's decision, and when it is done with the request. No ruling: no limit was asked.
    fn serve(
        &mut self,
        at: Moment,
        flight: &Flight,
        shard: usize,
    ) -> (Verdict, u16, Moment, Option<Ruling>) {
        let order = &flight.order;
        let revoked = self.revoked.get(&order.credential);
        if flight.unauthorized || revoked.is_some_and(|g| order.token_generation <= *g) {
            return (Verdict::Unauthorized, 401, at, None);
        }
        let ruling = self.shards[shard].decide(at, &flight.identity);
        let Ruling::Admitted { delay } = ruling else {
            return (Verdict::Throttled, 429, at, Some(ruling));
        };
        let served_at = at + delay + flight.service;
        self.schedule(served_at, Happening::Release(shard, Box::new(flight.identity.clone())));
        if flight.server_error {
            let failure = Failure { kind: FailureKind::ServerError, may_have_arrived: true };
            return (Verdict::Failed(failure), 500, served_at, Some(ruling));
        }
        (Verdict::Accepted, 200, served_at, Some(ruling))
    }

    fn neighbour_arrives(&mut self, at: Moment, index: usize) {
        let shard = self.gateway();
        let identity = self.neighbours.identity(index).clone();
        let ruling = self.shards[shard].decide(at, &identity);
        self.neighbours.count.arrived += 1;
        if let Ruling::Admitted { delay } = ruling {
            self.neighbours.count.admitted += 1;
            let served_at = at + delay + self.server.service;
            self.schedule(served_at, Happening::Release(shard, Box::new(identity)));
        }
        self.expect_neighbour(index);
    }

    fn expect_neighbour(&mut self, index: usize) {
        if let Some(at) = self.neighbours.next(index) {
            self.schedule(at, Happening::Neighbour(index));
        }
    }

    fn gateway(&mut self) -> usize {
        match self.shards.len() {
            1 => 0,
            many => self.gateway_rng.random_range(0..many),
        }
    }

    fn record(&mut self, arrival: Arrival) {
        self.arrivals += 1;
        if self.log.len() < self.log_max {
            self.log.push(arrival);
        }
    }

    /// The client cannot tell a lost request from a lost answer.
    fn time_out(&mut self, attempt: AttemptId, sent_at: Moment) {
        let done_at = sent_at + self.network.timeout;
        let answer = answers::failed(FailureKind::Timeout, true, sent_at, done_at);
        self.answer(attempt, answer);
    }

    fn answer(&mut self, attempt: AttemptId, answer: Answer) {
        self.schedule(answer.done_at, Happening::Answer(attempt, Box::new(answer)));
    }

    fn schedule(&mut self, at: Moment, happening: Happening) {
        self.agenda.insert((at, self.next_number), happening);
        self.next_number += 1;
    }

    fn way(&mut self) -> Duration {
        self.network.rtt / 2 + self.uniform(self.network.jitter)
    }

    /// Always draws, so that changing one setting leaves the other draws as they were.
    fn uniform(&mut self, most: Duration) -> Duration {
        let part: f64 = self.rng.random();
        most.mul_f64(part)
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }
}
