//! Limits that move, in virtual time: how soon that is told, how often it is told although they did not, and
//! what watching for it costs. The figures of docs/INFERENCE.md.
//!
//! `cargo bench --bench change -- delay|alarms|months|lives|days|cost` prints one of the tables, and all without an argument.

mod alarms;
mod lives;
mod world;

use std::time::{Duration, Instant};

use plimsoll::infer::{Decision, Learner, Seen};
use plimsoll::model::{AttemptId, Kind, LimitDirection, Moment, Rate};
use plimsoll::netem::{AdviceStyle, HintStyle};
use plimsoll::policy::Mode;

use world::{Trial, run};

const SECOND: Duration = Duration::from_secs(1);
/// When limits fall: learning is over.
const FALLS_AT: Duration = Duration::from_secs(900);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    if wanted("delay") {
        delay();
    }
    if wanted("alarms") {
        alarms::run_lengths();
    }
    if wanted("months") {
        alarms::months();
    }
    if wanted("lives") {
        lives::lives();
    }
    if wanted("days") {
        days();
    }
    if wanted("cost") {
        cost();
    }
}

fn bucket(rate: f64, burst: u64) -> Kind {
    Kind::TokenBucket { rate: Rate::from_per_second(rate).expect("a rate"), burst }
}

/// Limiters, and the even rate that each admits.
fn limiters(by: f64) -> Vec<(&'static str, Kind, f64)> {
    let phase = Duration::from_millis(370);
    let less = |n: f64| (n * by).round() as u64;
    let minute = SECOND * 60;
    vec![
        (
            "fixed window 100/s",
            Kind::FixedWindow { limit: less(100.0), window: SECOND, phase },
            100.0,
        ),
        (
            "fixed window 300/min",
            Kind::FixedWindow { limit: less(300.0), window: minute, phase },
            5.0,
        ),
        (
            "on-demand window 100/s",
            Kind::OnDemandWindow { limit: less(100.0), window: SECOND },
            100.0,
        ),
        ("sliding log 100/s", Kind::SlidingLog { limit: less(100.0), window: SECOND }, 100.0),
        ("sliding log 10/s", Kind::SlidingLog { limit: less(10.0), window: SECOND }, 10.0),
        (
            "sliding counter 100/s",
            Kind::SlidingCounter { limit: less(100.0), window: SECOND, phase },
            99.0,
        ),
        ("bucket 100/s of 100", bucket(100.0 * by, less(100.0)), 100.0),
        ("bucket 100/s, burst stays 100", bucket(100.0 * by, 100), 100.0),
    ]
}

/// A drop by 40 % after a quarter of an hour, told so soon after the first request that it refused.
fn delay() {
    println!(
        "| limit, down to 60 % | sent | Retry-After | hints | told within | refusals | from | to |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let ways = [
        ("adaptive", Mode::Adaptive, 2.0),
        ("fixed, 97 %", Mode::Fixed, 0.97),
        ("fixed, 80 %", Mode::Fixed, 0.8),
    ];
    let thirty = AdviceStyle::Fixed(SECOND * 30);
    let servers = [
        ("exact", AdviceStyle::Exact, HintStyle::None),
        ("30 s", thirty, HintStyle::None),
        ("exact", AdviceStyle::Exact, HintStyle::Honest),
    ];
    let (mut kept, mut all) = (0, 0);
    for ((name, kind, rate), (_, fallen, _)) in limiters(1.0).into_iter().zip(limiters(0.6)) {
        for (way, mode, share) in ways {
            for (advised, advice, hints) in servers {
                let (change, rate) = (Some((FALLS_AT, fallen)), rate * share);
                let trial = Trial { hints, advice, change, ..Trial::of(kind, mode, rate) };
                let slowest = slowest(&trial);
                let bar = (kind.window() * 2).max(SECOND * 30);
                let keeps = slowest.within.is_some_and(|within| within <= bar);
                all += 1;
                kept += u32::from(keeps);
                let said = slowest.within.map(|within| format!("{:.1} s", within.as_secs_f64()));
                let said = said.unwrap_or_else(|| "not in 400 s".to_owned());
                let mark = if keeps { "" } else { " !" };
                let hinted = if hints == HintStyle::None { "none" } else { "honest" };
                let (from, to) = slowest.line;
                println!(
                    "| {name} | {way} | {advised} | {hinted} | {said}{mark} | {} | {from:.1} | {to:.1} |",
                    slowest.refused
                );
            }
        }
    }
    println!("\n{kept} of {all} within 30 s or two windows of ungated time\n");
}

