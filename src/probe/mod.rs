//! `plimsoll probe`: a bounded experiment that says what the limit is, and whose.
//!
//! It sends with what the daemon sends with: the same clients, tokens, gates, breaker and caps. What it sends,
//! and when, is decided by `infer::study`; what it found is told by `findings`.

mod budget;
mod progress;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::budget::Intent;
use crate::cli::{EXIT_FAILURE, EXIT_OK, EXIT_THRESHOLDS, EXIT_USAGE, ProbeArgs};
use crate::clock::{self, Clock};
use crate::config::{self, AttemptLogSettings, Problems, Settings};
use crate::daemon::{
    Command, Ending, LoopContext, Outfitter, Probed, Probing, Scribe, SendLoop, Signs, StartError,
    Stop, Writing, background_runtime, build_info, on_own_thread, seed, start_attempt_log,
    start_logs, wait,
};
use crate::engine::Engine;
use crate::findings::{self, ExperimentPart, How, Report, Spent, Studied};
use crate::infer::study::{Named, Observations, Progress, conclude};
use crate::infer_files::declared;
use crate::model::WallOffset;
use crate::records::of_rates;
use crate::telemetry::{LogError, Telemetry, TelemetryError};

/// Lines that may wait for the disk.
const RECORD_LINES: usize = 1 << 16;
/// For the last log lines.
const FLUSH: Duration = Duration::from_secs(1);
/// Commands that may wait for the send loop.
const COMMANDS_MAX: usize = 8;

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The configuration is wrong; every problem.
    #[error("configuration:\n{0}")]
    Config(#[from] Problems),
    /// The flags do not fit the configuration, or a file; every problem.
    #[error("{}", .0.join("\n"))]
    Usage(Vec<String>),
    /// Nobody agreed to it.
    #[error("not confirmed: nothing was sent")]
    Declined,
    /// Logging could not be set up.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// Telemetry cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The file of `--record` cannot be opened.
    #[error("--record {}: {source}", path.display())]
    Record {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The send loop, a signal handler, a file or a runtime failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It could not find out anything, or not all of what it set out to.
    #[error("the probe ended early: {0}")]
    Failed(String),
    /// A second signal came before the drain was over.
    #[error("a second signal came: what was in flight is given up")]
    Interrupted,
}

impl ProbeError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) | Self::Record { .. } => EXIT_USAGE,
            _ => EXIT_FAILURE,
        }
    }
}

/// Probes, and tells what was found. Answers with the exit code.
///
/// # Errors
/// See [`ProbeError`].
pub fn run(args: &ProbeArgs, env: Vec<(String, String)>) -> Result<u8, ProbeError> {
    if args.print_schema {
        writeln!(io::stdout(), "{:#}", Report::schema())?;
        return Ok(EXIT_OK);
    }
    let settings = config::load(&args.sources(env))?;
    let Prepared { intent, baseline, declared } = prepare(args, &settings)?;
    write!(io::stderr(), "{}", intent.announcement())?;
    if args.dry_run {
        return Ok(EXIT_OK);
    }
    confirm(args)?;
    let logs = start_logs(&settings.log)?;
    let runtime = background_runtime()?;
    let probing = runtime.block_on(probe(&settings, &intent, args.record.as_deref()));
    runtime.shutdown_background();
    logs.flush(FLUSH);
    let (mut probed, wall) = probing?;
    let problem = probed.problem.take();
    let report = report(&intent, probed, wall, declared);
    let report = match &baseline {
        Some(earlier) => report.compared_with(earlier),
        None => report,
    };
    tell(args, &report)?;
    match problem {
        Some(problem) => Err(ProbeError::Failed(problem)),
        None if report.has_changed() => Ok(EXIT_THRESHOLDS),
        None => Ok(EXIT_OK),
    }
}

/// What is to be done, and what is read for it.
struct Prepared {
    intent: Intent,
    /// The earlier report.
    baseline: Option<Report>,
    /// What the vendor declares.
    declared: Vec<Named>,
}

/// Every problem at once.
fn prepare(args: &ProbeArgs, settings: &Settings) -> Result<Prepared, ProbeError> {
    let mut problems = Vec::new();
    let intent = Intent::new(args, settings).map_err(|found| problems.extend(found)).ok();
    let baseline = args.baseline.as_ref().and_then(|file| {
        let read = std::fs::read_to_string(file).map_err(|e| e.to_string());
        let report = read.and_then(|text| Report::from_json(&text));
        report.map_err(|e| problems.push(format!("--baseline {}: {e}", file.display()))).ok()
    });
    let declared = args.declared.as_ref().map_or(Ok(Vec::new()), |file| declared(file));
    let declared = declared.map_err(|e| problems.push(format!("--declared {e}"))).ok();
    for (flag, file) in [
        ("--report.html", &args.report_html),
        ("--report.json", &args.report_json),
        ("--record", &args.record),
    ] {
        let directory = file.as_deref().and_then(Path::parent);
        if let Some(directory) = directory.filter(|d| !d.as_os_str().is_empty() && !d.is_dir()) {
            problems.push(format!("{flag}: there is no directory {}", directory.display()));
        }
    }
    match (intent, declared) {
        (Some(intent), Some(declared)) if problems.is_empty() => {
            Ok(Prepared { intent, baseline, declared })
        }
        _ => Err(ProbeError::Usage(problems)),
    }
}

/// A person at a terminal is asked; a script has said what it wants.
fn confirm(args: &ProbeArgs) -> Result<(), ProbeError> {
    let terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    if args.yes || !terminal {
        return Ok(());
    }
    write!(io::stderr(), "Send? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(ProbeError::Declined),
    }
}

