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

use secrecy::zeroize::Zeroizing;
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
    /// A pipe or device: reading it would take away what it holds.
    NoFile,
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
    let content = || {
        if !path.metadata()?.is_file() {
            return Ok(Mark::NoFile);
        }
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Mark::Content(MARKS.hash_one(&*bytes)))
    };
    content().unwrap_or_else(|error: io::Error| Mark::Unreadable(error.kind()))
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
        self.feed
            .publish_lasting("reload", serde_json::json!({ "at": unix_s, "ok": ok }).to_string());
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::clock::Clock;
    use crate::config::{self, FileSource, Sources};

    /// A configuration in two files, of which a writer changes the first and then the second while they are read, as
    /// many times as it is told.
    fn read_while_written(writes: u32) -> (Reading, Look) {
        let directory = tempfile::tempdir().expect("a directory");
        let (target, stream) = (directory.path().join("a.toml"), directory.path().join("b.toml"));
        let write_target = |name: &str| {
            let text =
                format!("[targets.{name}]\nbase_url = \"http://127.0.0.1:1\"\npath = \"/\"\n");
            fs::write(&target, text).expect("writable");
        };
        let write_stream = |name: &str| {
            let text = format!("[streams.s]\ntarget = \"{name}\"\nrate = \"1/s\"\n");
            fs::write(&stream, text).expect("writable");
        };
        write_target("t0");
        write_stream("t0");
        let files = [&target, &stream].map(|p| FileSource::Path(p.clone())).to_vec();
        let sources = Sources { files, ..Sources::default() };
        let taken = Look::at(sources.paths());
        let loads = AtomicU32::new(0);
        let (first, second) = (target.clone(), stream.clone());
        let loader: Loader = Arc::new(move || {
            let load = loads.fetch_add(1, Ordering::Relaxed);
            let loaded = config::load(&sources);
            if load < writes {
                for path in [&first, &second] {
                    let text = fs::read_to_string(path).expect("readable");
                    let next = text.replace(&format!("t{load}"), &format!("t{}", load + 1));
                    fs::write(path, next).expect("writable");
                }
            }
            loaded
        });
        let mut outfitter = Outfitter::new(Clock::start(), 10, false);
        (read(&loader, &mut outfitter, taken.clone()), taken)
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_again() {
        let (reading, taken) = read_while_written(2);
        let (settings, _) = reading.result.expect("a configuration");
        assert_eq!(&*settings.streams[0].target, "t2");
        assert_ne!(reading.look, taken);
        assert!(reading.look.changes_since(&taken).contains("b.toml"));
    }

    #[test]
    fn what_never_stands_still_is_not_taken() {
        let (reading, taken) = read_while_written(READS_MAX);
        assert!(reading.result.is_err_and(|problem| problem.contains("change while")));
        assert_eq!(reading.look, taken, "so that whoever watches sees a change");
    }

    #[test]
    fn a_pipe_is_left_full() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo runs").success());
        // Opening it would wait for a writer that never comes.
        let look = Look::at([path.clone()]);
        assert_eq!(look.0[&path], Mark::NoFile);
    }
}
