//! A few questions of the exam of the estimator (`benches/exam`, docs/INFERENCE.md), held to what it is known to get right.

#[path = "../../benches/exam/case.rs"]
mod case;
#[path = "../../benches/exam/mark.rs"]
mod mark;
#[path = "../../benches/exam/sit.rs"]
mod sit;

use case::Case;
use mark::{Mark, Marks};

/// Cases that are small enough for a test, of each kind that the estimator tells.
const KINDS: [&str; 4] = ["fixed_window", "on_demand_window", "sliding_log", "token_bucket"];
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
    assert!(count(|m| m.kind == Some(true)) >= sat.len() * 3 / 4, "{all}");
    assert!(count(Mark::is_right) >= sat.len() * 2 / 3, "{all}");
}
