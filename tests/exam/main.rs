//! A few questions of the exam of the estimator (`benches/exam`, docs/INFERENCE.md), held to what it is known to get right.

#[path = "../../benches/exam/case.rs"]
mod case;
#[path = "../../benches/exam/mark.rs"]
mod mark;
#[path = "../../benches/exam/sit.rs"]
mod sit;

use std::time::Duration;

use case::Case;
use mark::{Mark, Marks};
use plimsoll::limiter::LimiterSettings;
use plimsoll::model::{Kind, Rate};
use plimsoll::netem::NetworkSettings;

/// Cases that are small enough for a test, of each kind that the estimator tells.
const KINDS: [&str; 5] =
    ["fixed_window", "on_demand_window", "sliding_log", "sliding_counter", "token_bucket"];
const EACH: usize = 3;

fn small(case: &Case) -> bool {
    let (_, burst) = case.truth();
    (20.0..2_000.0).contains(&burst)
}

#[test]
fn small_limits_are_told_and_never_who_does_not_share_them() {
    let drawn = |kind: &'static str| {
        (1..).map(Case::drawn).filter(move |c| c.kind_name() == kind && small(c)).take(EACH)
    };
    let cases: Vec<Case> = KINDS.into_iter().flat_map(drawn).collect();
    let sat: Vec<(Mark, String)> = std::thread::scope(|scope| {
        let sitting: Vec<_> = cases
            .iter()
            .map(|case| {
                scope.spawn(|| {
                    let sat = sit::sit(case, false);
                    let mark = mark::mark(case, &sat);
                    let mut marks = Marks::default();
                    marks.enter(case, &sat, mark);
                    (mark, format!("{}\n{marks}", mark::line(case, &sat, &mark)))
                })
            })
            .collect();
        sitting.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    let all: String = sat.iter().map(|(_, line)| line.as_str()).collect();
    let count = |is: fn(&Mark) -> bool| sat.iter().filter(|(mark, _)| is(mark)).count();
    assert_eq!(count(|m| m.scope == Some(false)), 0, "{all}");
    assert_eq!(count(|m| m.behind.said), 0, "there is one limit, and no other around it: {all}");
    assert!(count(|m| m.kind == Some(true)) >= sat.len() * 4 / 5, "{all}");
    assert!(count(Mark::is_right) >= sat.len() * 3 / 4, "{all}");
}

/// Fixed windows of 44.39 and 10.169 s, and counters of 43 and 11 in a second under milliseconds of jitter: no grid of
/// lengths comes upon the former, and a request more or less of the latter shows where windows begin and nowhere else.
/// A fixed window of 6.549 s, one on demand of 1.241 s behind a lockout, and a log of 302 in 55.133 s: their lengths are
/// told so closely that lengths that stand for others pass them by. Queues of two at 320 and of 1,276 at 255 per second,
/// under jitter.
const CLOSE: [u64; 9] = [3_110, 3_112, 7_001, 7_055, 10_049, 10_193, 10_171, 10_008, 10_506];

#[test]
fn odd_lengths_small_counters_and_queues_are_told_exactly() {
    let all: Vec<(bool, String)> = std::thread::scope(|scope| {
        let sit = |seed: u64| {
            let case = Case::drawn(seed);
            let sat = sit::sit(&case, false);
            let mark = mark::mark(&case, &sat);
            (mark.is_right(), mark::line(&case, &sat, &mark))
        };
        let sitting: Vec<_> =
            CLOSE.into_iter().map(|seed| scope.spawn(move || sit(seed))).collect();
        sitting.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    let lines: Vec<&str> = all.iter().map(|(_, line)| line.as_str()).collect();
    assert!(all.iter().filter(|(right, _)| *right).count() >= CLOSE.len() - 1, "{lines:#?}");
}

/// A limit per token inside one of the tenant.
fn nested(seed: u64, inner: Kind, behind: Kind) -> Case {
    let mut case = Case::nested(seed);
    case.limiter = LimiterSettings::plain(inner);
    case.behind = Some(LimiterSettings::plain(behind));
    case.ceiling = case.truth().0 * 6.0;
    case.service = Duration::from_millis(5);
    case.network =
        NetworkSettings { jitter: Duration::from_millis(1), ..NetworkSettings::default() };
    case
}

#[test]
fn a_limit_around_the_first_is_told_with_who_shares_it() {
    let log = |limit, seconds| Kind::SlidingLog { limit, window: Duration::from_secs(seconds) };
    let fixed = |limit, seconds, phase| Kind::FixedWindow {
        limit,
        window: Duration::from_secs(seconds),
        phase: Duration::from_millis(phase),
    };
    let bucket = |rate, burst| Kind::TokenBucket { rate: Rate::nearest(rate), burst };
    let cases =
        [nested(1, log(100, 1), log(340, 2)), nested(3, bucket(10.0, 10), fixed(170, 10, 3_300))];
    std::thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || {
                let sat = sit::sit(case, false);
                let mark = mark::mark(case, &sat);
                let line = mark::line(case, &sat, &mark);
                let behind = mark.behind;
                assert!(mark.is_right() && mark.scope == Some(true), "{line}");
                assert!(behind.said && behind.kind != Some(false), "{line}");
                assert_eq!(behind.scope, Some(true), "{line}");
                let close = |off: Option<(f64, bool)>, most: f64| {
                    off.is_some_and(|(off, _)| off.abs() <= most)
                };
                assert!(close(behind.rate, 0.02) && close(behind.burst, 2.0), "{line}");
            });
        }
    });
}
