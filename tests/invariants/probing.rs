//! Streams that are probed with, in seeded worlds: bursts are ordered at any moment, of any size, while the clock stalls.

use std::time::Duration;

use plimsoll::engine::{
    CredentialPlan, Engine, Input, Output, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan,
};
use plimsoll::limiter::{Layer, LimiterSettings};
use plimsoll::model::{
    CredentialId, EndpointId, Event, Factor, GateChange, Identity, Kind, Moment, Rate, Scope,
    SendOrder, StreamId, Verdict,
};
use plimsoll::netem::{AdviceStyle, NetworkSettings, ServerSettings, World};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, Jitter, Mode, PolicySettings, RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SEEDS: u64 = 400;
const CEILING: f64 = 200.0;
const LAST: Moment = Moment::from_nanos(120_000_000_000);

fn identity(stream: usize) -> Identity {
    let token = ["one", "two"][stream];
    Identity { tenant: "acme".into(), token: token.into(), ..Identity::default() }
}

fn rate(per_second: f64) -> Rate {
    Rate::from_per_second(per_second).expect("a rate")
}

fn stream(i: usize, scope: &Scope) -> StreamPlan {
    let at_once = Duration::from_nanos(1);
    StreamPlan {
        name: ["one", "two"][i].into(),
        target: "api".into(),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        credential_name: "none".into(),
        domain: "api.example.com".into(),
        scope: scope.clone(),
        identity: identity(i),
        method: "POST".into(),
        path_template: "/messages".into(),
        server_address: "api.example.com".into(),
        server_port: 443,
        resend_is_safe: false,
        in_flight_max: 1_000,
        mode: Mode::Probe,
        weight: 1.0,
        schedule: ScheduleSettings {
            rate: rate(CEILING),
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: u32::MAX,
        },
        policy: PolicySettings {
            backoff: BackoffSettings { base: at_once, cap: at_once, jitter: Jitter::Full },
            max_attempts: 1,
            retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
            deadline: Duration::from_secs(300),
            retry_after_max: Duration::from_secs(300),
            retry_after_jitter: Duration::ZERO,
        },
        safety: StreamSafety::default(),
    }
}

fn plan(scope: &Scope) -> Plan {
    let token = TokenPlan::Static;
    Plan {
        in_flight_max: 1_000,
        false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
        adaptive: AdaptiveSettings::default(),
        safety: SafetyPlan::default(),
        streams: vec![stream(0, scope), stream(1, scope)],
        credentials: vec![CredentialPlan { id: CredentialId(0), name: "none".into(), token }],
    }
}

fn server(rng: &mut StdRng) -> ServerSettings {
    let limit = rng.random_range(1..60);
    let window = Duration::from_millis(rng.random_range(200..5_000));
    let kinds = [
        Kind::OnDemandWindow { limit, window },
        Kind::SlidingLog { limit, window },
        Kind::TokenBucket { rate: rate(rng.random_range(5.0..80.0)), burst: limit },
        Kind::Concurrency { limit },
    ];
    let limiter = LimiterSettings::plain(kinds[rng.random_range(0..kinds.len())]);
    let styles = [
        AdviceStyle::None,
        AdviceStyle::Exact,
        AdviceStyle::WholeSeconds,
        AdviceStyle::Fixed(Duration::from_secs(3)),
    ];
    ServerSettings {
        layers: vec![Layer {
            name: "limit".into(),
            scope: Scope::Shared([Factor::Tenant].into()),
            limiter,
        }],
        advice: styles[rng.random_range(0..styles.len())],
        server_error: 0.01,
        ..ServerSettings::default()
    }
}

/// A burst that was ordered, as far as it has been seen.
#[derive(Clone, Copy)]
struct Burst {
    rate: f64,
    left: u64,
    peek: bool,
    begun: bool,
    /// A refusal has come since, or another order: nothing of it may go out any more.
    over: bool,
}

/// What all worlds together met.
#[derive(Debug, Default)]
struct Met {
    sent: u64,
    refused: u64,
    peeks: u64,
    /// Sends that followed a refusal without advice before long.
    unadvised: u64,
    skipped: u64,
}

