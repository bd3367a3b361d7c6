//! `plimsoll run`: its flags.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{ConfigArgs, LogArgs, WebArgs, positive_duration, set};
use crate::config::Sources;
use crate::model::HumanDuration;

/// `plimsoll run`.
#[derive(Args, Clone, Debug, Default)]
#[command(group(ArgGroup::new("end").args(["run_for", "count"]).multiple(true)))]
pub struct RunArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub config: ConfigArgs,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub web: WebArgs,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub log: LogArgs,
    /// Stop sending after this long, drain and exit: 90s, 10m, 24h
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub run_for: Option<HumanDuration>,
    /// Stop sending after this many requests over all streams, resends included, drain and exit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What the figures of a run with --for or --count must keep, instead of the configuration's
    /// run.thresholds; may be repeated: 'throttled_ratio<0.002', 'response_p99<500ms', 'goodput>95/s'
    #[arg(long = "threshold", value_name = "EXPRESSION", requires = "end")]
    pub thresholds: Vec<String>,
    /// Write the summary of a run with --for or --count to this file, as JSON
    #[arg(long = "summary.json", value_name = "FILE", requires = "end")]
    pub summary_json: Option<PathBuf>,
    /// Write its thresholds to this file, as JUnit test cases
    #[arg(long = "summary.junit", value_name = "FILE", requires = "end")]
    pub summary_junit: Option<PathBuf>,
    /// After --for or --count, keep serving metrics until a signal comes
    #[arg(long)]
    pub linger: bool,
}

impl RunArgs {
    /// The layers of configuration, for [`crate::config::load`].
    #[must_use]
    pub fn sources(&self, env: Vec<(String, String)>) -> Sources {
        let mut overrides = self.log.overrides();
        let listen = self.web.web_listen_address.as_ref();
        overrides.extend(listen.map(|a| set("--web.listen-address", "web.listen_address", a)));
        let file = self.web.web_config_file.as_ref().map(|f| f.display());
        overrides.extend(file.map(|f| set("--web.config.file", "web.config_file", f)));
        if self.web.web_enable_lifecycle {
            overrides.push(set("--web.enable-lifecycle", "web.enable_lifecycle", true));
        }
        if !self.thresholds.is_empty() {
            overrides.push(set("--threshold", "run.thresholds", self.thresholds.join(",")));
        }
        self.config.sources(env, overrides)
    }
}
