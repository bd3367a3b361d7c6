//! The command line: commands, flags and the help that a person learns from.
//!
//! Definition and parsing only. It must not know what a command does; `main` dispatches.

mod exit;
mod infer;
mod probe;
mod report;
mod run;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use self::exit::EXIT_CODES;
pub use self::exit::{EXIT_FAILURE, EXIT_OK, EXIT_STOPPED, EXIT_THRESHOLDS, EXIT_USAGE};

pub use infer::{InferArgs, InferFormat, InputFormat};
pub use probe::ProbeArgs;
pub use report::ReportArgs;
pub use run::RunArgs;

use crate::config::{FileSource, Override, Sources};
use crate::model::{HumanDuration, Rate};

const ENVIRONMENT: &str = "\
Environment:
  PLIMSOLL__SECTION__KEY  sets a configuration key over the files and under the flags, such as
                          PLIMSOLL__STREAMS__MAIN__RATE=80/s or PLIMSOLL__WEB__LISTEN_ADDRESS=:9469
  OTEL_*                  OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT
";

/// Sends messaging traffic at a steady rate, meets rate limits politely, and tells the whole story.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    long_about = "Plimsoll sends messaging traffic at a steady rate, meets the rate limits of the \
                  API politely, and tells the whole story in metrics and traces.\n\n\
                  Start with `plimsoll demo`: it needs no set-up and sends nothing outside of this \
                  machine. Then write a configuration, hold it against `plimsoll check`, and \
                  `plimsoll run` it.",
    after_long_help = EXIT_CODES,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: send, back off, measure, export
    #[command(
        long_about = "Runs the daemon: sends the configured streams, backs off when the API \
                      refuses, and exports metrics and traces. Without --for and --count it runs \
                      until SIGTERM or SIGINT, then drains: nothing new is sent, requests in flight \
                      may finish, telemetry is flushed. A second signal ends it at once. SIGHUP \
                      reads the configuration again.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll run --config.file plimsoll.toml\n  \
             plimsoll run --config.file base.toml --config.file production.yaml\n  \
             plimsoll run --config.file plimsoll.toml --count 1000 --linger\n  \
             plimsoll run --config.file plimsoll.toml --for 5m --threshold 'throttled_ratio<0.002'\n\n\
             {ENVIRONMENT}\n{EXIT_CODES}"
        )
    )]
    Run(RunArgs),
    /// Find out by experiment what the limit is, and whose: rate, burst, kind, lockout, scope
    #[command(
        long_about = "Measures the rate limit that a stream meets, by a bounded experiment of its own \
                      design: rate, burst, kind and window, what a refusal brings, and who shares the \
                      limit, each with its interval and its evidence, or why it is unknown and what \
                      would tell. It says what it will send and what that may cost before it begins; \
                      a person at a terminal is asked. It waits for as long as a refusal asks for. \
                      SIGINT and SIGTERM end it with a report of what was found until then; a second \
                      signal ends it at once.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll probe --config.file plimsoll.toml --stream main --dry-run\n  \
             plimsoll probe --config.file plimsoll.toml --stream main --max-rate 250/s \\\n      \
             --report.html limit.html --report.json limit.json\n  \
             plimsoll probe --config.file plimsoll.toml --stream main --with other-client --yes\n  \
             plimsoll probe --config.file plimsoll.toml --stream main --baseline limit.json\n\n\
             {ENVIRONMENT}\n{EXIT_CODES}"
        )
    )]
    Probe(ProbeArgs),
    /// Simulate a messaging API with rate limits and faults, to test against
    #[command(
        long_about = "Serves a simulated messaging API: the operations of Genesys Cloud with OAuth, \
                      rate limiters of several kinds, latency and faults. Everything random follows \
                      from the seed. It listens on loopback unless told otherwise.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll simulate\n  \
             plimsoll simulate --config.file simulator.toml --listen-address 127.0.0.1:8081\n\n\
             {EXIT_CODES}"
        )
    )]
    Simulate(SimulateArgs),
    /// Watch it work: daemon and simulated API in one process, on loopback
    #[command(
        long_about = "Runs the daemon against a simulated API in the same process, on free loopback \
                      ports: no set-up, nothing leaves this machine. It says where to look, and ends \
                      with a summary on Ctrl-C or after --for.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll demo\n  \
             plimsoll demo --for 60s --rate 200/s --limit 100/s\n\n\
             {EXIT_CODES}"
        )
    )]
    Demo(DemoArgs),
    /// Check configuration files; report every problem; send nothing
    #[command(
        long_about = "Checks configuration and reports every problem with its path, what was found, \
                      what is allowed and where it came from. Sends nothing and reads no secret. \
                      FILES are checked each on its own; those of --config.file together, in layers, \
                      as `plimsoll run` reads them.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll check plimsoll.toml\n  \
             plimsoll check --config.file base.toml --config.file production.yaml\n  \
             plimsoll check --simulator simulator.toml\n  \
             plimsoll check --print-schema > plimsoll.schema.json\n\n\
             {EXIT_CODES}"
        )
    )]
    Check(CheckArgs),
    /// Find out what the limit is from a record that exists already
    #[command(
        long_about = "Reads records of requests that have been sent (Plimsoll's attempt log, JMeter \
                      result files in CSV or XML, access logs) and says what the limit is: its kind, \
                      rate, burst, window and lockout, and who shares it, each with its evidence; or \
                      why the record does not tell, and which experiment would. Sends nothing.\n\n\
                      A thread of JMeter is no user: all may log in as the same one. Where a record \
                      does say who sent a request, --party tells which field that is.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll infer results.jtl\n  \
             plimsoll infer results.jtl --only label='Send message' --party user=threadGroup\n  \
             plimsoll infer attempts.ndjson attempts.ndjson.1 --format json\n  \
             plimsoll infer access.log --log-format '$msec $request_time $status $remote_addr' \
             --refused-status 429,503\n  \
             zcat access.log.*.gz | plimsoll infer - --log-format combined\n\n\
             {EXIT_CODES}"
        )
    )]
    Infer(InferArgs),
    /// Collect what a running daemon shows of itself into one file, to attach to a ticket
    #[command(
        long_about = "Asks a running daemon for its version, configuration, metrics, status and latest \
                      events, and writes them into one compressed file. No secrets are in it; names \
                      of hosts, tenants, users and streams are.",
        after_long_help = format!(
            "Examples:\n  \
             plimsoll report\n  \
             plimsoll report https://plimsoll.example.com:9469 --http.user me \
             --http.password-file password\n\n\
             {EXIT_CODES}"
        )
    )]
    Report(ReportArgs),
    /// Print shell completions
    #[command(
        long_about = "Prints completions for a shell to standard output.",
        after_long_help = "Examples:\n  \
             plimsoll completions bash > /etc/bash_completion.d/plimsoll\n  \
             plimsoll completions zsh > ~/.zfunc/_plimsoll\n  \
             plimsoll completions fish > ~/.config/fish/completions/plimsoll.fish"
    )]
    Completions(CompletionsArgs),
}

