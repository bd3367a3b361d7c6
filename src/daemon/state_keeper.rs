//! Writes the state file while the daemon runs: at an interval when something has changed, and at the
//! exit. It asks the send loop for what is known, and writes on threads of the background.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::send_loop::Command;
use super::{state_file, state_format};
use crate::clock;
use crate::config::StateSettings;
use crate::model::{EstimateMemory, Moment, ScopeMemory};
use crate::telemetry::Telemetry;

/// What was known, and when.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) scopes: Vec<ScopeMemory>,
    pub(super) at: Moment,
    /// The same in nanoseconds since the Unix epoch.
    pub(super) unix_ns: i64,
}

/// A file is never older than this, changed or not, so that its estimates count as relied on.
const REWRITE: Duration = Duration::from_secs(60 * 60);

/// Keeps one state file.
pub(super) struct Keeper {
    path: PathBuf,
    telemetry: Telemetry,
    progress: Mutex<Progress>,
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
    /// A keeper, if there is a file to keep.
    pub(super) fn new(settings: &StateSettings, telemetry: &Telemetry) -> Option<Arc<Self>> {
        let path = settings.file.clone()?;
        let telemetry = telemetry.clone();
        Some(Arc::new(Self { path, telemetry, progress: Mutex::default() }))
    }

    /// Writes at an interval until the send loop has ended.
    pub(super) async fn keep(self: Arc<Self>, commands: mpsc::Sender<Command>, every: Duration) {
        loop {
            wait(every).await;
            let (reply, answer) = oneshot::channel();
            if commands.send(Command::Memory(reply)).await.is_err() {
                return;
            }
            let Ok(known) = answer.await else { return };
            self.save(known, false).await;
        }
    }

    /// Writes the last word.
    pub(super) async fn finish(&self, known: Known) {
        self.save(known, true).await;
    }

    async fn save(&self, known: Known, last: bool) {
        let mut progress = self.progress.lock().await;
        if progress.ended || !(last || progress.is_news(&known)) {
            return;
        }
        progress.ended = last;
        let path = self.path.clone();
        let text = state_format::text(&known.scopes, known.unix_ns);
        let writing = tokio::task::spawn_blocking(move || state_file::write(&path, &text)).await;
        let result = writing.map_err(std::io::Error::other).flatten();
        self.telemetry.state_written(clock::unix_seconds(), result.is_ok());
        let file = self.path.display();
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
                     learned since"
                );
            }
            Err(_) => {}
        }
    }
}

impl Progress {
    /// Whether the file would tell something else than it does.
    fn is_news(&self, known: &Known) -> bool {
        let Some(written) = &self.written else { return true };
        let elapsed = known.at.since(written.at);
        let told: Vec<_> = written.scopes.iter().filter_map(|s| s.later(elapsed)).collect();
        let relied_on = |scopes: &[ScopeMemory]| -> Vec<_> {
            let fresh = |memory: &EstimateMemory| EstimateMemory {
                estimate: memory.estimate.clone(),
                unused: Duration::ZERO,
            };
            let one = |s: &ScopeMemory| (s.key.clone(), s.pause, s.estimate.as_ref().map(fresh));
            scopes.iter().map(one).collect()
        };
        elapsed >= REWRITE || relied_on(&told) != relied_on(&known.scopes)
    }
}

#[expect(clippy::disallowed_methods, reason = "the composition waits in real time")]
async fn wait(length: Duration) {
    tokio::time::sleep(length).await;
}
