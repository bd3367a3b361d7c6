//! The daemon: everything composed. It starts the send loop on a thread of its own, serves the web
//! surface on another, and can be asked for a snapshot, a reload, a drain.

mod attempt_log;
mod outbound;
mod outfit;
mod probing;
mod reload;
mod run;
mod send_loop;
mod start;
mod state_file;
mod state_format;
mod state_keeper;
mod summary;
mod surface;
mod telemetry_setup;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use self::attempt_log::{Scribe, Writing, start as start_attempt_log};
pub(crate) use self::outfit::Outfitter;
pub(crate) use self::probing::{Probed, Probing};
pub use self::reload::{Loader, Look};
pub(crate) use self::run::{Life, Signals, Stop, wait};
pub use self::run::{RunError, run};
pub(crate) use self::send_loop::{Command, Ending, LoopContext, SendLoop, Signs};
pub use self::start::{Start, StartError};
pub(crate) use self::start::{background_runtime, on_own_thread, seed};
use self::start::{first_commands, hold_state, keep_state, listen, start_telemetry};
use self::state_keeper::Keeper;
pub(crate) use self::telemetry_setup::{build_info, start_logs};
use crate::clock::Clock;
use crate::config::Settings;
use crate::engine::Engine;
use crate::model::{Moment, Status, Subject};
use crate::telemetry::{LogHandle, Telemetry};
use crate::verdict::{Figures, Tally};
use crate::web::{self, Feed};

/// Commands that may wait for the send loop. It takes them at every wake-up.
const COMMANDS_MAX: usize = 64;

/// How often connections are looked at, to renew those that have come of age.
const RENEWAL: Duration = Duration::from_millis(500);

/// A daemon that runs.
pub struct Daemon {
    shared: Arc<Shared>,
    web: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    address: SocketAddr,
    ended: oneshot::Receiver<io::Result<Ending>>,
    /// The figures of a run that is judged, once the send loop has ended.
    figures: Option<Figures>,
    keeper: Option<Arc<Keeper>>,
    /// The state file being written for the last time.
    kept: Option<JoinHandle<()>>,
    writing: Option<Writing>,
    quit: mpsc::Receiver<()>,
}

/// Looks at a daemon, and changes nothing.
pub struct Watcher(Arc<Shared>);

impl Watcher {
    /// A snapshot; once the send loop has ended, its last.
    pub async fn status(&self) -> Option<Status> {
        self.0.status().await
    }
}

/// What the daemon's parts share.
struct Shared {
    clock: Clock,
    commands: mpsc::Sender<Command>,
    signs: Arc<Signs>,
    telemetry: Telemetry,
    logs: Option<LogHandle>,
    feed: Feed,
    loader: Option<Loader>,
    /// Held over a reload, so that two never interleave.
    outfitter: Arc<tokio::sync::Mutex<Outfitter>>,
    /// The files of the configuration as they were when it was last read.
    taken: Mutex<Look>,
    running: Mutex<Settings>,
    /// The send loop's last word.
    last: Mutex<Option<Status>>,
    quit: mpsc::Sender<()>,
}

