//! The engine as a client under examination: one plan, adaptive streams, no faults of tokens or tools.

use std::time::Duration;

use plimsoll::engine::{
    CredentialPlan, Engine, Input, Output, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan,
};
use plimsoll::model::{
    Answer, AttemptId, CredentialId, EndpointId, Event, GateChange, Moment, Rate, Scope,
};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, ExplorationSettings, Jitter, Mode, PolicySettings,
    RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};

use super::case::{Case, identity};
use super::client::{Client, Next};
use super::file::Stream;

/// The engine of one run.
#[derive(Debug)]
pub(crate) struct Adaptive {
    engine: Engine,
    epochs: u64,
    see: See,
}

/// Is shown every event.
pub(crate) type See = fn(Moment, &Event);

impl Adaptive {
    pub(crate) fn new(case: &Case, seed: u64, see: See) -> Self {
        let mut engine = Engine::new(seed, None);
        engine.handle(Moment::ZERO, Input::Apply(plan(case)));
        Self { engine, epochs: 0, see }
    }
}

impl Client for Adaptive {
    fn next(&mut self, now: Moment) -> Next {
        loop {
            match self.engine.poll(now) {
                Output::Send(order) => return Next::Send(order),
                Output::WakeAt(at) => return Next::Wait(at),
                // At once: the clock stands still while it is computed.
                Output::Fit(gate, job) => self.engine.handle(now, Input::Fitted(gate, job.run())),
                Output::Event(event) => {
                    let closed = matches!(&event, Event::Gate(_, GateChange::Closed { .. }));
                    self.epochs += u64::from(closed);
                    (self.see)(now, &event);
                }
                Output::FetchToken(_) | Output::Record => {}
                Output::Drained => return Next::Wait(Moment::NEVER),
            }
        }
    }

    fn answered(&mut self, now: Moment, attempt: AttemptId, answer: Answer) {
        self.engine.handle(now, Input::Answered { attempt, answer });
    }

    fn epochs(&self) -> u64 {
        self.epochs
    }
}

fn plan(case: &Case) -> Plan {
    let streams = &case.experiment.streams;
    let ceiling = case.ceiling_rate() / streams.len() as f64;
    let rate = Rate::from_per_second(ceiling).expect("a rate of a ceiling");
    Plan {
        in_flight_max: 10_000,
        false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
        adaptive: AdaptiveSettings {
            exploration: case.experiment.exploration.then(ExplorationSettings::default),
            ..AdaptiveSettings::default()
        },
        safety: SafetyPlan::default(),
        streams: streams.iter().map(|s| stream(s, rate)).collect(),
        credentials: vec![CredentialPlan {
            id: CredentialId(0),
            name: "none".into(),
            token: TokenPlan::Static,
        }],
    }
}

/// As the packaged configuration has it, where it matters here.
fn stream(stream: &Stream, rate: Rate) -> StreamPlan {
    StreamPlan {
        name: stream.name.as_str().into(),
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
        mode: Mode::Adaptive,
        weight: stream.weight,
        schedule: ScheduleSettings {
            rate,
            arrivals: Arrivals::Uniform,
            ramp: Duration::ZERO,
            catch_up_slots: 2,
        },
        safety: StreamSafety::default(),
        policy: PolicySettings {
            backoff: BackoffSettings {
                base: Duration::from_secs(1),
                cap: Duration::from_secs(60),
                jitter: Jitter::Equal,
            },
            max_attempts: 4,
            retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
            deadline: Duration::from_secs(300),
            retry_after_max: Duration::from_secs(300),
            retry_after_jitter: Duration::from_secs(1),
        },
    }
}