struct Run {
    engine: Engine,
    world: World,
    rng: StdRng,
    shared: bool,
    ids: Vec<StreamId>,
    bursts: [Burst; 2],
    latest: [Option<Moment>; 2],
    /// Of each stream: until when what it was refused with asks to wait, and whether somebody has peeked since.
    paused: [(Moment, bool); 2],
    unadvised_at: Option<Moment>,
    met: Met,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let shared = rng.random_bool(0.5);
        let scope = if shared { Scope::Undecided } else { Scope::Shared([Factor::Token].into()) };
        let mut engine = Engine::new(seed, None);
        engine.handle(Moment::ZERO, Input::Apply(plan(&scope)));
        let network = NetworkSettings {
            jitter: Duration::from_millis(rng.random_range(0..30)),
            loss: 0.002,
            ..NetworkSettings::default()
        };
        let server = server(&mut rng);
        let none = Burst { rate: CEILING, left: 0, peek: false, begun: false, over: true };
        Self {
            engine,
            world: World::new(seed, network, server),
            rng,
            shared,
            ids: Vec::new(),
            bursts: [none; 2],
            latest: [None; 2],
            paused: [(Moment::ZERO, false); 2],
            unadvised_at: None,
            met: Met::default(),
        }
    }

    fn index(&self, id: StreamId) -> usize {
        self.ids.iter().position(|known| *known == id).expect("a stream that was told of")
    }

    fn go(mut self) -> Result<Met, String> {
        let mut now = Moment::ZERO;
        let mut order_at = Moment::from_nanos(1_000_000);
        while now < LAST {
            let mut wake = self.poll(now)?;
            if now >= order_at {
                self.order(now);
                order_at = now + Duration::from_millis(self.rng.random_range(1..4_000));
                continue;
            }
            if self.rng.random_bool(0.02) {
                // Nobody looks for a while.
                wake = wake.max(now + Duration::from_millis(self.rng.random_range(1..300)));
            }
            now = self.step(wake.min(order_at).max(now));
        }
        Ok(self.met)
    }

    fn order(&mut self, now: Moment) {
        if self.rng.random_bool(0.05) {
            self.bursts.iter_mut().for_each(|burst| burst.over = true);
            self.engine.handle(now, Input::Halt);
            return;
        }
        let (i, peek) = (self.rng.random_range(0..2), self.rng.random_bool(0.3));
        let count = if peek { 1 } else { self.rng.random_range(1..150) };
        let per_second = self.rng.random_range(0.5..CEILING * 1.5);
        let rate_max = per_second.min(CEILING);
        self.bursts[i] = Burst { rate: rate_max, left: count, peek, begun: false, over: false };
        let input = Input::Burst { stream: self.ids[i], rate: rate(per_second), count, peek };
        self.engine.handle(now, input);
    }

    /// Takes in what arrives until then, or nothing; says what time it is.
    fn step(&mut self, until: Moment) -> Moment {
        let Some((attempt, answer)) = self.world.deliver(until) else { return until };
        let at = answer.done_at;
        self.engine.handle(at, Input::Answered { attempt, answer });
        at
    }

    fn poll(&mut self, now: Moment) -> Result<Moment, String> {
        loop {
            match self.engine.poll(now) {
                Output::Send(order) => {
                    self.sent(now, &order).map_err(|broken| format!("{now:?}: {broken}"))?;
                    let i = self.index(order.stream);
                    self.world.send(now, order, &identity(i));
                }
                Output::Event(event) => self.told(now, &event)?,
                Output::Fit(gate, _) => {
                    let found = plimsoll::infer::Found::default();
                    self.engine.handle(now, Input::Fitted(gate, found));
                }
                Output::FetchToken(_) | Output::Record => {}
                Output::WakeAt(at) => return Ok(at),
                Output::Drained => return Err("it drained unasked".to_owned()),
            }
        }
    }

    fn sent(&mut self, now: Moment, order: &SendOrder) -> Result<(), String> {
        let i = self.index(order.stream);
        self.met.sent += 1;
        if order.resend > 0 {
            return Err("a probe sends nothing twice".to_owned());
        }
        let burst = &mut self.bursts[i];
        if burst.over || burst.left == 0 {
            return Err(format!("stream {i} sent beyond its order, or after its end"));
        }
        burst.left -= 1;
        if let Some(latest) = self.latest[i] {
            let gap = now.since(latest).as_secs_f64();
            if gap < 0.87 / if burst.begun { burst.rate } else { CEILING } {
                return Err(format!("stream {i} sent {gap} s after its request before"));
            }
        }
        burst.begun = true;
        self.latest[i] = Some(now);
        if self.unadvised_at.is_some_and(|at| now < at + Duration::from_secs(1)) {
            self.met.unadvised += 1;
        }
        let holds = |j: usize| (self.shared || j == i) && now < self.paused[j].0;
        if let Some(j) = (0..2).find(|j| holds(*j)) {
            let allowed = self.bursts[i].peek && j != i && self.shared && !self.paused[j].1;
            if !allowed {
                return Err(format!("stream {i} sent inside the pause of {j}"));
            }
            self.paused[j].1 = true;
            self.met.peeks += 1;
        }
        Ok(())
    }

    fn told(&mut self, now: Moment, event: &Event) -> Result<(), String> {
        match event {
            Event::StreamAdded(info) => self.ids.push(info.id),
            Event::Gate(_, GateChange::Violated) => {
                return Err(format!("{now:?}: a pause was violated"));
            }
            Event::Skipped { stream, count, .. } => {
                let i = self.index(*stream);
                self.met.skipped += count;
                self.bursts[i].over = true;
            }
            Event::Ended(record) if record.answer.verdict == Verdict::Throttled => {
                let i = self.index(record.order.stream);
                self.met.refused += 1;
                for (j, burst) in self.bursts.iter_mut().enumerate() {
                    burst.over |= self.shared || i == j;
                }
                match record.answer.advice.wait() {
                    None => self.unadvised_at = Some(now),
                    Some(wait) => {
                        let until = record.answer.headers_at.unwrap_or(now) + wait;
                        if until > now {
                            self.paused[i] = (self.paused[i].0.max(until), false);
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn bursts_keep_to_their_orders_and_to_every_pause() {
    let mut all = Met::default();
    for seed in 0..SEEDS {
        let met = Run::new(seed).go().unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        all.sent += met.sent;
        all.refused += met.refused;
        all.peeks += met.peeks;
        all.unadvised += met.unadvised;
        all.skipped += met.skipped;
    }
    // A checker that never meets a case proves nothing about it.
    let least = all.sent.min(all.refused).min(all.peeks).min(all.unadvised).min(all.skipped);
    assert!(least > 50, "{all:?}");
}
