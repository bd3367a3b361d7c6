//! Runs one case with one seed: joins a client and a world, moves the clock, keeps the books.
//!
//! The books are kept outside: what was admitted is read from the server's side, and whether anybody sent
//! inside a Retry-After from the answers that were delivered. The measured time begins and ends where a
//! window of the limiter does, for those that have windows at fixed times: else part of a window would
//! count against the client, or for it.

use std::time::Duration;

use plimsoll::limiter::Layers;
use plimsoll::model::{Answer, Moment, StreamId, Verdict};
use plimsoll::netem::World;

use super::case::{Case, identity};
use super::client::{Client, Next};
use super::oracle;

/// How long is measured.
pub(crate) const MEASURED: Duration = Duration::from_secs(600);

/// Steps in one instant beyond which a client is taken to be caught in a loop.
const AT_ONCE_MAX: u32 = 100_000;

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// Admitted in the measured time, in relation to what the oracle says could have been.
    pub(crate) goodput: f64,
    pub(crate) admitted: u64,
    /// Refused in the measured time.
    pub(crate) refused: u64,
    pub(crate) epochs: u64,
    /// Sends inside a Retry-After that had been delivered, over the whole run.
    pub(crate) early: u64,
    /// Refused while learning.
    pub(crate) refused_learning: u64,
    /// From the change of the cap to the first span that is back within the bars; `None`: never.
    pub(crate) recovered: Option<Duration>,
    /// What a weight's worth of the second stream got, in relation to the first's.
    pub(crate) fairness: Option<f64>,
}

impl Outcome {
    /// Refused, of what reached the server in the measured time.
    pub(crate) fn throttled(&self) -> f64 {
        self.refused as f64 / (self.admitted + self.refused).max(1) as f64
    }
}

/// When what happens.
#[derive(Clone, Copy, Debug)]
struct Times {
    learned: Moment,
    start: Moment,
    end: Moment,
}

impl Times {
    fn of(case: &Case, seed: u64, measured: Duration) -> Self {
        let learned = Moment::ZERO + case.learning();
        let from = learned + case.recovery().unwrap_or_default();
        let start = case.grid().map_or(from, |window| {
            let since_phase = (from - case.phase(seed)).as_nanos();
            let windows = since_phase.div_ceil(window.as_nanos() as u64);
            Moment::ZERO + case.phase(seed) + window * u32::try_from(windows).expect("some windows")
        });
        Self { learned, start, end: start + measured }
    }
}

/// What the server decided.
#[derive(Debug, Default)]
struct Books {
    /// Admitted and refused in each second.
    seconds: Vec<(u32, u32)>,
    admitted: u64,
    refused: u64,
    refused_learning: u64,
    /// Admitted of each stream in the measured time.
    streams: Vec<u64>,
}

impl Books {
    fn enter(&mut self, world: &mut World, times: &Times) {
        for arrival in world.drain_log() {
            let second = (arrival.at.as_nanos() / 1_000_000_000) as usize;
            if self.seconds.len() <= second {
                self.seconds.resize(second + 1, (0, 0));
            }
            let (admitted, refused) = &mut self.seconds[second];
            *admitted += u32::from(arrival.admitted);
            *refused += u32::from(!arrival.admitted);
            self.refused_learning += u64::from(!arrival.admitted && arrival.at < times.learned);
            if arrival.at < times.start || arrival.at >= times.end {
                continue;
            }
            self.admitted += u64::from(arrival.admitted);
            self.refused += u64::from(!arrival.admitted);
            let StreamId(stream) = arrival.stream;
            self.streams.resize(self.streams.len().max(stream as usize + 1), 0);
            self.streams[stream as usize] += u64::from(arrival.admitted);
        }
    }

