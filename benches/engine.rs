//! What a slot costs in the engine: polled, sent, answered and accounted for, without any I/O.
//!
//! It knows the engine by its inputs and outputs alone, so that its inside can change and the numbers still compare.

#![allow(missing_docs, reason = "criterion's macros generate public items without any")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use plimsoll::engine::{
    CredentialPlan, Engine, Input, Output, Plan, SafetyPlan, StreamPlan, StreamSafety, TokenPlan,
};
use plimsoll::model::{
    Advice, AdviceSource, Answer, AttemptId, CredentialId, EndpointId, Identity, Moment, Rate,
    Scope, Verdict,
};
use plimsoll::policy::{
    AdaptiveSettings, BackoffSettings, Jitter, Mode, PolicySettings, RetryBudgetSettings,
};
use plimsoll::schedule::{Arrivals, ScheduleSettings};

const SEED: u64 = 1;

/// Requests in flight in the benches of a full house, as in the bench against peers.
const IN_FLIGHT: u32 = 50;

/// Virtual time from one answer to the next in a full house: about what a server on the same machine manages.
const ANSWER_EVERY: Duration = Duration::from_micros(12);

/// Wakes in one batch of the gated bench. A held stream wakes once a second, so this is a pause of 1,000 s.
const GATED_WAKES: u64 = 1_000;

/// Some streams of one rate and the engine that runs them, with a virtual clock.
struct Bench {
    engine: Engine,
    now: Moment,
    /// Sent and not answered, in the order of sending.
    in_flight: VecDeque<AttemptId>,
    wake_at: Moment,
}

impl Bench {
    fn new(mode: Mode, streams: u32, rate: Rate, in_flight_max: u32) -> Self {
        let plan = Plan {
            in_flight_max,
            false_alarm_interval: plimsoll::infer::FALSE_ALARM_EVERY,
            adaptive: AdaptiveSettings::default(),
            safety: SafetyPlan::default(),
            streams: (0..streams).map(|i| stream(i, mode, rate, in_flight_max)).collect(),
            credentials: vec![CredentialPlan {
                id: CredentialId(0),
                name: "none".into(),
                token: TokenPlan::Static,
            }],
        };
        let mut bench = Self {
            engine: Engine::new(SEED, None),
            now: Moment::from_nanos(1_000_000_000),
            in_flight: VecDeque::new(),
            wake_at: Moment::ZERO,
        };
        bench.engine.handle(bench.now, Input::Apply(plan));
        bench.poll();
        bench
    }

    /// Polls until there is nothing to do, as the composition does; looks at every output.
    fn poll(&mut self) {
        loop {
            match self.engine.poll(self.now) {
                Output::Send(order) => self.in_flight.push_back(order.attempt),
                Output::WakeAt(at) => {
                    self.wake_at = at;
                    return;
                }
                Output::Fit(gate, job) => {
                    self.engine.handle(self.now, Input::Fitted(gate, job.run()));
                }
                other => drop(black_box(other)),
            }
        }
    }

    fn sleep(&mut self) {
        self.now = self.now.max(self.wake_at);
        self.poll();
    }

    /// Answers the oldest request, if any, as accepted.
    fn answer(&mut self) {
        let Some(attempt) = self.in_flight.pop_front() else { return };
        let answer = Answer {
            status: Some(200),
            headers_at: Some(self.now),
            ..Answer::bare(Verdict::Accepted, self.now, self.now)
        };
        self.engine.handle(self.now, Input::Answered { attempt, answer });
        self.poll();
    }

    /// One request is refused, with advice that holds everybody for a day.
    fn refuse(&mut self) {
        while self.in_flight.is_empty() {
            self.sleep();
        }
        let Some(attempt) = self.in_flight.pop_front() else { return };
        let day = Duration::from_secs(24 * 60 * 60);
        let answer = Answer {
            status: Some(429),
            headers_at: Some(self.now),
            advice: Advice::Wait(day, AdviceSource::RetryAfterSeconds),
            ..Answer::bare(Verdict::Throttled, self.now, self.now)
        };
        self.engine.handle(self.now, Input::Answered { attempt, answer });
        self.poll();
    }
}

fn stream(index: u32, mode: Mode, rate: Rate, in_flight_max: u32) -> StreamPlan {
    StreamPlan {
        name: format!("stream-{index}").into(),
        target: "target".into(),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        credential_name: "none".into(),
        domain: Arc::from("127.0.0.1"),
        scope: Scope::Undecided,
        identity: Identity::default(),
        method: "POST".into(),
        path_template: "/messages".into(),
        server_address: "127.0.0.1".into(),
        server_port: 80,
        resend_is_safe: false,
        in_flight_max,
        mode,
        weight: 1.0,
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

fn rate(text: &str) -> Rate {
    text.parse().expect("the bench's own rates are well formed")
}

/// One attempt from due to accepted, at a rate that is kept. The total rate is the same whatever the number of
/// streams, so the difference is what a stream more costs. In adaptive mode all streams share one plan, and what
/// each attempt tells of the limit is noted; a fit, where one is asked for, counts in.
fn steady(c: &mut Criterion) {
    let mut group = c.benchmark_group("steady");
    group.throughput(Throughput::Elements(1));
    let fixed = [(1, "10000/s"), (1_000, "10/s"), (10_000, "1/s")].map(|c| (Mode::Fixed, c));
    let adaptive = [(1, "10000/s"), (2, "5000/s"), (1_000, "10/s")].map(|c| (Mode::Adaptive, c));
    for (mode, (streams, each)) in fixed.into_iter().chain(adaptive) {
        let mut bench = Bench::new(mode, streams, rate(each), 1_000);
        let name = match mode {
            Mode::Fixed => "attempt",
            Mode::Adaptive => "adaptive-attempt",
            Mode::Probe => "probe-attempt",
        };
        group.bench_function(BenchmarkId::new(name, streams), |b| {
            b.iter(|| {
                bench.sleep();
                bench.answer();
            });
        });
    }
    group.finish();
}

/// One attempt at a rate that cannot be kept: every slot finds the house full, an answer makes room for one, and the
/// slots that came due meanwhile are skipped in bulk.
fn full(c: &mut Criterion) {
    let mut group = c.benchmark_group("full");
    group.throughput(Throughput::Elements(1));
    let mut bench = Bench::new(Mode::Fixed, 1, rate("1000000/s"), IN_FLIGHT);
    group.bench_function("attempt", |b| {
        b.iter(|| {
            bench.now += ANSWER_EVERY;
            bench.answer();
            bench.sleep();
        });
    });
    group.finish();
}

/// One wake of a held house: each stream skips, in bulk, the slots of a second.
fn gated(c: &mut Criterion) {
    let mut group = c.benchmark_group("gated");
    for (streams, each) in [(1, "1000000/s"), (1_000, "1000/s")] {
        group.throughput(Throughput::Elements(GATED_WAKES * streams));
        group.bench_function(BenchmarkId::new("stream-wake", streams), |b| {
            b.iter_batched_ref(
                || {
                    let mut bench = Bench::new(Mode::Fixed, streams as u32, rate(each), 1_000);
                    bench.refuse();
                    bench
                },
                |bench| {
                    let until = bench.now + Duration::from_secs(GATED_WAKES);
                    while bench.now < until {
                        bench.sleep();
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, steady, full, gated);
criterion_main!(benches);
