//! Writes the state file while the daemon runs: at an interval when something has changed, and at the
//! exit. It asks the send loop for what is known, and writes on threads of the background.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::send_loop::Command;
use super::state_format::Stamp;
use super::{state_file, state_format};
use crate::clock;
use crate::config::StateSettings;
use crate::model::{
    CountMemory, EstimateMemory, Memory, Moment, SafetyMemory, ScopeMemory, Subject,
};
use crate::telemetry::Telemetry;

/// What was known, and when.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(super) memory: Memory,
    /// The latest reservation that it covers.
    pub(super) ticket: u64,
    pub(super) at: Moment,
    /// The same on the clocks that the next run can read, too.
    pub(super) stamp: Stamp,
}

/// A file is never older than this, changed or not, so that its estimates count as relied on.
const REWRITE: Duration = Duration::from_secs(60 * 60);

/// How soon a reservation that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Why the file is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Save {
    /// It is time; but only if there is something new.
    News,
    /// Somebody waits for it.
    Asked,
    /// It is the last word.
    Last,
}

/// Keeps one state file.
pub(super) struct Keeper {
    path: PathBuf,
    /// Which start of the machine this is.
    boot_id: Option<String>,
    telemetry: Telemetry,
    progress: Mutex<Progress>,
    /// Keeps other daemons from the file.
    _held: Option<File>,
}

#[derive(Default)]
struct Progress {
    written: Option<Known>,
    /// The latest attempt failed, and that was said.
    failing: bool,
    /// The last word has been written; what comes later is older.
    ended: bool,
}

impl Keeper {
    /// A keeper, if there is a file to keep; `held` as [`state_file::hold`] gave it.
    pub(super) fn new(
        settings: &StateSettings,
        telemetry: &Telemetry,
        held: Option<File>,
    ) -> Option<Arc<Self>> {
        let path = settings.file.clone()?;
        let telemetry = telemetry.clone();
        let boot_id = state_file::boot_id();
        let progress = Mutex::default();
        Some(Arc::new(Self { path, boot_id, telemetry, progress, _held: held }))
    }

    /// Writes at an interval, and when it is asked to, until the send loop has ended. What was asked for is
    /// tried again when it fails, because streams may be waiting for it.
    pub(super) async fn keep(
        self: Arc<Self>,
        commands: mpsc::Sender<Command>,
        asked: Arc<Notify>,
        every: Duration,
    ) {
        let mut again = false;
        loop {
            let wait_for = if again { every.min(RETRY) } else { every };
            tokio::select! {
                () = wait(wait_for) => {}
                () = asked.notified() => again = true,
            }
            let (reply, answer) = oneshot::channel();
            if commands.send(Command::Memory(reply)).await.is_err() {
                return;
            }
            let Ok(known) = answer.await else { return };
            let ticket = known.ticket;
            let save = if again { Save::Asked } else { Save::News };
            let saved = self.save(known, save).await;
            if saved && again && commands.send(Command::Recorded(ticket)).await.is_err() {
                return;
            }
            again &= !saved;
        }
    }

    /// Writes the last word.
    pub(super) async fn finish(&self, known: Known) {
        self.save(known, Save::Last).await;
    }

    /// True when the file tells what is known.
    async fn save(&self, known: Known, why: Save) -> bool {
        let mut progress = self.progress.lock().await;
        if progress.ended || (why == Save::News && !progress.is_news(&known)) {
            return !progress.ended;
        }
        progress.ended = why == Save::Last;
        let path = self.path.clone();
        let text = state_format::text(&known.memory, known.stamp, self.boot_id.as_deref());
        let writing = tokio::task::spawn_blocking(move || state_file::write(&path, &text)).await;
        let result = writing.map_err(std::io::Error::other).flatten();
        self.telemetry.state_written(clock::unix_seconds(), result.is_ok());
        let file = self.path.display();
        let saved = result.is_ok();
        match result {
            Ok(()) => {
                if std::mem::take(&mut progress.failing) {
                    tracing::info!(%file, "the state file can be written again");
                }
                progress.written = Some(known);
            }
            Err(error) if !progress.failing => {
                progress.failing = true;
                tracing::warn!(
                    %file, %error,
                    "the state file cannot be written: a restart will not know what this run has \
                     learned since, and streams under a cap on messages stop when what it vouches \
                     for is used up"
                );
            }
            Err(_) => {}
        }
        saved
    }
}

impl Progress {
    /// Whether the file would tell something else than it does.
    fn is_news(&self, known: &Known) -> bool {
        let Some(written) = &self.written else { return true };
        let elapsed = known.at.since(written.at);
        let told: Vec<_> = written.memory.scopes.iter().filter_map(|s| s.later(elapsed)).collect();
        let relied_on = |scopes: &[ScopeMemory]| -> Vec<_> {
            let fresh = |memory: &EstimateMemory| EstimateMemory {
                estimate: memory.estimate.clone(),
                unused: Duration::ZERO,
            };
            let one = |s: &ScopeMemory| (s.key.clone(), s.pause, s.estimate.as_ref().map(fresh));
            scopes.iter().map(one).collect()
        };
        let counted = |memory: &SafetyMemory| -> Vec<_> {
            let one =
                |(s, count): &(Subject, CountMemory)| (s.clone(), count.in_all, count.reserved);
            memory.counts.iter().map(one).collect()
        };
        let (then, safety) = (&written.memory.safety, &known.memory.safety);
        elapsed >= REWRITE
            || (&then.paused, counted(then)) != (&safety.paused, counted(safety))
            || relied_on(&told) != relied_on(&known.memory.scopes)
    }
}

#[expect(clippy::disallowed_methods, reason = "the composition waits in real time")]
async fn wait(length: Duration) {
    tokio::time::sleep(length).await;
}