/// Where configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// Configuration file, TOML or YAML by its ending; may be repeated, later ones win
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Vec<PathBuf>,
}

/// Plimsoll's own HTTP surface.
#[derive(Args, Clone, Debug, Default)]
pub struct WebArgs {
    /// Address to serve metrics, health and status on [default: 0.0.0.0:9469]
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub web_listen_address: Option<String>,
    /// TLS and passwords of that address: a web configuration file of Prometheus' exporter toolkit
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Answer POST /-/reload and the other requests that change something
    #[arg(long = "web.enable-lifecycle")]
    pub web_enable_lifecycle: bool,
}

/// Log lines.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// How much to log [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", value_enum)]
    pub log_level: Option<LevelArg>,
    /// How log lines look [default: pretty]
    #[arg(long = "log.format", value_name = "FORMAT", value_enum)]
    pub log_format: Option<FormatArg>,
}

/// Levels of `--log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// Only what needs a person.
    Error,
    /// Also what may soon need one.
    Warn,
    /// Also what changes: starts, reloads, gates.
    Info,
    /// Also single requests that were refused.
    Debug,
    /// Everything.
    Trace,
}

/// Formats of `--log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// `plimsoll simulate`.
#[derive(Args, Clone, Debug, Default)]
pub struct SimulateArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address to serve the simulated API on [default: 127.0.0.1:8080]
    #[arg(long = "listen-address", value_name = "ADDRESS")]
    pub listen_address: Option<String>,
    /// Seed of everything random [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// `plimsoll demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// End by itself after this long: 60s, 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub run_for: Option<HumanDuration>,
    /// Rate to send at
    #[arg(long, value_name = "RATE", default_value = "120/s")]
    pub rate: Rate,
    /// Rate that the simulated API allows
    #[arg(long, value_name = "RATE", default_value = "100/s")]
    pub limit: Rate,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Address to serve metrics, health and status on [default: a free port of 127.0.0.1]
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    pub web_listen_address: Option<String>,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub log: LogArgs,
}