/// The slowest of some seeds.
struct Slowest {
    /// `None`: one was not told, or told before.
    within: Option<Duration>,
    refused: u32,
    line: (f64, f64),
}

fn slowest(trial: &Trial) -> Slowest {
    let mut slowest = Slowest { within: Some(Duration::ZERO), refused: 0, line: (0.0, 0.0) };
    for seed in 1..=3 {
        let outcome = run(&Trial { seed, ..*trial }, FALLS_AT + SECOND * 400);
        let told = outcome.told.first().filter(|(change, _)| {
            change.direction == LimitDirection::Fell && change.at >= Moment::ZERO + FALLS_AT
        });
        // Hints may tell before anybody is refused.
        let within = told.map(|(_, within)| within.unwrap_or_default());
        slowest.within = slowest.within.zip(within).map(|(a, b)| a.max(b));
        slowest.refused = slowest.refused.max(outcome.refused);
        slowest.line = told.map_or(slowest.line, |(c, _)| (c.from.value, c.to.value));
    }
    slowest
}

/// Days of an engine whose limit stays: no change is to be told.
fn days() {
    println!("| limit that stays, one day, 0.1 % of 5xx | sent | attempts | told |");
    println!("|---|---|---|---|");
    let day = SECOND * 86_400;
    for (name, kind, rate) in limiters(1.0) {
        for (way, mode, share) in
            [("adaptive", Mode::Adaptive, 2.0), ("fixed, 110 %", Mode::Fixed, 1.1)]
        {
            let exploration = mode == Mode::Adaptive;
            let trial = Trial { exploration, ..Trial::of(kind, mode, rate * share) };
            let outcome = run(&trial, day);
            println!("| {name} | {way} | {} | {} |", outcome.sent, outcome.told.len());
            for (change, _) in &outcome.told {
                println!("    {change:?}");
            }
        }
    }
    println!();
}

/// What an hour of traffic at 100/s costs.
#[expect(clippy::disallowed_methods, reason = "what it costs is measured")]
fn cost() {
    println!("| an hour at 100/s | fits | in fits | of a core | copying the record for one |");
    println!("|---|---|---|---|---|");
    let kind = Kind::FixedWindow { limit: 100, window: SECOND, phase: SECOND / 3 };
    for (name, mode, rate, hints) in [
        ("adaptive, held, exploring", Mode::Adaptive, 200.0, HintStyle::None),
        ("adaptive, honest hints", Mode::Adaptive, 200.0, HintStyle::Honest),
        ("fixed at 97 %", Mode::Fixed, 97.0, HintStyle::None),
        ("fixed at 110 %: a refusal every second", Mode::Fixed, 110.0, HintStyle::None),
        ("fixed at 110 %, honest hints", Mode::Fixed, 110.0, HintStyle::Honest),
    ] {
        let trial = Trial { hints, exploration: true, ..Trial::of(kind, mode, rate) };
        let outcome = run(&trial, SECOND * 3_600);
        let seconds = outcome.fitting.as_secs_f64();
        let copy = outcome.copying.as_micros() / u128::from(outcome.fits.max(1));
        let share = seconds / 36.0;
        println!("| {name} | {} | {seconds:.2} s | {share:.3} % | {copy} µs |", outcome.fits);
    }
    let before = Instant::now();
    let mut learner = Learner::new(None);
    let attempts = 360_000_u64;
    for i in 0..attempts {
        let now = Moment::from_nanos(i * 10_000_000);
        learner.sent(AttemptId(i), now);
        let seen = Seen { decision: Decision::Admitted, at: now + SECOND / 50, hints: &[] };
        learner.answered(AttemptId(i), seen);
    }
    let each = before.elapsed() / u32::try_from(attempts).expect("few");
    println!("\nRecord and detector: {} ns an attempt", each.as_nanos());
}