impl Daemon {
    /// Starts it: binds first, so that an address in use sends nothing. Call it inside the runtime
    /// that is to serve the web surface.
    ///
    /// # Errors
    /// See [`StartError`]; nothing has been sent then.
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let Start { settings, loader, files, count, judged, logs } = start;
        let clock = Clock::start();
        let recorded = settings.state.file.is_some();
        let mut outfitter = Outfitter::new(clock, settings.in_flight_max, recorded);
        let files = files.completed(settings.files());
        let outfit = outfitter.outfit(&settings).map_err(StartError::Outfit)?;
        let (listener, address, security) = listen(&settings.web).await?;
        let (telemetry, mut observer) = start_telemetry(&settings, logs.as_ref()).await?;
        let counts = telemetry.attempt_log();
        let (scribe, writing) = attempt_log::start(&settings.attempt_log, counts).await?;
        let feed = Feed::new(Feed::DEFAULT_EVENTS);
        observer.set_live(Box::new(surface::FeedSink(feed.clone())));
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let signs = Arc::new(Signs::default());
        let held = hold_state(&settings.state)?;
        first_commands(&commands, clock, settings.state.file.clone(), outfit).await?;
        let record = Arc::new(Notify::new());
        let context = LoopContext {
            clock,
            signs: Arc::clone(&signs),
            background: tokio::runtime::Handle::current(),
            record: Arc::clone(&record),
            tally: judged.then(Tally::default),
            scribe,
            probing: None,
        };
        let engine = Engine::new(seed(), count);
        let ended = on_own_thread(&telemetry, move || async move {
            SendLoop::new(context, engine, observer, received)?.run().await
        })?;
        let (quit, quit_asked) = mpsc::channel(1);
        let keeper = keep_state(&settings.state, &telemetry, &commands, record, held);
        let shared = Shared {
            clock,
            commands,
            signs,
            telemetry,
            logs,
            feed,
            loader,
            outfitter: Arc::new(tokio::sync::Mutex::new(outfitter)),
            taken: Mutex::new(files),
            running: Mutex::new(settings.clone()),
            last: Mutex::new(None),
            quit,
        };
        let shared = Arc::new(shared);
        if !settings.reload_interval.is_zero() {
            tokio::spawn(Arc::clone(&shared).watch(settings.reload_interval));
        }
        tokio::spawn(renew_connections(Arc::downgrade(&shared)));
        let (close, closed) = oneshot::channel::<()>();
        let context = surface::context(&shared, security, &settings.web);
        let serving = tokio::spawn(web::serve(listener, context, async {
            // Dropped or sent: both mean the end.
            let _ = closed.await;
        }));
        let (web, quit) = (Some((close, serving)), quit_asked);
        Ok(Self { shared, web, address, ended, keeper, kept: None, writing, figures: None, quit })
    }

    /// Where the web surface listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Somebody who may look at it from elsewhere.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        Watcher(Arc::clone(&self.shared))
    }

    /// Sends nothing more; what is in flight may finish.
    pub async fn drain(&self) {
        self.shared.tell(Command::Drain).await;
    }

    /// Counts what is still in flight as abandoned.
    pub async fn abandon(&self) {
        self.shared.tell(Command::Abandon).await;
    }

    /// Reads and applies the configuration anew.
    ///
    /// # Errors
    /// Why nothing changed.
    pub async fn reload(&self) -> Result<(), String> {
        self.shared.reload().await
    }

    /// Pauses everything, or resumes it.
    pub async fn pause(&self, paused: bool) {
        self.shared.pause(None, paused).await;
    }

    /// Turns true when no further slot will be scheduled.
    fn draining(&self) -> watch::Receiver<bool> {
        self.shared.signs.draining.subscribe()
    }

    /// Waits for the end of the send loop; its last snapshot. Cancelling it loses nothing.
    async fn ended(&mut self) -> io::Result<Status> {
        let ended = (&mut self.ended).await;
        let Ending { status, known, figures, .. } =
            ended.map_err(|_| io::Error::other("the send loop died"))??;
        self.figures = figures;
        *self.shared.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(status.clone());
        if let Some(keeper) = self.keeper.clone() {
            // On a task of its own: this future may be dropped, and the loop's last word comes once.
            self.kept = Some(tokio::spawn(async move { keeper.finish(known).await }));
        }
        Ok(status)
    }

    /// Waits for the state file, closes the web surface and flushes the attempt log and telemetry, all but the
    /// first for a bounded time.
    async fn close(&mut self, flush: Duration) {
        if let Some(kept) = self.kept.take() {
            let _ = kept.await;
        }
        if let Some((close, serving)) = self.web.take() {
            let _ = close.send(());
            let _ = serving.await;
        }
        if let Some(writing) = self.writing.take() {
            let written = tokio::task::spawn_blocking(move || writing.finish(flush)).await;
            if !written.unwrap_or(false) {
                tracing::warn!("some lines of the attempt log were not written before the exit");
            }
        }
        let telemetry = self.shared.telemetry.clone();
        let flushed = tokio::task::spawn_blocking(move || telemetry.shutdown(flush)).await;
        if !flushed.unwrap_or(false) {
            tracing::warn!("some spans were not exported before the exit");
        }
    }
}

impl Shared {
    async fn tell(&self, command: Command) {
        // Fails only when the loop has ended, and then there is nothing left to tell it.
        let _ = self.commands.send(command).await;
    }

    /// A snapshot: a fresh one while the send loop runs, then its last.
    async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Status(reply)).await.is_ok()
            && let Ok(status) = answer.await
        {
            return Some(status);
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pauses a stream, or everything, or resumes it. False: there is no such stream.
    async fn pause(&self, subject: Subject, paused: bool) -> bool {
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Pause(subject, paused, reply)).await;
        answer.await.unwrap_or(false)
    }

    fn running(&self) -> Settings {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn last_beat(&self) -> Moment {
        Moment::from_nanos(self.signs.beat_ns.load(Ordering::Relaxed))
    }
}

/// Looks once in a while if connections have come of age, for as long as the daemon lives.
#[expect(clippy::disallowed_methods, reason = "connections age in real time")]
async fn renew_connections(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Some(shared) = shared.upgrade() else { return };
        // Files are read, and certificates parsed.
        let renewing = tokio::task::spawn_blocking(move || {
            shared.outfitter.blocking_lock().renew_connections();
        });
        if renewing.await.is_err() {
            return;
        }
    }
}
