//! Readers against small samples, made by hand in the manner of the programs that write them.

mod access;
mod arbitrary;
mod jtl;
mod own;

use super::{Gathered, Gatherer, Options, Problem};
use crate::infer::Decision;

fn read_with(options: Options, files: &[&str]) -> Result<Gathered, Vec<Problem>> {
    let mut gatherer = Gatherer::new(options);
    for (i, text) in files.iter().enumerate() {
        gatherer.read(&format!("f{i}"), text.as_bytes());
    }
    gatherer.finish()
}

#[track_caller]
fn read(text: &str) -> Gathered {
    read_with(Options::default(), &[text]).unwrap_or_else(|e| panic!("{e:?}"))
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Admitted, refused, unknown.
fn counts(gathered: &Gathered) -> [usize; 3] {
    [Decision::Admitted, Decision::Refused, Decision::Unknown]
        .map(|d| gathered.observations.attempts.iter().filter(|a| a.decision == d).count())
}

fn party(options: &[&str]) -> Options {
    let parties = options.iter().map(|text| text.parse().expect("a rule")).collect();
    Options { parties, ..Options::default() }
}

fn only(options: &[&str]) -> Options {
    let only = options.iter().map(|text| text.parse().expect("a condition")).collect();
    Options { only, ..Options::default() }
}
