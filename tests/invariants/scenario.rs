//! What a seed stands for: a world, a plan and a script.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::{CredentialPlan, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan};
use plimsoll::limiter::{Kind, Layer, LimiterSettings, Lockout};
use plimsoll::model::{CredentialId, EndpointId, Factor, Identity, Moment, Rate, Scope};
use plimsoll::netem::{AdviceStyle, HintStyle, NetworkSettings, ServerSettings};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, ExplorationSettings, Jitter, Mode, PolicySettings,
    RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::envelope::{self, Script};

/// Everything a run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) network: NetworkSettings,
    pub(crate) server: ServerSettings,
    pub(crate) plan: Plan,
    /// A second plan, applied in mid-run.
    pub(crate) reload: Option<(Moment, Plan)>,
    /// When the process is held up, and for how long.
    pub(crate) stalls: Vec<(Moment, Duration)>,
    pub(crate) drain_at: Moment,
    pub(crate) grace: Duration,
    /// How long a token lives, and how often its fetch is throttled or fails.
    pub(crate) token_life: Duration,
    pub(crate) token_trouble: f64,
    pub(crate) stop_after: Option<u64>,
    pub(crate) script: Script,
}

pub(crate) fn at(seconds: f64) -> Moment {
    Moment::ZERO + Duration::from_secs_f64(seconds)
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let rng = &mut rng;
        let plan = plan(rng);
        let length = rng.random_range(20.0..90.0);
        let mut reload = rng.random_bool(0.4).then(|| {
            let when = at(rng.random_range(2.0..length));
            (when, reloaded(&plan, rng))
        });
        let mut plan = plan;
        adapt(seed, &mut plan, reload.as_mut().map(|(_, plan)| plan));
        let script = envelope::draw(seed, &mut plan, reload.as_mut().map(|(_, plan)| plan), length);
        let stalls = (0..rng.random_range(0..4))
            .map(|_| (at(rng.random_range(1.0..length)), ms(rng.random_range(1..8_000))))
            .collect();
        Self {
            seed,
            network: network(rng),
            server: server(rng),
            plan,
            reload,
            stalls,
            drain_at: at(length),
            grace: ms(rng.random_range(0..15_000)),
            token_life: ms(rng.random_range(2_000..120_000)),
            token_trouble: if rng.random_bool(0.3) { 0.3 } else { 0.0 },
            stop_after: rng.random_bool(0.1).then(|| rng.random_range(1..2_000)),
            script,
        }
    }

    /// A day at 5/s under a limit of 300/min with whole-second advice.
    pub(crate) fn a_day() -> Self {
        let mut scenario = Self::draw(4);
        let stream =
            stream("day", 0, "5.2/s".parse().expect("a rate"), &mut StdRng::seed_from_u64(4));
        let calm = ScheduleSettings {
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: 5,
            ..stream.schedule
        };
        let limit = Kind::SlidingLog { limit: 300, window: Duration::from_secs(60) };
        scenario.plan = Plan {
            in_flight_max: 100,
            false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
            adaptive: AdaptiveSettings::default(),
            safety: SafetyPlan::default(),
            streams: vec![StreamPlan { schedule: calm, in_flight_max: 100, ..stream }],
            credentials: vec![credential(0, false)],
        };
        scenario.server = ServerSettings {
            layers: vec![layer(limit, Lockout::None, Scope::Undecided)],
            advice: AdviceStyle::WholeSeconds,
            ..ServerSettings::default()
        };
        scenario.network = NetworkSettings::default();
        scenario.reload = None;
        scenario.stalls = vec![(at(3_600.0), Duration::from_secs(60))];
        scenario.drain_at = at(86_400.0);
        scenario.stop_after = None;
        scenario.script = Script::default();
        scenario
    }
}

