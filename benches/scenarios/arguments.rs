//! What the command line asks for.

use std::path::PathBuf;

use clap::Parser;

/// Prints the scenario table.
#[derive(Debug, Parser)]
#[command(name = "scenarios")]
pub(crate) struct Arguments {
    /// Only cases whose line contains this.
    #[arg(long, default_value = "")]
    pub(crate) filter: String,
    /// Runs of each case.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Every combination of the axes, not only so many that every two values meet. Hours.
    #[arg(long)]
    pub(crate) all: bool,
    /// A line for every case, not only for those that miss a bar.
    #[arg(long)]
    pub(crate) cases: bool,
    /// Every run, for programs.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// The summary and the comparison as markdown, for the README.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Instead of tables: what the policy does, step by step, in the first of the cases, with this seed.
    #[arg(long, value_name = "SEED")]
    pub(crate) watch: Option<u64>,
    /// Only the comparison with other policies.
    #[arg(long)]
    pub(crate) comparison: bool,
    /// Cargo passes it to every bench.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}