/// Makes the experiments.
async fn probe(
    settings: &Settings,
    intent: &Intent,
    record: Option<&Path>,
) -> Result<(Probed, WallOffset), ProbeError> {
    let mut stop = Stop::new()?;
    let clock = Clock::start();
    let wall = clock.wall();
    // The state file is the daemon's, which may be running.
    let mut outfitter = Outfitter::new(clock, settings.in_flight_max, false);
    let mut outfit = outfitter.outfit(&intent.settings).map_err(ProbeError::Usage)?;
    intent.experiment(&mut outfit.plan);
    let (telemetry, observer) = Telemetry::new(&build_info(), clock::unix_seconds())?;
    let (scribe, writing) = start_record(record, &telemetry).await?;
    let (show, shown) = watch::channel(Progress::default());
    let (commands, received) = mpsc::channel(COMMANDS_MAX);
    let _ = commands.try_send(Command::Apply(Box::new(outfit)));
    let context = LoopContext {
        clock,
        signs: Arc::new(Signs::default()),
        background: tokio::runtime::Handle::current(),
        record: Arc::new(Notify::new()),
        tally: None,
        scribe,
        probing: Some(Probing::new(intent.assignment.clone(), intent.names(), show)),
    };
    let engine = Engine::new(seed(), Some(intent.assignment.budget.requests));
    let mut ended = on_own_thread(&telemetry, move || async move {
        SendLoop::new(context, engine, observer, received)?.run().await
    })?;
    let showing = tokio::spawn(progress::show(shown, intent.assignment.budget));
    let ending = end(&mut ended, &mut stop, &commands, settings.grace_period).await;
    showing.abort();
    // The bar is taken away with the task, before anything else is written.
    let _ = showing.await;
    if let Some(writing) = writing {
        let _ = tokio::task::spawn_blocking(move || writing.finish(FLUSH)).await;
    }
    Ok((ending?.probed.unwrap_or_default(), wall))
}

/// Begins the file of `--record`: a new one, in which nothing is dropped or put aside.
async fn start_record(
    path: Option<&Path>,
    telemetry: &Telemetry,
) -> Result<(Option<Scribe>, Option<Writing>), ProbeError> {
    let Some(path) = path else { return Ok((None, None)) };
    let failed = |source| ProbeError::Record { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let settings = AttemptLogSettings {
        path: Some(path.to_owned()),
        max_bytes: u64::MAX,
        max_files: 0,
        queue_lines: RECORD_LINES,
    };
    let started = start_attempt_log(&settings, telemetry.attempt_log()).await;
    started.map_err(|error| match error {
        StartError::AttemptLog { source, .. } => failed(source),
        other => failed(io::Error::other(other)),
    })
}

/// Waits for the end. The first signal asks for it, the second gives up what is in flight.
async fn end(
    ended: &mut oneshot::Receiver<io::Result<Ending>>,
    stop: &mut Stop,
    commands: &mpsc::Sender<Command>,
    grace: Duration,
) -> Result<Ending, ProbeError> {
    let died = |_| io::Error::other("the send loop died");
    tokio::select! {
        ending = &mut *ended => return Ok(ending.map_err(died)??),
        () = stop.asked() => { let _ = commands.send(Command::Drain).await; }
    }
    tokio::select! {
        ending = &mut *ended => return Ok(ending.map_err(died)??),
        () = stop.asked() => return Err(ProbeError::Interrupted),
        () = wait(grace) => { let _ = commands.send(Command::Abandon).await; }
    }
    Ok(ended.await.map_err(died)??)
}

/// What was found.
fn report(intent: &Intent, probed: Probed, wall: WallOffset, declared: Vec<Named>) -> Report {
    let Probed { prober, ended, named, skipped, peeks, peeked, took, .. } = probed;
    let empty = Observations { parties: intent.assignment.parties.clone(), ..Default::default() };
    let mut observations = prober.as_ref().map_or(empty, |p| p.observations().clone());
    observations.attempts.sort_by(|a, b| a.sent.total_cmp(&b.sent));
    observations.named = named.into_iter().collect();
    observations.peeks = peeked;
    observations.declared = of_rates(declared, &observations.named);
    let conclusion = conclude(&observations);
    let spent = Spent {
        requests: observations.attempts.len() as u64 + peeks,
        throttles: conclusion.material.refused,
        peeks,
        seconds: took.as_secs_f64(),
        skipped: skipped.values().sum(),
    };
    let experiment = ExperimentPart {
        budget: intent.cost(),
        spent,
        how: ended.map_or(How::Interrupted, How::from),
        trials: prober.map(|p| p.trials().to_vec()).unwrap_or_default(),
    };
    Report::new(Studied {
        generator: format!("plimsoll {}", env!("CARGO_PKG_VERSION")),
        subject: intent.subject.clone(),
        names: intent.names().iter().map(ToString::to_string).collect(),
        observations: &observations,
        conclusion,
        unix_origin: Some(wall.unix_seconds(crate::model::Moment::ZERO)),
        experiment: Some(experiment),
    })
}

/// Tells it, everywhere it is wanted.
fn tell(args: &ProbeArgs, report: &Report) -> io::Result<()> {
    // A reader that has seen enough may close the pipe.
    let _ = io::stdout().write_all(findings::to_text(report).as_bytes());
    let write = |file: &PathBuf, text: &str| {
        std::fs::write(file, text).map_err(|e| io::Error::other(format!("{}: {e}", file.display())))
    };
    if let Some(file) = &args.report_json {
        write(file, &report.to_json()?)?;
    }
    if let Some(file) = &args.report_html {
        write(file, &findings::to_html(report))?;
    }
    Ok(())
}
