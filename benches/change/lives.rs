//! False alarms of the whole: learner, fits, detector and policy, in many short lives. What is wrong with an estimate is
//! wrong early, so lives are short: most of what is told here comes of an estimate, not of chance.

use std::time::Duration;

use plimsoll::infer::FALSE_ALARM_EVERY;
use plimsoll::model::{Kind, LimitDirection, Rate};
use plimsoll::netem::{AdviceStyle, HintStyle};
use plimsoll::policy::Mode;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::world::{Outcome, Trial, run};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// One life: so long, with restarts in between.
const LIFE: Duration = Duration::from_secs(6 * 3_600);
const RESTARTS: [(Duration, Duration); 2] = [
    (Duration::from_secs(6_000), Duration::from_secs(20)),
    (Duration::from_secs(9_000), Duration::from_secs(1_800)),
];
/// Threads that share them.
const THREADS: u64 = 2;

/// How it is sent, and beside whom.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// As many as its fits leave time for.
    lives: u64,
    mode: Mode,
    /// Of what the limit admits.
    share: f64,
    exploration: bool,
    hints: HintStyle,
    /// What somebody else takes of it.
    beside: f64,
}

const ADAPTIVE: Way = Way {
    name: "adaptive",
    lives: 60,
    mode: Mode::Adaptive,
    share: 2.0,
    exploration: false,
    hints: HintStyle::None,
    beside: 0.0,
};
const WAYS: [Way; 6] = [
    ADAPTIVE,
    Way { name: "adaptive, exploring", exploration: true, ..ADAPTIVE },
    Way { name: "adaptive, honest hints", lives: 20, hints: HintStyle::Honest, ..ADAPTIVE },
    Way { name: "adaptive, a neighbour takes 3 %", beside: 0.03, ..ADAPTIVE },
    Way { name: "fixed, 97 %", mode: Mode::Fixed, share: 0.97, ..ADAPTIVE },
    Way { name: "fixed, 110 %", lives: 10, mode: Mode::Fixed, share: 1.1, ..ADAPTIVE },
];

/// A limiter of any kind, and what it admits of even traffic, per second.
fn limiter(rng: &mut SmallRng) -> (Kind, f64) {
    let window = *[1.0, 1.0, 5.0, 10.0, 60.0].choose(rng).expect("some");
    let limit = (window * rng.random_range(3.0..15.0_f64)).round();
    let (rate, span) = (limit / window, Duration::from_secs_f64(window));
    let phase = span.mul_f64(rng.random());
    let limit = limit as u64;
    let refill = Rate::from_per_second(rate).expect("a rate");
    let kind = match rng.random_range(0..6) {
        0 => Kind::FixedWindow { limit, window: span, phase },
        1 => Kind::OnDemandWindow { limit, window: span },
        2 => Kind::SlidingLog { limit, window: span },
        3 => Kind::SlidingCounter { limit, window: span, phase },
        4 => Kind::TokenBucket { rate: refill, burst: limit },
        _ => Kind::Queue { rate: refill, depth: limit },
    };
    (kind, rate)
}

fn life(way: &Way, seed: u64) -> (f64, Outcome) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let (kind, rate) = limiter(&mut rng);
    let advice = [AdviceStyle::WholeSeconds, AdviceStyle::Exact, AdviceStyle::Fixed(SECOND * 15)];
    let trial = Trial {
        hints: way.hints,
        advice: *advice.choose(&mut rng).expect("some"),
        exploration: way.exploration,
        beside: rate * way.beside,
        restarts: RESTARTS.choose(&mut rng).copied().filter(|_| rng.random_bool(0.7)),
        seed,
        ..Trial::of(kind, way.mode, rate * way.share)
    };
    let outcome = run(&trial, LIFE);
    for (change, _) in &outcome.told {
        eprintln!("{}, life {seed}: {kind:?} {:?}: {change:?}", way.name, trial.restarts);
    }
    // Time of sending at the limit.
    (outcome.sent as f64 / rate, outcome)
}

/// What is stated against what comes, for each way.
pub(crate) fn lives() {
    println!(
        "| sent | lives of {} h | days at the limit | stated, at most on average | fell | rose | 95 % interval of the mean |",
        LIFE.as_secs() / HOUR.as_secs()
    );
    println!("|---|---|---|---|---|---|---|");
    let (mut all_told, mut all_stated) = (0.0, 0.0);
    for way in WAYS {
        let of = |thread: u64| {
            let seeds = (1..=way.lives).filter(move |seed| seed % THREADS == thread);
            move || seeds.map(|seed| life(&way, seed)).collect::<Vec<_>>()
        };
        let outcomes: Vec<(f64, Outcome)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(of(t))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread")).collect()
        });
        let seconds: f64 = outcomes.iter().map(|(seconds, _)| seconds).sum();
        let told = |direction| {
            let told = outcomes.iter().flat_map(|(_, outcome)| &outcome.told);
            told.filter(|(change, _)| change.direction == direction).count() as f64
        };
        let (fell, rose) = (told(LimitDirection::Fell), told(LimitDirection::Rose));
        let stated = seconds / FALSE_ALARM_EVERY.as_secs_f64();
        let (low, high) = poisson(fell + rose);
        println!(
            "| {} | {} | {:.1} | {stated:.2} | {fell} | {rose} | {low:.2}–{high:.2} |",
            way.name,
            way.lives,
            seconds / 86_400.0,
        );
        (all_told, all_stated) = (all_told + fell + rose, all_stated + stated);
    }
    let (low, high) = poisson(all_told);
    println!("\n{all_told} told in all ({low:.2}–{high:.2}), at most {all_stated:.2} stated\n");
}

/// Where the mean of a Poisson variable lies of which so many came (Wilson and Hilferty's approximation of the exact
/// 95 % interval).
fn poisson(count: f64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let end = |k: f64, z: f64| k * (1.0 - 1.0 / (9.0 * k) + z / (3.0 * k.sqrt())).powi(3);
    (if count < 1.0 { 0.0 } else { end(count, -Z) }, end(count + 1.0, Z))
}