/// Makes half of the worlds adaptive, most of their streams each time the plan is written: so streams
/// also become adaptive, and fixed again, in mid-run.
fn adapt(seed: u64, plan: &mut Plan, reload: Option<&mut Plan>) {
    // Dice of its own: what a seed stands for otherwise does not change with what is drawn here.
    let mut rng = StdRng::seed_from_u64(seed ^ 0x0ADA_9717);
    let rng = &mut rng;
    if rng.random_bool(0.5) {
        return;
    }
    for plan in std::iter::once(plan).chain(reload) {
        plan.adaptive = AdaptiveSettings {
            margin: *[0.0, 0.01, 0.2].choose(rng).expect("not empty"),
            exploration: rng.random_bool(0.7).then(|| ExplorationSettings {
                interval: ms(rng.random_range(1_000..20_000)),
                ..ExplorationSettings::default()
            }),
            latency_max: rng.random_bool(0.2).then(|| ms(rng.random_range(20..400))),
        };
        for stream in &mut plan.streams {
            stream.weight = *[0.5, 1.0, 1.0, 3.0].choose(rng).expect("not empty");
            stream.mode = Mode::Fixed;
            // Adaptive arrivals are even: that is configuration's contract with the engine.
            if rng.random_bool(0.75) && stream.schedule.arrivals == Arrivals::Uniform {
                stream.mode = Mode::Adaptive;
            }
        }
    }
}

fn network(rng: &mut StdRng) -> NetworkSettings {
    let faulty = rng.random_bool(0.4);
    let fault = |p: f64| if faulty { p } else { 0.0 };
    NetworkSettings {
        rtt: ms(*[1, 20, 200].choose(rng).expect("not empty")),
        jitter: ms(*[0, 1, 30].choose(rng).expect("not empty")),
        loss: fault(0.01),
        reset_before_write: fault(0.01),
        reset_after_write: fault(0.01),
        timeout: ms(rng.random_range(500..10_000)),
    }
}

fn server(rng: &mut StdRng) -> ServerSettings {
    let layers = (0..rng.random_range(0..3)).map(|_| random_layer(rng)).collect();
    let advice = *[
        AdviceStyle::None,
        AdviceStyle::Exact,
        AdviceStyle::WholeSeconds,
        AdviceStyle::Fixed(Duration::from_secs(30)),
        AdviceStyle::Fixed(Duration::from_secs(2 * 86_400)),
        AdviceStyle::Fixed(Duration::ZERO),
    ]
    .choose(rng)
    .expect("not empty");
    ServerSettings {
        service: ms(rng.random_range(0..50)),
        service_jitter: ms(rng.random_range(0..20)),
        layers,
        advice,
        hints: if rng.random_bool(0.5) { HintStyle::Honest } else { HintStyle::None },
        server_error: if rng.random_bool(0.3) { 0.05 } else { 0.0 },
        unauthorized: if rng.random_bool(0.2) { 0.01 } else { 0.0 },
        ..ServerSettings::default()
    }
}

fn random_layer(rng: &mut StdRng) -> Layer {
    let limit = rng.random_range(5..150);
    let window = ms(*[1_000, 7_000, 60_000].choose(rng).expect("not empty"));
    let phase = ms(rng.random_range(0..1_000));
    let rate = Rate::per_sec(limit).expect("in bounds");
    let kind = match rng.random_range(0..6) {
        0 => Kind::FixedWindow { limit, window, phase },
        1 => Kind::SlidingLog { limit, window },
        2 => Kind::SlidingCounter { limit, window, phase },
        3 => Kind::TokenBucket { rate, burst: rng.random_range(1..50) },
        4 => Kind::Queue { rate, depth: rng.random_range(0..50) },
        _ => Kind::Concurrency { limit: rng.random_range(1..20) },
    };
    let lockout = match rng.random_range(0..3) {
        0 => Lockout::None,
        1 => Lockout::Fixed(Duration::from_secs(10)),
        _ => Lockout::Extended(Duration::from_secs(5)),
    };
    let mut drawn = layer(kind, lockout, random_scope(rng));
    drawn.limiter.counts_refused = rng.random_bool(0.2);
    drawn
}

pub(crate) fn layer(kind: Kind, lockout: Lockout, scope: Scope) -> Layer {
    Layer {
        name: "limit".into(),
        scope,
        limiter: LimiterSettings { lockout, ..LimiterSettings::plain(kind) },
    }
}

fn random_scope(rng: &mut StdRng) -> Scope {
    match rng.random_range(0..4) {
        0 => Scope::Undecided,
        1 => Scope::Shared([Factor::Tenant].into()),
        2 => Scope::Shared([Factor::Token].into()),
        _ => Scope::Shared([Factor::Tenant, Factor::Route].into()),
    }
}

