//! One stream through the whole engine, against a limit that moves or stays, in virtual time.

use std::time::{Duration, Instant};

use plimsoll::engine::{
    CredentialPlan, Engine, Input, Output, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan,
};
use plimsoll::infer::{Found, Job};
use plimsoll::limiter::{Layer, LimiterSettings};
use plimsoll::model::{
    CredentialId, EndpointId, Event, Factor, GateChange, Identity, Kind, LimitChange as Told,
    Memory, Moment, Rate, Scope, Verdict,
};
use plimsoll::netem::{
    AdviceStyle, HintStyle, LimitChange, Neighbour, NetworkSettings, ServerSettings, World,
};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, ExplorationSettings, Jitter, Mode, PolicySettings,
    RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};

/// What is tried.
#[derive(Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) kind: Kind,
    pub(crate) mode: Mode,
    /// What is sent at most, per second.
    pub(crate) rate: f64,
    pub(crate) hints: HintStyle,
    pub(crate) advice: AdviceStyle,
    pub(crate) exploration: bool,
    /// What the limit becomes, and when.
    pub(crate) change: Option<(Duration, Kind)>,
    /// Traffic of somebody else under the same limit, per second.
    pub(crate) beside: f64,
    /// The daemon stops so often, is away for so long, and begins again with what it had learned.
    pub(crate) restarts: Option<(Duration, Duration)>,
    pub(crate) seed: u64,
}

