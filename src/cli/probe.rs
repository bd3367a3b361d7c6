//! `plimsoll probe`: its flags.

use std::path::PathBuf;

use clap::Args;

use super::{ConfigArgs, LogArgs, positive_duration, set};
use crate::config::Sources;
use crate::model::{HumanDuration, Rate};

/// `plimsoll probe`.
#[derive(Args, Clone, Debug, Default)]
pub struct ProbeArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub config: ConfigArgs,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub log: LogArgs,
    /// The stream whose limit is measured; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// A stream that tells who shares the limit: it should differ from the first in one factor, such as its
    /// token; may be repeated [default: every other stream of the same target]
    #[arg(long = "with", value_name = "NAME", conflicts_with = "alone")]
    pub with: Vec<String>,
    /// Measure with the one stream alone: who shares the limit is not asked
    #[arg(long)]
    pub alone: bool,
    /// Requests that it may send in all
    #[arg(long, value_name = "N", default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_requests: u64,
    /// Refusals that it may provoke in all
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_throttles: u64,
    /// Time that it may take in all: 90s, 10m
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = positive_duration)]
    pub max_time: Option<HumanDuration>,
    /// The highest rate that it may send at [default: the rate of the stream]
    #[arg(long, value_name = "RATE")]
    pub max_rate: Option<Rate>,
    /// Let a single request of another credential go out while a Retry-After holds, to see whether it is
    /// refused as well
    #[arg(long)]
    pub peek: bool,
    /// Do not ask whether to begin; without a terminal it never asks
    #[arg(long, short)]
    pub yes: bool,
    /// Say what would be sent where, and what it may cost; send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write the report to this file, as a page that needs nothing but itself
    #[arg(long = "report.html", value_name = "FILE")]
    pub report_html: Option<PathBuf>,
    /// Write the report to this file, as JSON
    #[arg(long = "report.json", value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// What the vendor's declared-limits API answered, as JSON: shown beside what is measured
    #[arg(long, value_name = "FILE")]
    pub declared: Option<PathBuf>,
    /// Write every attempt to this file, as the attempt log has them: `plimsoll infer` reads it again
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// An earlier report in JSON: say what has changed since, and exit with 99 if something has
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Print the JSON Schema of the report; send nothing
    #[arg(long)]
    pub print_schema: bool,
}

impl ProbeArgs {
    /// The layers of configuration, for [`crate::config::load`]. Unless told otherwise only errors are logged:
    /// what happens is told by the progress and the report.
    #[must_use]
    pub fn sources(&self, env: Vec<(String, String)>) -> Sources {
        let mut overrides = self.log.overrides();
        if self.log.log_level.is_none() {
            overrides.push(set("--log.level", "log.level", "error"));
        }
        self.config.sources(env, overrides)
    }
}
