//! `plimsoll check`: says whether configuration is valid, and everything that is wrong with it.

use std::io::{self, Write};

use crate::cli::{CheckArgs, EXIT_OK, EXIT_USAGE};
use crate::config::{
    ConfigFile, FileSource, Problem, Problems, Settings, Sources, StreamSettings, load, load_as,
    schema_of,
};
use crate::policy::{AdaptiveSettings, Mode};
use crate::simulator::{Simulation, SimulatorSettings};

/// Checks what the arguments name: results to `out`, problems and warnings to `err`. Answers with
/// the exit code.
///
/// # Errors
/// `out` or `err` cannot be written to.
pub fn check(
    args: &CheckArgs,
    env: &[(String, String)],
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    if args.print_schema {
        let schema = if args.simulator {
            schema_of::<SimulatorSettings>()
        } else {
            schema_of::<ConfigFile>()
        };
        writeln!(out, "{schema:#}")?;
        return Ok(EXIT_OK);
    }
    let alone = args.files.iter().map(|file| vec![file.clone()]);
    let layered = Some(args.config.config_file.clone()).filter(|files| !files.is_empty());
    let mut code = EXIT_OK;
    for files in alone.chain(layered) {
        let name = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" + ");
        let files = files.into_iter().map(FileSource::Path).collect();
        let checked = if args.simulator { simulator(files) } else { daemon(files, env) };
        match checked {
            Ok(Said { summary, details, warnings }) => {
                for warning in &warnings {
                    writeln!(err, "{name}: warning: {warning}")?;
                }
                writeln!(out, "{name}: ok: {summary}")?;
                for line in &details {
                    writeln!(out, "  {line}")?;
                }
            }
            Err(problems) => {
                code = EXIT_USAGE;
                let count = counted(problems.as_slice().len(), "problem");
                writeln!(err, "{name}: {count}")?;
                for problem in problems.as_slice() {
                    writeln!(err, "  {problem}")?;
                }
            }
        }
    }
    Ok(code)
}

/// What is said of a file that is valid.
struct Said {
    /// What it comes to.
    summary: String,
    /// Each part of it.
    details: Vec<String>,
    warnings: Vec<String>,
}

fn daemon(files: Vec<FileSource>, env: &[(String, String)]) -> Result<Said, Problems> {
    let settings = load(&Sources { files, env: env.to_vec(), overrides: Vec::new() })?;
    let (summary, details) = (summary(&settings), details(&settings));
    Ok(Said { summary, details, warnings: settings.warnings })
}

fn simulator(files: Vec<FileSource>) -> Result<Said, Problems> {
    let simulation = load_simulation(&Sources { files, ..Sources::default() })?;
    let summary = format!("a simulation on {}", simulation.listen_address());
    Ok(Said { summary, details: Vec::new(), warnings: Vec::new() })
}

/// Reads and checks the configuration of `plimsoll simulate`.
///
/// # Errors
/// Every problem there is.
pub fn load_simulation(sources: &Sources) -> Result<Simulation, Problems> {
    let settings: SimulatorSettings = load_as(sources)?;
    settings.validate().map_err(|problems| {
        Problems::new(problems.into_iter().map(|p| Problem::new(p.path, p.message)).collect())
    })
}

fn summary(settings: &Settings) -> String {
    let total: f64 = settings.streams.iter().map(|s| s.schedule.rate.per_second()).sum();
    format!(
        "{}, {}, {}; at most {}/s in all",
        counted(settings.streams.len(), "stream"),
        counted(settings.targets.len(), "target"),
        counted(settings.credentials.len(), "credential"),
        rounded(total),
    )
}

/// What decides how fast each stream sends, and with whom it shares that.
fn details(settings: &Settings) -> Vec<String> {
    let mut lines: Vec<String> = settings.streams.iter().map(|s| stream(s, settings)).collect();
    if settings.streams.iter().any(|stream| stream.mode == Mode::Adaptive) {
        let AdaptiveSettings { margin, exploration, latency_max } = settings.adaptive;
        let looks = exploration.map_or("never looks above it".to_owned(), |e| {
            format!(
                "looks above it every {} at most, for {} % of the time and {} throttles an hour at most",
                humantime::format_duration(e.interval),
                rounded(e.share * 100.0),
                e.throttled_per_hour,
            )
        });
        let slows = latency_max.map_or(String::new(), |max| {
            format!("; slower while answers take more than {}", humantime::format_duration(max))
        });
        let margin = rounded(margin * 100.0);
        lines.push(format!("adaptive: {margin} % below the limit; {looks}{slows}"));
    }
    lines
}

fn stream(stream: &StreamSettings, settings: &Settings) -> String {
    let rate = rounded(stream.schedule.rate.per_second());
    let pace = match stream.mode {
        Mode::Fixed => format!("fixed, {rate}/s"),
        Mode::Adaptive => {
            format!("adaptive, ceiling {rate}/s, weight {}", rounded(stream.weight))
        }
        Mode::Probe => format!("probe, at most {rate}/s"),
    };
    let target = settings.targets.iter().find(|target| target.endpoint.name == stream.target);
    let shares = target
        .map_or(String::new(), |target| format!("; scope {} at {}", target.scope, target.domain));
    format!("stream {}: {pace}{shares}", stream.name)
}

fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