    /// The first span of that many seconds, from a second on, with this much admitted and few refused.
    fn back(&self, from: usize, span: usize, admitted: f64, throttled: f64) -> Option<usize> {
        let good = |at: &usize| {
            let sum = self.seconds[*at..*at + span]
                .iter()
                .fold((0, 0), |sum, s| (sum.0 + u64::from(s.0), sum.1 + u64::from(s.1)));
            let sent = (sum.0 + sum.1).max(1) as f64;
            sum.0 as f64 >= admitted && sum.1 as f64 / sent <= throttled
        };
        (from..(self.seconds.len() + 1).saturating_sub(span)).find(good)
    }
}

/// What the state of things was when the measurement began.
struct Start {
    gateways: Vec<Layers>,
    neighbours: u64,
    epochs: u64,
}

/// Runs a case to the end of the measured time.
pub(crate) fn run(case: &Case, seed: u64, measured: Duration, client: &mut impl Client) -> Outcome {
    let times = Times::of(case, seed, measured);
    let mut world = World::new(seed, case.network(), case.server(seed));
    let mut books = Books::default();
    let mut silence = Moment::ZERO;
    let mut early = 0;
    let mut start: Option<Start> = None;
    let (mut now, mut instant, mut at_once) = (Moment::ZERO, Moment::ZERO, 0);
    let us = identity();
    loop {
        at_once = if now > instant { 0 } else { at_once + 1 };
        instant = now;
        assert!(at_once < AT_ONCE_MAX, "{case}, seed {seed}: a loop at {now:?}");
        let wake = match client.next(now) {
            Next::Send(order) => {
                early += u64::from(now < silence);
                world.send(now, order, &us);
                continue;
            }
            Next::Wait(at) => at,
        };
        let mark = if start.is_none() { times.start } else { times.end };
        let until = wake.max(now).min(mark);
        let answer = world.deliver(until);
        books.enter(&mut world, &times);
        if let Some((attempt, answer)) = answer {
            now = answer.done_at;
            silence = silence.max(silent_until(&answer));
            client.answered(now, attempt, answer);
            continue;
        }
        now = until;
        if now < mark {
            continue;
        }
        if let Some(start) = start {
            let most = oracle::most(case, &start.gateways, times.start, times.end);
            let others = world.neighbours().admitted - start.neighbours;
            let epochs = client.epochs() - start.epochs;
            let most = most - others as f64;
            return outcome(case, seed, &times, &books, Sums { most, epochs, early });
        }
        start = Some(Start {
            gateways: world.shards().to_vec(),
            neighbours: world.neighbours().admitted,
            epochs: client.epochs(),
        });
    }
}

struct Sums {
    most: f64,
    epochs: u64,
    early: u64,
}

fn outcome(case: &Case, seed: u64, times: &Times, books: &Books, sums: Sums) -> Outcome {
    let recovered = case.change_factor().and_then(|_| {
        let span = case.window().max(Duration::from_secs(60)).as_secs() as usize;
        let bars = &case.experiment.accepted;
        let admitted = bars.goodput[0] * oracle::steady(case) * span as f64;
        let from = times.learned.as_secs_f64().ceil() as usize;
        let second = books.back(from, span, admitted, bars.throttled)?;
        Some((Moment::ZERO + Duration::from_secs(second as u64)).since(times.learned))
    });
    let streams = &case.experiment.streams;
    let fairness = match (streams.as_slice(), books.streams.as_slice()) {
        ([a, b], [got_a, got_b]) => {
            Some((*got_b as f64 / b.weight) / (*got_a as f64 / a.weight).max(1e-9))
        }
        ([_, _], _) => Some(0.0),
        _ => None,
    };
    Outcome {
        seed,
        goodput: books.admitted as f64 / sums.most.max(1e-9),
        admitted: books.admitted,
        refused: books.refused,
        epochs: sums.epochs,
        early: sums.early,
        refused_learning: books.refused_learning,
        recovered,
        fairness,
    }
}

/// Until when an answer asks for silence. Counts from its headers.
fn silent_until(answer: &Answer) -> Moment {
    match (answer.verdict, answer.headers_at, answer.advice.wait()) {
        (Verdict::Throttled, Some(at), Some(wait)) => at + wait,
        _ => Moment::ZERO,
    }
}
