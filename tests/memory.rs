//! What one run tells the next: two engines in virtual time, one after the other, against one server.

use std::time::Duration;

use plimsoll::engine::{
    CredentialPlan, Engine, Input, Output, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan,
};
use plimsoll::limiter::{Kind, Layer, LimiterSettings, Lockout};
use plimsoll::model::{
    CredentialId, ESTIMATE_UNUSED_MAX, EndpointId, Estimate, EstimateMemory, EstimateSource, Event,
    GateChange, GateState, Identity, Interval, MannersMemory, Moment, PauseMemory, Scope, ScopeKey,
    ScopeMemory, Verdict, WallOffset,
};
use plimsoll::netem::{AdviceStyle, HintStyle, NetworkSettings, ServerSettings, World};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, Jitter, Mode, PolicySettings, RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn at(s: u64) -> Moment {
    Moment::ZERO + secs(s)
}

fn plan(mode: Mode) -> Plan {
    let backoff = BackoffSettings { base: secs(1), cap: secs(60), jitter: Jitter::Equal };
    let policy = PolicySettings {
        backoff,
        max_attempts: 1,
        retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
        deadline: secs(60),
        retry_after_max: secs(300),
        retry_after_jitter: Duration::ZERO,
    };
    let stream = StreamPlan {
        name: "s".into(),
        target: "t".into(),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        credential_name: "c".into(),
        domain: "api".into(),
        scope: Scope::Undecided,
        identity: Identity::default(),
        method: "POST".into(),
        path_template: "/messages".into(),
        server_address: "api".into(),
        server_port: 443,
        resend_is_safe: false,
        in_flight_max: 500,
        mode,
        weight: 1.0,
        schedule: ScheduleSettings {
            rate: "400/s".parse().expect("a rate"),
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: 5,
        },
        policy,
        safety: StreamSafety::default(),
    };
    let credential =
        CredentialPlan { id: CredentialId(0), name: "c".into(), token: TokenPlan::Static };
    Plan {
        in_flight_max: 1_000,
        false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
        adaptive: AdaptiveSettings { exploration: None, ..AdaptiveSettings::default() },
        safety: SafetyPlan::default(),
        streams: vec![stream],
        credentials: vec![credential],
    }
}

/// A log of 100 in a second that locks out for 30 s.
fn server() -> World {
    let kind = Kind::SlidingLog { limit: 100, window: secs(1) };
    let limiter =
        LimiterSettings { kind, lockout: Lockout::Fixed(secs(30)), counts_refused: false };
    let layers = vec![Layer { name: "cap".into(), limiter, scope: Scope::Undecided }];
    let server = ServerSettings { layers, ..ServerSettings::default() };
    World::new(1, NetworkSettings::default(), server)
}

/// The same with a word on how it is to be paused, and hints that never change.
fn rude() -> World {
    let kind = Kind::SlidingLog { limit: 100, window: secs(1) };
    let limiter =
        LimiterSettings { kind, lockout: Lockout::Fixed(secs(30)), counts_refused: false };
    let layers = vec![Layer { name: "cap".into(), limiter, scope: Scope::Undecided }];
    let (hints, advice) = (HintStyle::Frozen, AdviceStyle::None);
    let server = ServerSettings { layers, hints, advice, ..ServerSettings::default() };
    World::new(1, NetworkSettings::default(), server)
}

/// One run of a daemon, whose clock begins at `origin` of the world's.
struct Run<'a> {
    world: &'a mut World,
    engine: Engine,
    now: Moment,
    /// When it sent.
    sent: Vec<Moment>,
    throttled: Vec<Moment>,
    violations: u32,
    attempts: u64,
}

impl<'a> Run<'a> {
    fn start(world: &'a mut World, memory: Vec<ScopeMemory>, mode: Mode, now: Moment) -> Self {
        let mut engine = Engine::new(7, None);
        engine.handle(now, Input::Recall(memory.into()));
        engine.handle(now, Input::Apply(plan(mode)));
        let (sent, throttled) = (Vec::new(), Vec::new());
        Self { world, engine, now, sent, throttled, violations: 0, attempts: 0 }
    }

    fn until(&mut self, end: Moment) {
        self.until_or(end, |_| false);
    }