fn plan(rng: &mut StdRng) -> Plan {
    let credentials = 3;
    let streams = (0..rng.random_range(1..6))
        .map(|i| {
            let rate = match rng.random_range(0..4) {
                0 => Rate::new(rng.random_range(10..600), Duration::from_secs(60)),
                1 => Rate::new(973, Duration::from_secs(10)),
                _ => Rate::per_sec(rng.random_range(1..200)),
            };
            stream(
                &format!("s{i}"),
                rng.random_range(0..credentials),
                rate.expect("in bounds"),
                rng,
            )
        })
        .collect();
    let mut plan = Plan {
        in_flight_max: rng.random_range(1..300),
        false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
        adaptive: AdaptiveSettings::default(),
        safety: SafetyPlan::default(),
        streams,
        credentials: (0..credentials).map(|id| credential(id, rng.random_bool(0.5))).collect(),
    };
    share_scope_within_domains(&mut plan, rng);
    plan
}

/// A limit domain has one scope: that is configuration's contract with the engine.
fn share_scope_within_domains(plan: &mut Plan, rng: &mut StdRng) {
    let scopes = [random_scope(rng), random_scope(rng)];
    for stream in &mut plan.streams {
        stream.scope = scopes[usize::from(&*stream.domain == "b")].clone();
    }
}

pub(crate) fn stream(name: &str, credential: u32, rate: Rate, rng: &mut StdRng) -> StreamPlan {
    let route = *["POST /m", "POST /n"].choose(rng).expect("not empty");
    StreamPlan {
        name: name.into(),
        target: "target".into(),
        endpoint: EndpointId(rng.random_range(0..2)),
        credential: CredentialId(credential),
        credential_name: format!("c{credential}").into(),
        domain: if rng.random_bool(0.7) { "a".into() } else { "b".into() },
        scope: Scope::Undecided,
        identity: Identity {
            token: format!("c{credential}").into(),
            tenant: if credential == 0 { "acme".into() } else { "other".into() },
            route: route.into(),
            ..Identity::default()
        },
        method: "POST".into(),
        path_template: "/m".into(),
        server_address: "api.example.com".into(),
        server_port: 443,
        resend_is_safe: rng.random_bool(0.3),
        in_flight_max: rng.random_range(1..200),
        mode: Mode::Fixed,
        weight: 1.0,
        schedule: ScheduleSettings {
            rate,
            arrivals: if rng.random_bool(0.7) { Arrivals::Uniform } else { Arrivals::Poisson },
            ramp: ms(*[0, 0, 5_000].choose(rng).expect("not empty")),
            catch_up_slots: rng.random_range(0..10),
        },
        policy: policy(rng),
        safety: StreamSafety::default(),
    }
}

fn policy(rng: &mut StdRng) -> PolicySettings {
    PolicySettings {
        backoff: BackoffSettings {
            base: ms(rng.random_range(100..2_000)),
            cap: ms(rng.random_range(2_000..60_000)),
            jitter: *[Jitter::Full, Jitter::Equal, Jitter::Decorrelated]
                .choose(rng)
                .expect("not empty"),
        },
        max_attempts: rng.random_range(1..6),
        retry_budget: RetryBudgetSettings {
            ratio: rng.random_range(0.0..0.5),
            reserve: rng.random_range(0..200),
        },
        deadline: ms(rng.random_range(500..120_000)),
        retry_after_max: Duration::from_secs(20),
        retry_after_jitter: ms(rng.random_range(0..2_000)),
    }
}

pub(crate) fn credential(id: u32, fetched: bool) -> CredentialPlan {
    let backoff = BackoffSettings { base: ms(200), cap: ms(5_000), jitter: Jitter::Full };
    let login_host: Arc<str> = "login.example.com".into();
    CredentialPlan {
        id: CredentialId(id),
        name: format!("c{id}").into(),
        token: if fetched { TokenPlan::Fetched { login_host, backoff } } else { TokenPlan::Static },
    }
}

/// The plan after a reload: some streams kept, some changed, some gone, one new.
fn reloaded(plan: &Plan, rng: &mut StdRng) -> Plan {
    let mut next = plan.clone();
    next.streams.retain(|_| rng.random_bool(0.8));
    for stream in &mut next.streams {
        match rng.random_range(0..5) {
            0 => stream.schedule.rate = Rate::per_sec(rng.random_range(1..200)).expect("in bounds"),
            1 => stream.endpoint = EndpointId(9),
            2 => stream.policy = policy(rng),
            3 => stream.schedule.arrivals = Arrivals::Poisson,
            _ => {}
        }
    }
    next.streams.push(stream("late", 1, Rate::per_sec(20).expect("in bounds"), rng));
    share_scope_within_domains(&mut next, rng);
    next
}
