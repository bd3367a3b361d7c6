//! The exam of the estimator: limiters that chance has made, behind networks that chance has made, each measured by a
//! probe in virtual time; how often kind, rate, burst and scope come out right, and what that cost.
//!
//! `cargo bench --bench exam -- --help` says what it can be asked for.

mod case;
mod mark;
mod sit;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;

use case::Case;
use mark::Marks;

/// What can be asked for.
#[derive(Debug, Parser)]
#[command(name = "exam", about = "Limiters that chance has made, each measured by a probe")]
struct Arguments {
    /// How many.
    #[arg(long, default_value_t = 300)]
    cases: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Of this kind alone.
    #[arg(long, default_value = "")]
    kind: String,
    /// Each inside another limit, of the tenant.
    #[arg(long)]
    nested: bool,
    /// Every case, and every experiment of it.
    #[arg(long)]
    watch: bool,
    /// Every case that came out wrong, or whose intervals miss the truth, or whose scope is not told.
    #[arg(long)]
    wrong: bool,
    /// Given by cargo to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let next = AtomicUsize::new(0);
    let marks = Mutex::new(Marks::default());
    let cases: Vec<Case> = (arguments.seed..)
        .map(if arguments.nested { Case::nested } else { Case::drawn })
        .filter(|case| case.kind_name().contains(&arguments.kind))
        .take(arguments.cases as usize)
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if arguments.watch {
                        println!("{case}");
                    }
                    let sat = sit::sit(case, arguments.watch);
                    let mark = mark::mark(case, &sat);
                    if arguments.watch || (arguments.wrong && !is_faultless(&mark)) {
                        println!("{}", mark::line(case, &sat, &mark));
                    }
                    if let Ok(mut marks) = marks.lock() {
                        marks.enter(case, &sat, mark);
                    }
                }
            });
        }
    });
    let marks = marks.into_inner().unwrap_or_default();
    print!("{marks}");
    if all_bars_kept(&marks) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether everything is said and right, and what is said of the rate and the burst holds the truth.
fn is_faultless(mark: &mark::Mark) -> bool {
    let covered = mark.rate_covered == Some(true) && mark.burst_covered == Some(true);
    let said_right = mark.scope == Some(true) && mark.refused_count != Some(false);
    mark.is_right() && covered && said_right && mark.behind.told_right
}

/// Those of what comes out right; costs are printed beside what is allowed.
fn all_bars_kept(marks: &Marks) -> bool {
    marks.share(|m| m.kind == Some(true)) >= 0.95
        && marks.share(|m| m.kind == Some(false)) <= 0.01
        && marks.share(|m| m.rate_right) >= 0.95
        && marks.share(|m| m.burst_right) >= 0.95
        && marks.covered(|m| m.rate_covered) >= 0.93
        && marks.covered(|m| m.burst_covered) >= 0.93
}