impl Trial {
    /// A limit that stays.
    pub(crate) const fn of(kind: Kind, mode: Mode, rate: f64) -> Self {
        Self {
            kind,
            mode,
            rate,
            hints: HintStyle::None,
            advice: AdviceStyle::WholeSeconds,
            exploration: false,
            change: None,
            beside: 0.0,
            restarts: None,
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Changes that were told, each with the ungated time since the first refusal after the limit moved.
    pub(crate) told: Vec<(Told, Option<Duration>)>,
    /// Refusals from the change to the first that was told.
    pub(crate) refused: u32,
    pub(crate) sent: u64,
    pub(crate) fits: u32,
    pub(crate) fitting: Duration,
    /// What copying the record took for them: all that a fit costs where requests are sent.
    pub(crate) copying: Duration,
}

impl Outcome {
    #[expect(clippy::disallowed_methods, reason = "what a fit costs is measured")]
    fn fit(&mut self, job: &Job) -> Found {
        let before = Instant::now();
        let copy = job.clone();
        let copied = Instant::now();
        let found = copy.run();
        self.copying += copied - before;
        self.fitting += copied.elapsed();
        self.fits += 1;
        found
    }
}

/// Runs one.
pub(crate) fn run(trial: &Trial, until: Duration) -> Outcome {
    let end = Moment::ZERO + until;
    let mut engine = start(trial, None, Moment::ZERO);
    let mut world = World::new(trial.seed, network(), server(trial)).with_log_max(0);
    let us = identity();
    let changes_at = trial.change.map_or(Moment::NEVER, |(at, _)| Moment::ZERO + at);
    let mut outcome = Outcome::default();
    let mut now = Moment::ZERO;
    let mut stops_at = trial.restarts.map_or(Moment::NEVER, |(every, _)| now + every);
    // Time since the first refusal after the change in which the gate was open.
    let (mut open, mut ungated, mut from) = (true, Duration::ZERO, None::<Moment>);
    let told = |outcome: &Outcome| outcome.told.iter().any(|(change, _)| change.at > changes_at);
    while now < end && !told(&outcome) {
        if let Some((every, away)) = trial.restarts.filter(|_| now >= stops_at) {
            let memory = engine.memory(now).later(away);
            (now, open) = (now + away, true);
            stops_at = now + every;
            // What was in flight is answered to nobody.
            while world.deliver(now).is_some() {}
            engine = start(trial, Some(memory), now);
        }
        let wake = loop {
            match engine.poll(now) {
                Output::Send(order) => {
                    outcome.sent += 1;
                    world.send(now, order, &us);
                }
                Output::Fit(gate, job) => {
                    engine.handle(now, Input::Fitted(gate, outcome.fit(&job)));
                }
                Output::Event(Event::Gate(_, GateChange::Closed { .. })) => open = false,
                Output::Event(Event::Gate(_, GateChange::Opened { .. })) => open = true,
                Output::Event(Event::LimitMoved(_, change)) => {
                    outcome.told.push((change, from.map(|_| ungated)));
                }
                Output::Event(_) | Output::FetchToken(_) | Output::Record => {}
                Output::WakeAt(at) => break at,
                Output::Drained => return outcome,
            }
        };
        let until = wake.max(now).min(end).min(stops_at);
        let delivered = world.deliver(until);
        let then = delivered.as_ref().map_or(until, |(_, answer)| answer.done_at);
        let throttled = delivered.as_ref().is_some_and(|(_, a)| a.verdict == Verdict::Throttled);
        if throttled && then > changes_at && outcome.told.is_empty() {
            outcome.refused += 1;
            from.get_or_insert(then);
        }
        if open && from.is_some() {
            ungated += then.since(now);
        }
        if let Some((attempt, answer)) = delivered {
            engine.handle(then, Input::Answered { attempt, answer });
        }
        now = then.max(now);
    }
    outcome
}

/// An engine that begins, with what an earlier one knew.
fn start(trial: &Trial, memory: Option<Memory>, now: Moment) -> Engine {
    let mut engine = Engine::new(trial.seed ^ now.as_nanos(), None);
    if let Some(memory) = memory {
        engine.handle(now, Input::Recall(memory));
    }
    engine.handle(now, Input::Apply(plan(trial)));
    engine
}

fn identity() -> Identity {
    Identity { tenant: "acme".into(), ..Identity::default() }
}

fn network() -> NetworkSettings {
    NetworkSettings { loss: 0.0002, ..NetworkSettings::default() }
}

fn server(trial: &Trial) -> ServerSettings {
    let scope = Scope::Shared([Factor::Tenant].into());
    let limiter = LimiterSettings::plain(trial.kind);
    let change =
        trial.change.map(|(at, kind)| LimitChange { at: Moment::ZERO + at, layer: 0, kind });
    ServerSettings {
        layers: vec![Layer { name: "limit".into(), scope, limiter }],
        advice: trial.advice,
        hints: trial.hints,
        server_error: 0.001,
        changes: change.into_iter().collect(),
        neighbours: neighbour(trial).into_iter().collect(),
        ..ServerSettings::default()
    }
}

fn neighbour(trial: &Trial) -> Option<Neighbour> {
    let rate = Rate::from_per_second(trial.beside)?;
    let (from, until, poisson) = (Moment::ZERO, Moment::NEVER, true);
    Some(Neighbour { rate, from, until, poisson, identity: identity() })
}

fn plan(trial: &Trial) -> Plan {
    let token = TokenPlan::Static;
    let exploration = trial.exploration.then(ExplorationSettings::default);
    Plan {
        in_flight_max: 10_000,
        false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
        adaptive: AdaptiveSettings { exploration, ..AdaptiveSettings::default() },
        safety: SafetyPlan::default(),
        streams: vec![stream(trial)],
        credentials: vec![CredentialPlan { id: CredentialId(0), name: "none".into(), token }],
    }
}

/// As the packaged configuration has it, where it matters here.
fn stream(trial: &Trial) -> StreamPlan {
    let second = Duration::from_secs(1);
    StreamPlan {
        name: "s".into(),
        target: "api".into(),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        credential_name: "none".into(),
        domain: "api.example.com".into(),
        scope: Scope::Undecided,
        identity: identity(),
        method: "POST".into(),
        path_template: "/messages".into(),
        server_address: "api.example.com".into(),
        server_port: 443,
        resend_is_safe: false,
        in_flight_max: 10_000,
        mode: trial.mode,
        weight: 1.0,
        schedule: ScheduleSettings {
            rate: Rate::from_per_second(trial.rate).expect("a rate"),
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: 2,
        },
        policy: PolicySettings {
            backoff: BackoffSettings { base: second, cap: second * 60, jitter: Jitter::Equal },
            max_attempts: 4,
            retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
            deadline: second * 300,
            retry_after_max: second * 300,
            retry_after_jitter: second,
        },
        safety: StreamSafety::default(),
    }
}
