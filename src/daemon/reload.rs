//! Reads the configuration anew: when somebody asks for it, and when one of its files has changed.
//!
//! Files are looked at, not listened to. A mounted ConfigMap or Secret changes by the swap of a symbolic link
//! that the file's path goes through, and a network file system tells nobody; what stands in a handful of
//! small files costs next to nothing to see.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::Shared;
use super::outfit::Outfitter;
use super::send_loop::{Command, Outfit};
use super::telemetry_setup;
use crate::clock;
use crate::config::{Problems, Settings};

/// Reads the configuration anew.
pub type Loader = Arc<dyn Fn() -> Result<Settings, Problems> + Send + Sync>;

/// No configuration or secret is longer; of a file that is, only the beginning is looked at.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How often files are read again that change while they are read.
const READS_MAX: u32 = 3;

/// Contents are kept as numbers that say nothing outside of this process: some of them are secrets.
static MARKS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What stood in some files when they were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(BTreeMap<PathBuf, Mark>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Content(u64),
    Unreadable(io::ErrorKind),
}

impl Look {
    /// Looks at these files. Blocks.
    pub fn at(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(files.into_iter().map(|path| (path.clone(), mark(&path))).collect())
    }

    /// This, and the files that it lacks as they are now.
    pub(super) fn completed(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        for path in files {
            self.0.entry(path).or_insert_with_key(|path| mark(path));
        }
        self
    }

    fn again(&self) -> Self {
        Self::at(self.0.keys().cloned())
    }

    /// The files that look otherwise than they did in `old`, for people.
    fn changes_since(&self, old: &Self) -> String {
        let changed = self.0.iter().filter(|(path, mark)| old.0.get(*path) != Some(mark));
        let names: Vec<_> = changed.map(|(path, _)| path.display().to_string()).collect();
        names.join(", ")
    }
}

fn mark(path: &Path) -> Mark {
    let mut bytes = secrecy::zeroize::Zeroizing::new(Vec::new());
    match File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Mark::Content(MARKS.hash_one(&*bytes)),
        Err(error) => Mark::Unreadable(error.kind()),
    }
}

/// What a reading came to, whether or not it is of use.
struct Reading {
    result: Result<(Settings, Outfit), String>,
    /// The files as they were read.
    look: Look,
}

/// Reads until nothing changes meanwhile: of two files that belong together, one could be old and one new.
fn read(loader: &Loader, outfitter: &mut Outfitter, taken: Look) -> Reading {
    let mut look = taken.again();
    for _ in 0..READS_MAX {
        let loaded = loader().map_err(|problems| problems.to_string());
        let files: Vec<_> = match &loaded {
            Ok(settings) => settings.files(),
            // Which files count, only a configuration can say that can be read.
            Err(_) => look.0.keys().cloned().collect(),
        };
        let result = loaded.and_then(|settings| {
            let outfit = outfitter.outfit(&settings).map_err(|problems| problems.join("\n"))?;
            Ok((settings, outfit))
        });
        let now = Look::at(files);
        if now == look {
            return Reading { result, look };
        }
        look = now;
    }
    // Nothing was taken, so that whoever watches the files tries again.
    Reading { result: Err("the files change while they are read".to_owned()), look: taken }
}

impl Shared {
    /// Reads, checks and applies the configuration; on any problem nothing changes.
    pub(super) async fn reload(&self) -> Result<(), String> {
        let outfitter = Arc::clone(&self.outfitter).lock_owned().await;
        let result = self.try_reload(outfitter).await;
        let unix_s = clock::unix_seconds();
        self.telemetry.config_reloaded(unix_s, result.is_ok());
        let ok = result.is_ok();
        self.feed.publish("reload", serde_json::json!({ "at": unix_s, "ok": ok }).to_string());
        match &result {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(problem) => {
                tracing::error!(%problem, "configuration not reloaded: nothing changed")
            }
        }
        result
    }

    async fn try_reload(&self, mut outfitter: OwnedMutexGuard<Outfitter>) -> Result<(), String> {
        let loader = self.loader.clone().ok_or("this daemon's configuration cannot change")?;
        let taken = self.taken();
        let reading = tokio::task::spawn_blocking(move || {
            let reading = read(&loader, &mut outfitter, taken);
            (reading, outfitter)
        });
        // Held to the end, so that two reloads never interleave.
        let (Reading { result, look }, _outfitter) = reading.await.map_err(|e| e.to_string())?;
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = look;
        let (settings, outfit) = result?;
        for key in settings.restart_needed(&self.running()) {
            tracing::warn!(key, "changed, and takes effect only at the next start");
        }
        for warning in &settings.warnings {
            tracing::warn!(%warning, "configuration");
        }
        if let Some(logs) = &self.logs {
            let filter = telemetry_setup::log_filter(settings.log.level.as_str());
            logs.set_filter(&filter).map_err(|e| e.to_string())?;
        }
        self.telemetry.objectives(settings.objectives);
        self.tell(Command::Apply(Box::new(outfit))).await;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    fn taken(&self) -> Look {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files for as long as the process lives, and reloads when one of them has changed and
    /// stood so for two looks: one that is being written is not read by halves.
    pub(super) async fn watch(self: Arc<Self>, every: Duration) {
        let mut seen = self.taken();
        loop {
            wait(every).await;
            let taken = self.taken();
            let files = taken.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || files.again()).await else {
                continue;
            };
            let settled = now == seen;
            seen = now;
            if settled && seen != taken {
                tracing::info!(files = seen.changes_since(&taken), "files have changed");
                // Logged and counted where it happens.
                let _ = self.reload().await;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the composition waits in real time")]
async fn wait(length: Duration) {
    tokio::time::sleep(length).await;
}
