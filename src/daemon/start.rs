//! What a start is made of: what it needs, what it brings up, and why it may fail.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rand::RngExt;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};

use super::reload::{Loader, Look};
use super::send_loop::{Command, Outfit};
use super::state_file::Left;
use super::state_keeper::Keeper;
use super::{state_file, state_format, telemetry_setup};
use crate::clock::{self, Clock};
use crate::config::{Settings, StateSettings, WebSettings};
use crate::model::{Memory, Moment, SafetyMemory};
use crate::telemetry::{LogHandle, Observer, Telemetry, TelemetryError};
use crate::web::{Security, SecurityError};

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Targets or credentials cannot be used in this environment; every problem.
    #[error("{}", .0.join("\n"))]
    Outfit(Vec<String>),
    /// The web surface's address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The attempt log cannot be opened.
    #[error("attempt_log.path: cannot open {}: {source}", path.display())]
    AttemptLog {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The state file is another process's.
    #[error("state.file: {}: {source}", path.display())]
    State {
        /// Where it is.
        path: PathBuf,
        /// Why it cannot be kept.
        source: io::Error,
    },
    /// TLS and passwords of the web surface cannot be used.
    #[error("web.config_file: {0}")]
    Web(#[from] SecurityError),
    /// Telemetry cannot be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// `OTEL_*` variables that cannot be used; every one.
    #[error("{}", .0.join("\n"))]
    Environment(Vec<String>),
    /// A thread or runtime cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// What a start needs beyond the settings.
pub struct Start {
    /// The configuration to run.
    pub settings: Settings,
    /// How to read it anew; `None`: it cannot change.
    pub loader: Option<Loader>,
    /// The configuration's files as they were before it was read.
    pub files: Look,
    /// End the run after this many requests.
    pub count: Option<u64>,
    /// Whether there is to be a verdict on the run.
    pub judged: bool,
    /// Whose lost lines are to be counted.
    pub logs: Option<LogHandle>,
}

/// The web surface's socket, its address, and who may see what is served there.
pub(super) async fn listen(
    settings: &WebSettings,
) -> Result<(TcpListener, SocketAddr, Security), StartError> {
    let security = match &settings.config_file {
        Some(file) => Security::load(file)?,
        None => Security::default(),
    };
    let requested = settings.listen_address;
    let listening = TcpListener::bind(requested).await;
    let listener = listening.map_err(|e| StartError::Listen(requested, e))?;
    let address = listener.local_addr()?;
    Ok((listener, address, security))
}

pub(super) async fn start_telemetry(
    settings: &Settings,
    logs: Option<&LogHandle>,
) -> Result<(Telemetry, Observer), StartError> {
    let objectives = settings.objectives;
    // On a thread of the background, whose standing the exporter's threads inherit.
    let settings = settings.clone();
    let starting = tokio::task::spawn_blocking(move || telemetry_setup::start(&settings));
    let (telemetry, observer) = starting.await.map_err(io::Error::other)??;
    telemetry.watch_runtime("background", tokio::runtime::Handle::current().metrics());
    if let Some(logs) = logs {
        telemetry.watch_logs(logs);
    }
    telemetry.objectives(objectives);
    telemetry.config_reloaded(clock::unix_seconds(), true);
    Ok((telemetry, observer))
}

/// Makes the state file this process's own, if there is to be one.
pub(super) fn hold_state(settings: &StateSettings) -> Result<Option<File>, StartError> {
    let Some(path) = settings.file.clone() else { return Ok(None) };
    state_file::hold(&path).map_err(|source| StartError::State { path, source })
}

/// Keeps the state file, if there is to be one.
pub(super) fn keep_state(
    settings: &StateSettings,
    telemetry: &Telemetry,
    commands: &mpsc::Sender<Command>,
    record: Arc<Notify>,
    held: Option<File>,
) -> Option<Arc<Keeper>> {
    let keeper = Keeper::new(settings, telemetry, held)?;
    tokio::spawn(Arc::clone(&keeper).keep(commands.clone(), record, settings.interval));
    Some(keeper)
}

/// What an earlier run knew, as it is at the moment beside it.
async fn recall(clock: Clock, file: PathBuf) -> io::Result<(Left, Moment)> {
    let reading = tokio::task::spawn_blocking(move || {
        let now = clock.now();
        let unix_ns = clock.wall().unix_nanos(now);
        let stamp = state_format::Stamp { unix_ns, boot_ns: clock::boot_nanos() };
        (state_file::read(&file, stamp), now)
    });
    reading.await.map_err(io::Error::other)
}

/// The runtime for scrapes, signals and telemetry. Its threads stand back (`nice` 10) when a core is
/// wanted by the send loop: a scrape that comes a millisecond later is as good, a message is not.
pub(crate) fn background_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("plimsoll-io")
        .on_thread_start(|| {
            // On Linux a thread has a priority of its own. A system that refuses loses nothing else.
            let _ = rustix::process::nice(10);
        })
        .enable_all()
        .build()
}

/// What is remembered where nobody knows how much of the caps has been used: that everything is paused. To count from
/// nothing again is an operator's decision.
fn paused_for_want_of_counts() -> Memory {
    tracing::error!(
        "what was sent under the caps on messages is not known: everything is paused until an operator resumes it"
    );
    let safety = SafetyMemory { paused: vec![None], ..SafetyMemory::default() };
    Memory { safety, ..Memory::default() }
}

/// What the loop finds in its channel when it starts: what is remembered, and what to run.
pub(super) async fn first_commands(
    commands: &mpsc::Sender<Command>,
    clock: Clock,
    file: Option<PathBuf>,
    outfit: Outfit,
) -> io::Result<()> {
    if let Some(file) = file {
        let (left, at) = recall(clock, file).await?;
        let memory = match left {
            Left::Memory(memory) => memory,
            Left::Unusable if outfit.plan.is_capped() => paused_for_want_of_counts(),
            Left::Unusable => Memory::default(),
        };
        let _ = commands.try_send(Command::Recall(memory, at));
    }
    let _ = commands.try_send(Command::Apply(Box::new(outfit)));
    Ok(())
}

/// Runs a future to its end on a current-thread runtime of its own.
pub(crate) fn on_own_thread<F, T>(
    telemetry: &Telemetry,
    make: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<T>>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    telemetry.watch_runtime("send", runtime.metrics());
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new().name("plimsoll-send".to_owned()).spawn(move || {
        let result = runtime.block_on(async { make().await });
        // What is left of abandoned requests ends here, with their connections.
        drop(runtime);
        let _ = done.send(result);
    })?;
    Ok(ended)
}

/// A fresh seed: each run draws other message ids and other jitter.
#[expect(clippy::disallowed_methods, reason = "the composition is where randomness comes from")]
pub(crate) fn seed() -> u64 {
    rand::rng().random()
}