    /// Runs to a moment, or until a condition holds.
    fn until_or(&mut self, end: Moment, stop: impl Fn(&Self) -> bool) {
        while self.now < end && !stop(self) {
            match self.engine.poll(self.now) {
                Output::Send(order) => {
                    self.sent.push(self.now);
                    self.attempts += 1;
                    self.world.send(self.now, order, &Identity::default());
                }
                Output::Fit(gate, job) => {
                    self.engine.handle(self.now, Input::Fitted(gate, job.run()));
                }
                Output::Event(Event::Gate(_, GateChange::Violated)) => self.violations += 1,
                Output::Event(_) => {}
                Output::WakeAt(wake) => {
                    let next = self.world.next_at().unwrap_or(Moment::NEVER);
                    self.now = wake.min(next).min(end).max(self.now);
                    self.deliver();
                }
                other => panic!("not in this run: {other:?}"),
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((attempt, answer)) = self.world.deliver(self.now) {
            if answer.verdict == Verdict::Throttled {
                self.throttled.push(self.now);
            }
            self.engine.handle(self.now, Input::Answered { attempt, answer });
        }
    }

    fn gate(&self) -> GateState {
        self.engine.status(self.now, WallOffset::default()).gates[0].state
    }

    fn sends_between(&self, from: Moment, to: Moment) -> usize {
        self.sent.iter().filter(|t| **t >= from && **t < to).count()
    }
}

fn key() -> ScopeKey {
    ScopeKey { domain: "api".into(), values: Vec::new() }
}

fn estimate(limiter: Kind) -> ScopeMemory {
    let estimate = Estimate {
        rate: Interval { value: 99.8, low: 99.5, high: 100.1 },
        cautious: 99.6,
        limiter,
        confidence: 0.99,
        jitter: Duration::from_millis(2),
        source: EstimateSource::Memory,
        throttles: 3,
        at: Moment::ZERO,
    };
    let estimate = Some(EstimateMemory { estimate, unused: Duration::ZERO });
    ScopeMemory { key: key(), estimate, pause: None, manners: None }
}

fn pause(left: u64, asked: u64) -> ScopeMemory {
    let pause = PauseMemory { left: secs(left), asked: secs(asked), level: 1, long: false };
    ScopeMemory { key: key(), estimate: None, pause: Some(pause), manners: None }
}

#[test]
fn the_next_run_holds_at_once_what_the_last_one_learned() {
    let mut world = server();
    let mut first = Run::start(&mut world, Vec::new(), Mode::Adaptive, Moment::ZERO);
    first.until(at(600));
    assert!(!first.throttled.is_empty(), "there was something to learn");
    assert_eq!(first.gate(), GateState::Open);
    let memory = first.engine.memory(first.now).scopes;
    let believed = memory[0].estimate.as_ref().expect("an estimate").estimate.rate;
    assert!((98.0..=101.0).contains(&believed.value), "{believed:?}");
    // What was on its way when the run ended is not the next one's.
    let mut world = server();
    let mut next = Run::start(&mut world, memory, Mode::Adaptive, Moment::ZERO);
    next.until(at(300));
    assert_eq!(next.throttled, []);
    for (from, to) in [(0, 10), (10, 300)] {
        let rate = next.sends_between(at(from), at(to)) as f64 / (to - from) as f64;
        assert!((96.0..=100.0).contains(&rate), "{rate}/s from {from} s to {to} s");
    }
    let kept = next.engine.memory(next.now).scopes;
    assert_eq!(kept[0].estimate.as_ref().map(|e| e.estimate.rate), Some(believed));
}

#[test]
fn a_liar_is_not_believed_again_and_its_silence_is_kept() {
    let trusted = |run: &Run<'_>| {
        let status = run.engine.status(run.now, WallOffset::default());
        status.gates[0].pace.as_ref().expect("it is adaptive").hints_trusted
    };
    let mut world = rude();
    let mut first = Run::start(&mut world, Vec::new(), Mode::Adaptive, Moment::ZERO);
    first.until_or(at(60), |run| run.sent.len() > 20);
    assert_eq!(trusted(&first), Some(true), "nothing speaks against them yet");
    first.until(at(900));
    assert_eq!(trusted(&first), Some(false));
    let memory = first.engine.memory(first.now).scopes;
    let manners = memory[0].manners.expect("it was refused");
    assert_eq!((manners.hints_lie, manners.silence), (true, secs(30)));
    let kept = memory[0].later(secs(60)).expect("there is an estimate");
    assert_eq!(kept.manners.map(|m| (m.hints_lie, m.unused)), Some((true, secs(60))));
    let stale = MannersMemory { unused: ESTIMATE_UNUSED_MAX, ..manners };
    let stale = ScopeMemory { manners: Some(stale), estimate: None, ..kept.clone() };
    assert_eq!(stale.later(secs(1)), None, "so old it is worth nothing");

    // Of the estimate nothing is told, or it would hardly be refused.
    let memory = vec![ScopeMemory { estimate: None, pause: None, ..kept }];
    let mut world = rude();
    let mut next = Run::start(&mut world, memory, Mode::Adaptive, Moment::ZERO);
    next.until_or(at(60), |run| run.sent.len() > 20);
    assert_eq!(trusted(&next), Some(false));
    next.until_or(at(300), |run| !run.throttled.is_empty());
    let refused = *next.throttled.first().expect("the ceiling is above the limit");
    next.until(refused + secs(40));
    let resumed = next.sent.iter().find(|sent| **sent > refused + secs(1)).expect("it resumes");
    let silence = resumed.since(refused);
    assert!((secs(29)..secs(35)).contains(&silence), "it asked after {silence:?}");
}

#[test]
fn an_open_retry_after_is_honoured_and_not_a_second_longer() {
    for mode in [Mode::Fixed, Mode::Adaptive] {
        let mut world = server();
        let mut first = Run::start(&mut world, Vec::new(), mode, Moment::ZERO);
        first.until_or(at(600), |run| !run.throttled.is_empty());
        let ends_at = first.throttled[0] + secs(30);
        first.until(first.throttled[0] + secs(10));
        let memory = first.engine.memory(first.now).scopes;
        let stopped_at = first.now;
        // It is away for 5 s; its own stragglers have long been answered.
        let started_at = stopped_at + secs(5);
        let left: Vec<_> = memory.iter().filter_map(|scope| scope.later(secs(5))).collect();
        while world.deliver(started_at).is_some() {}
        let mut next = Run::start(&mut world, left, mode, started_at);
        assert_eq!(next.gate(), GateState::Closed);
        next.until(ends_at + secs(5));
        let resumed = *next.sent.first().expect("it sends again");
        let late = resumed.since(ends_at - Duration::from_millis(100));
        assert!(resumed + Duration::from_millis(100) >= ends_at, "{mode:?}: {resumed:?}");
        assert!(late < secs(1), "{mode:?}: resumed {late:?} late");
        assert_eq!(next.violations, 0);
        // One request asks; what follows waits for its answer.
        assert_eq!(next.sends_between(resumed, resumed + Duration::from_millis(40)), 1);
        assert!(next.sent.len() > 1, "{mode:?}: traffic flows again");
    }
}

#[test]
fn a_remembered_pause_does_not_cut_what_is_held() {
    let mut world = server();
    let known = estimate(Kind::SlidingLog { limit: 100, window: secs(1) });
    let memory = ScopeMemory { pause: pause(20, 20).pause, ..known };
    let mut run = Run::start(&mut world, vec![memory], Mode::Adaptive, at(50));
    run.until(at(170));
    assert_eq!((run.sends_between(at(0), at(70)), run.throttled.len()), (0, 0));
    let rate = run.sends_between(at(75), at(170)) as f64 / 95.0;
    assert!((96.0..=100.0).contains(&rate), "{rate}/s");
}

#[test]
fn a_pause_that_no_run_would_have_begun_is_not_believed() {
    let day = 24 * 60 * 60;
    for (memory, closed) in
        [(pause(0, 0), false), (pause(day, day), true), (pause(day + 7_200, 0), false)]
    {
        let mut world = server();
        let run = Run::start(&mut world, vec![memory.clone()], Mode::Fixed, Moment::ZERO);
        assert_eq!(run.gate() == GateState::Closed, closed, "{memory:?}");
    }
}

#[test]
fn windows_of_an_unknown_phase_are_paced_by_and_veto_nothing() {
    let mut world = server();
    let phase = Duration::ZERO;
    let memory = estimate(Kind::FixedWindow { limit: 60, window: secs(1), phase });
    let mut run = Run::start(&mut world, vec![memory], Mode::Adaptive, Moment::ZERO);
    run.until(at(60));
    // The model would admit 60; the rate is the estimate's.
    let rate = run.sends_between(at(0), at(60)) as f64 / 60.0;
    assert!(rate > 96.0, "{rate}/s");
}

#[test]
fn what_configuration_does_not_name_now_is_not_forgotten() {
    let mut other = pause(100, 100);
    other.key.domain = "elsewhere".into();
    let mut world = server();
    let mut run = Run::start(&mut world, vec![other], Mode::Fixed, Moment::ZERO);
    assert_eq!(run.gate(), GateState::Open);
    run.until_or(at(30), |run| run.attempts > 4);
    let memory = run.engine.memory(at(30)).scopes;
    let kept = memory.iter().find(|scope| &*scope.key.domain == "elsewhere").expect("is kept");
    assert_eq!(kept.pause.map(|p| p.left), Some(secs(70)));
    assert!(
        run.engine.memory(at(101)).scopes.iter().all(|scope| &*scope.key.domain != "elsewhere")
    );
}
