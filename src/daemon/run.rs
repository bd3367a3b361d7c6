//! `plimsoll run`: the life of a daemon, from its start over signals to its exit.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::summary;
use super::{Daemon, Loader, Look, Start, StartError, background_runtime, start_logs};
use crate::cli::{EXIT_FAILURE, EXIT_STOPPED, EXIT_THRESHOLDS, EXIT_USAGE, RunArgs};
use crate::config::{self, Problems};
use crate::model::Status;
use crate::telemetry::LogError;
use crate::verdict::{Figures, Verdict};

/// For the flush of spans and of log lines at the exit. With the grace period it has to fit into
/// the time that a supervisor gives: 30 s by default in Kubernetes.
const FLUSH: Duration = Duration::from_secs(3);

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration is wrong; every problem.
    #[error("configuration:\n{0}")]
    Config(#[from] Problems),
    /// The daemon could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Logging could not be set up.
    #[error(transparent)]
    Logs(#[from] LogError),
    /// The send loop, a signal handler or a runtime failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A second signal came before the drain was over.
    #[error("a second signal came: what was in flight is given up")]
    Interrupted,
    /// The run came to its end and did not keep all of its thresholds.
    #[error("{0} of {1} thresholds not kept")]
    Thresholds(usize, usize),
    /// Somebody ended a run that had an end of its own.
    #[error("stopped before its end: the summary is of what there was until then")]
    Stopped,
}

impl RunError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Start(
                StartError::Outfit(_) | StartError::Environment(_) | StartError::Web(_),
            ) => EXIT_USAGE,
            Self::Thresholds(..) => EXIT_THRESHOLDS,
            Self::Stopped => EXIT_STOPPED,
            _ => EXIT_FAILURE,
        }
    }
}

/// Runs the daemon until it is told to stop, or has sent what it was told to.
///
/// # Errors
/// See [`RunError`].
pub fn run(args: &RunArgs, env: Vec<(String, String)>) -> Result<(), RunError> {
    let sources = args.sources(env);
    // Looked at before they are read: what changes in between counts as changed.
    let files = Look::at(sources.paths());
    let loader: Loader = Arc::new(move || config::load(&sources));
    let settings = loader()?;
    let logs = start_logs(&settings.log)?;
    for warning in &settings.warnings {
        tracing::warn!(%warning, "configuration");
    }
    let grace = settings.grace_period;
    let judged = args.run_for.is_some() || args.count.is_some();
    let thresholds = settings.thresholds.clone();
    let mut verdict = None;
    // The send loop has a thread and a runtime of its own; this one serves scrapes and signals.
    let runtime = background_runtime()?;
    let result = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let loader = Some(loader);
        let (count, logs) = (args.count, Some(logs.clone()));
        let start = Start { settings, loader, files, count, judged, logs };
        let mut daemon = Daemon::start(start).await?;
        tracing::info!(address = %daemon.address(), "serving metrics, health and status");
        let life = Life { run_for: args.run_for.map(|d| d.0), grace, linger: args.linger };
        let judge = |figures, whole| {
            let verdict = verdict.insert(Verdict::new(figures, whole, &thresholds));
            summary::tell(args, verdict)
        };
        life.live(&mut daemon, &mut signals, judge).await
    });
    runtime.shutdown_background();
    if let Ok(status) = &result {
        tracing::info!(in_flight = status.in_flight, "drained, all accounted for");
    }
    logs.flush(FLUSH);
    result?;
    match verdict {
        // As with k6: that it was stopped says more than what it kept or did not keep until then.
        Some(verdict) if !verdict.is_whole() => Err(RunError::Stopped),
        Some(verdict) if verdict.broken() > 0 => {
            Err(RunError::Thresholds(verdict.broken(), thresholds.len()))
        }
        _ => Ok(()),
    }
}

/// When a daemon ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    /// Stop sending after this long.
    pub(crate) run_for: Option<Duration>,
    /// How long requests in flight may take to finish.
    pub(crate) grace: Duration,
    /// Keep the web surface up after the run has ended by itself.
    pub(crate) linger: bool,
}

/// The signals that a daemon obeys.
#[derive(Debug)]
pub(crate) struct Signals {
    stop: Stop,
    hang_up: Signal,
    pause: Signal,
    resume: Signal,
}

impl Signals {
    /// Listens from now on. Call it before the daemon starts: a signal that nobody listens for
    /// kills the process, also the SIGHUP that only asks for a reload.
    ///
    /// # Errors
    /// The system has no handler left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            stop: Stop::new()?,
            hang_up: signal(SignalKind::hangup())?,
            pause: signal(SignalKind::user_defined1())?,
            resume: signal(SignalKind::user_defined2())?,
        })
    }
}

/// The signals that end a daemon.
#[derive(Debug)]
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system has no handler left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Life {
    /// Lives to the end: returns the last snapshot. `judge` is given the figures of a run that is judged, as
    /// soon as it is over, and whether it came to its end by itself.
    pub(crate) async fn live(
        self,
        daemon: &mut Daemon,
        signals: &mut Signals,
        judge: impl FnOnce(Figures, bool) -> io::Result<()>,
    ) -> Result<Status, RunError> {
        let stopped = self.until_draining(daemon, signals).await;
        let (status, asked) = self.drain(daemon, &mut signals.stop, stopped).await?;
        let judged = daemon.figures.take().map_or(Ok(()), |figures| judge(figures, !stopped));
        if self.linger && !asked {
            tracing::info!("the run is over; metrics stay up until a signal comes");
            tokio::select! {
                () = signals.stop.asked() => {}
                _ = daemon.quit.recv() => {}
            }
        }
        daemon.close(FLUSH).await;
        judged?;
        Ok(status)
    }

    /// Waits until nothing more is to be sent. True when somebody asked for it.
    async fn until_draining(&self, daemon: &mut Daemon, signals: &mut Signals) -> bool {
        let mut draining = daemon.draining();
        let end = async {
            match self.run_for {
                Some(length) => wait(length).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = signals.stop.asked() => return true,
                _ = daemon.quit.recv() => return true,
                () = &mut end => return false,
                // Also when the loop has died, which the drain will tell.
                _ = draining.wait_for(|draining| *draining) => return false,
                _ = signals.pause.recv() => daemon.pause(true).await,
                _ = signals.resume.recv() => daemon.pause(false).await,
                _ = signals.hang_up.recv() => {
                    // Logged and counted where it happens.
                    let _ = daemon.reload().await;
                }
            }
        }
    }

    /// Lets what is in flight finish within the grace period. `asked` and the answer beside the
    /// snapshot: whether somebody asked for the end. The first signal only does that, also when it
    /// comes while a run of a given length drains by itself; the second gives up.
    async fn drain(
        &self,
        daemon: &mut Daemon,
        stop: &mut Stop,
        mut asked: bool,
    ) -> Result<(Status, bool), RunError> {
        daemon.drain().await;
        let grace = wait(self.grace);
        tokio::pin!(grace);
        let mut abandoned = false;
        loop {
            tokio::select! {
                ended = daemon.ended() => return Ok((ended?, asked)),
                () = stop.asked() => {
                    if asked {
                        return Err(RunError::Interrupted);
                    }
                    asked = true;
                }
                () = &mut grace, if !abandoned => {
                    tracing::warn!("the grace period is over: what is in flight is abandoned");
                    daemon.abandon().await;
                    abandoned = true;
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the life of a process is measured in real time")]
pub(crate) async fn wait(length: Duration) {
    tokio::time::sleep(length).await;
}
