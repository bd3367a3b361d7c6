//! Who may see the surface: TLS and passwords, out of the exporter toolkit's web configuration file.
//!
//! The file, and the certificates that it names, are looked at now and then and read again when they
//! have changed, and stood for one look: what somebody is still writing may be a whole file without the passwords
//! that follow. What cannot be read changes nothing, and is told; so is one that would leave the surface open.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;

use super::auth::Passwords;
use super::toolkit;

/// How often the files are looked at, while there are requests.
const LOOK: Duration = Duration::from_secs(1);

/// A web configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct SecurityError {
    pub(super) file: PathBuf,
    pub(super) problem: String,
}

impl SecurityError {
    pub(super) fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problem: problem.into() }
    }
}

/// What holds for connections and requests from now on.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Bcrypt hashes by user; empty: no password is asked for.
    pub(super) users: HashMap<String, String>,
    /// In every response, over our own.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The files that this came from.
    pub(super) files: Vec<PathBuf>,
}

impl Guard {
    /// Everybody may see everything.
    fn is_open(&self) -> bool {
        self.tls.is_none() && self.users.is_empty()
    }
}

/// The security of the surface. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Security {
    file: Option<Arc<Path>>,
    now: Arc<Mutex<Now>>,
    pub(super) passwords: Passwords,
}

#[derive(Debug, Default)]
struct Now {
    guard: Arc<Guard>,
    /// The files as they were when they were last read.
    stamps: Vec<Stamp>,
    /// The same at the latest look.
    seen: Vec<Stamp>,
    looked: Option<Instant>,
}

/// What tells that a file is another one: device and inode, size, and the time of its last change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Security {
    /// From a web configuration file.
    ///
    /// # Errors
    /// It, or a certificate that it names, cannot be used.
    pub fn load(file: &Path) -> Result<Self, SecurityError> {
        let guard = Arc::new(toolkit::read(file)?);
        let stamps = stamps(&guard.files);
        let now = Mutex::new(Now { guard, seen: stamps.clone(), stamps, looked: None });
        let passwords = Passwords::default();
        Ok(Self { file: Some(file.into()), now: Arc::new(now), passwords })
    }

    /// Whether connections are TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.guard().tls.is_some()
    }

    /// What holds now.
    #[expect(clippy::disallowed_methods, reason = "files change in real time")]
    pub(super) fn guard(&self) -> Arc<Guard> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &self.file else { return Arc::clone(&now.guard) };
        let looked = now.looked.replace(Instant::now());
        if let Some(looked) = looked
            && looked.elapsed() < LOOK
        {
            now.looked = Some(looked);
            return Arc::clone(&now.guard);
        }
        let found = stamps(&now.guard.files);
        let stood = std::mem::replace(&mut now.seen, found.clone()) == found;
        if stood && found != now.stamps {
            now.read(file, found);
        }
        Arc::clone(&now.guard)
    }
}

impl Now {
    /// Reads the file anew; `found` are its stamps from before.
    fn read(&mut self, file: &Path, found: Vec<Stamp>) {
        // Also after a failure: it is told once for each change.
        self.stamps = found;
        let read = toolkit::read(file).and_then(|guard| {
            // Most likely a write that went wrong; and if not, a restart is little to ask.
            if guard.is_open() && !self.guard.is_open() {
                let problem = "neither TLS nor passwords are left; only a restart takes them away";
                return Err(SecurityError::new(file, problem));
            }
            Ok(guard)
        });
        match read {
            Ok(guard) => {
                if guard.files != self.guard.files {
                    self.stamps = stamps(&guard.files);
                    self.seen = self.stamps.clone();
                }
                self.guard = Arc::new(guard);
                tracing::info!(file = %file.display(), "web configuration read again");
            }
            Err(error) => tracing::error!(%error, "web configuration: the old one stays"),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |m: Metadata| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec());
    files.iter().map(|file| std::fs::metadata(file).ok().map(stamp)).collect()
}