/// `plimsoll check`.
#[derive(Args, Clone, Debug, Default)]
pub struct CheckArgs {
    /// Files to check, each on its own
    #[arg(value_name = "FILES", required_unless_present_any = ["config_file", "print_schema"])]
    pub files: Vec<PathBuf>,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The files are those of `plimsoll simulate`
    #[arg(long)]
    pub simulator: bool,
    /// Print the JSON Schema of the configuration, for editors
    #[arg(long, conflicts_with_all = ["files", "config_file"])]
    pub print_schema: bool,
}

/// `plimsoll completions`.
#[derive(Args, Clone, Copy, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

fn positive_duration(text: &str) -> Result<HumanDuration, String> {
    let duration: HumanDuration = text.parse().map_err(|e| format!("{e}"))?;
    if duration.0.is_zero() { Err("must be longer than zero".to_owned()) } else { Ok(duration) }
}

fn set(flag: &str, key: &str, value: impl ToString) -> Override {
    Override { key: key.to_owned(), value: value.to_string(), flag: flag.to_owned() }
}

/// The word of a closed set of values.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
}

impl ConfigArgs {
    fn sources(&self, env: Vec<(String, String)>, overrides: Vec<Override>) -> Sources {
        let files = self.config_file.iter().cloned().map(FileSource::Path).collect();
        Sources { files, env, overrides }
    }
}

impl LogArgs {
    fn overrides(&self) -> Vec<Override> {
        let level = self.log_level.as_ref().map(|l| set("--log.level", "log.level", word(l)));
        let format = self.log_format.as_ref().map(|f| set("--log.format", "log.format", word(f)));
        level.into_iter().chain(format).collect()
    }
}

impl DemoArgs {
    /// What the flags say over the demo's own configuration.
    #[must_use]
    pub fn overrides(&self) -> Vec<Override> {
        let listen = self.web_listen_address.as_ref();
        let listen = listen.map(|a| set("--web.listen-address", "web.listen_address", a));
        self.log.overrides().into_iter().chain(listen).collect()
    }
}

impl SimulateArgs {
    /// The layers of the simulator's configuration, for [`crate::config::load_as`]. The environment
    /// is the daemon's, so it is left out.
    #[must_use]
    pub fn sources(&self) -> Sources {
        let listen = self.listen_address.as_ref();
        let listen = listen.map(|a| set("--listen-address", "listen_address", a));
        let seed = self.seed.map(|s| set("--seed", "seed", s));
        self.config.sources(Vec::new(), listen.into_iter().chain(seed).collect())
    }
}

#[cfg(test)]
mod tests;
