//! The scenario table, for a quick answer: of every experiment the few cases in which every two values
//! meet. `cargo bench --bench scenarios` runs all of them, with more seeds, beside other policies.
//!
//! The experiments are the `.toml` files of this directory.

mod lab;
mod laboratory;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lab::case::{Case, Cover, cases};
use lab::engine::Adaptive;
use lab::run::{MEASURED, Outcome, run};
use lab::{file, pool, verdict};

/// Of a case with more requests than this, the test measures a shorter time; the bench never does.
const REQUESTS_MAX: f64 = 300_000.0;

fn measured(case: &Case) -> Duration {
    let affordable = Duration::from_secs((REQUESTS_MAX / case.cap() / 60.0) as u64 * 60);
    // What a full bucket holds at the start counts for the oracle, so there have to be many of them.
    affordable.max(case.window() * 60).min(MEASURED)
}

/// Cases of the table that miss their bar, as printed by `cargo bench --bench scenarios`.
const KNOWN_MISSES: usize = 2;

#[test]
fn every_scenario_keeps_its_bars() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let experiments = file::load(&directory).unwrap_or_else(|e| panic!("{e}"));
    for experiment in &experiments {
        assert!(experiment.question.ends_with('?'), "{}: what is the question?", experiment.name);
    }
    let all: Vec<Case> =
        experiments.into_iter().flat_map(|e| cases(&Arc::new(e), Cover::Pairwise)).collect();
    assert!(all.iter().any(|case| case.experiment.compared), "the bench has nothing to compare");
    let one = |case: &Case| {
        let seed = 1;
        run(case, seed, measured(case), &mut Adaptive::new(case, seed, |_, _| {}))
    };
    let outcomes: Vec<Outcome> = pool::map(&all, one, |_| {});
    let (mut broken, mut dear) = (Vec::new(), BTreeMap::new());
    for (case, outcome) in all.iter().zip(&outcomes) {
        assert!(outcome.early == 0, "{case}: sent inside a Retry-After");
        let missed = verdict::misses(case, outcome);
        let line = format!("{}: {case}: {}", case.experiment.name, missed.join(", "));
        if !case.epochs_are_dear() {
            broken.extend((!missed.is_empty()).then_some(line));
            continue;
        }
        // Here an epoch is allowed to a part of the seeds: to that part of all cases, one seed each.
        let (runs, lines) =
            dear.entry(case.experiment.name.clone()).or_insert((0_usize, Vec::new()));
        *runs += 1;
        lines.extend((!missed.is_empty()).then_some(line));
    }
    let runs: usize = dear.values().map(|(runs, _)| runs).sum();
    let lines: Vec<String> = dear.into_values().flat_map(|(_, lines)| lines).collect();
    if lines.len() as f64 > 0.1 * runs as f64 {
        broken.push(format!("of {runs} runs with dear epochs, {} missed:", lines.len()));
        broken.extend(lines);
    }
    // Not yet every bar is kept: a window of minutes that somebody else shares, and a counter of minutes that counts what
    // it refuses miss theirs. This many are known; there may not be more.
    assert!(
        broken.len() <= KNOWN_MISSES,
        "{} of {} cases:\n{}",
        broken.len(),
        all.len(),
        broken.join("\n")
    );
}
