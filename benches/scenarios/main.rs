//! The scenario table: every experiment of `tests/scenarios`, in virtual time, against the bars; and the
//! same beside other policies.
//!
//! `cargo bench --bench scenarios -- --help` says what it can be asked for.

mod arguments;
mod comparison;
mod figures;
#[path = "../../tests/scenarios/lab/mod.rs"]
mod lab;
mod others;
mod print;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use serde_json::json;

use arguments::Arguments;
use figures::Row;
use lab::case::{Case, Cover, cases};
use lab::engine::Adaptive;
use lab::file::{self, Experiment};
use lab::pool;
use lab::run::{MEASURED, Outcome, run};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match table(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Runs and prints everything; true when every case keeps its bars.
fn table(arguments: &Arguments) -> Result<bool, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let experiments: Vec<Arc<Experiment>> =
        file::load(&directory)?.into_iter().map(Arc::new).collect();
    let wanted = |case: &Case| {
        format!("{}: {case}", case.experiment.name).contains(arguments.filter.as_str())
    };
    let chosen = |cover: Cover| -> Vec<Case> {
        experiments.iter().flat_map(|e| cases(e, cover)).filter(&wanted).collect()
    };
    if let Some(seed) = arguments.watch {
        return watch::watch(&chosen(Cover::All), seed);
    }
    let compared: Vec<Case> =
        chosen(Cover::All).into_iter().filter(|case| case.experiment.compared).collect();
    let cover = if arguments.all { Cover::All } else { Cover::Pairwise };
    let examined = if arguments.comparison { Vec::new() } else { chosen(cover) };
    let rows = examine(&examined, arguments.seeds);
    if let Some(path) = &arguments.json {
        let text: String = rows.iter().flat_map(lines).collect();
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    let compared = comparison::compare(&compared, arguments.seeds, progress);
    let groups: Vec<(&Experiment, &[Row])> = rows
        .chunk_by(|a, b| Arc::ptr_eq(&a.case.experiment, &b.case.experiment))
        .map(|rows| (&*rows[0].case.experiment, rows))
        .collect();
    if arguments.markdown {
        print::markdown(&groups, &compared);
    } else {
        for (experiment, rows) in &groups {
            print::experiment(experiment, rows, arguments.cases);
        }
        print::comparison(&compared);
    }
    let missed = rows.iter().filter(|row| !row.keeps()).count();
    eprintln!("\n{} of {} cases keep their bars", rows.len() - missed, rows.len());
    Ok(missed == 0)
}

fn examine(examined: &[Case], seeds: u64) -> Vec<Row> {
    let all: Vec<(&Case, u64)> =
        examined.iter().flat_map(|case| (1..=seeds).map(move |seed| (case, seed))).collect();
    let one = |(case, seed): &(&Case, u64)| {
        run(case, *seed, MEASURED, &mut Adaptive::new(case, *seed, |_, _| {}))
    };
    let outcomes: Vec<Outcome> = pool::map(&all, one, |n| progress(n, all.len()));
    let of_cases = outcomes.chunks(seeds as usize);
    let row = |(case, outcomes): (&Case, &[Outcome])| Row {
        case: case.clone(),
        outcomes: outcomes.to_vec(),
    };
    examined.iter().zip(of_cases).map(row).collect()
}

fn progress(done: usize, all: usize) {
    if done.is_multiple_of(100) || done == all {
        eprint!("\r{done} of {all} runs ");
    }
}

/// One line of JSON for every run.
fn lines(row: &Row) -> Vec<String> {
    let line = |(outcome, missed): (&Outcome, Vec<String>)| {
        let value = json!({
            "experiment": row.case.experiment.name,
            "case": row.case.to_string(),
            "seed": outcome.seed,
            "goodput": outcome.goodput,
            "admitted": outcome.admitted,
            "refused": outcome.refused,
            "throttled": outcome.throttled(),
            "epochs": outcome.epochs,
            "inside_retry_after": outcome.early,
            "refused_learning": outcome.refused_learning,
            "recovered_seconds": outcome.recovered.map(|t| t.as_secs_f64()),
            "fairness": outcome.fairness,
            "missed": missed,
        });
        format!("{value}\n")
    };
    row.outcomes.iter().zip(row.misses()).map(line).collect()
}
