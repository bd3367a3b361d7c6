//! Who may see the surface: TLS and passwords, out of the exporter toolkit's web configuration file.
//!
//! The file, and the certificates that it names, are looked at now and then and read again when they
//! have changed. What cannot be read changes nothing, and is told.

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
    stamps: Vec<Stamp>,
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
        let now = Mutex::new(Now { guard, stamps, looked: None });
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
        if found != now.stamps {
            // Also after a failure: it is told once for each change.
            now.stamps = found;
            match toolkit::read(file) {
                Ok(guard) => {
                    now.stamps = stamps(&guard.files);
                    now.guard = Arc::new(guard);
                    tracing::info!(file = %file.display(), "web configuration read again");
                }
                Err(error) => tracing::error!(%error, "web configuration: the old one stays"),
            }
        }
        Arc::clone(&now.guard)
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |m: Metadata| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec());
    files.iter().map(|file| std::fs::metadata(file).ok().map(stamp)).collect()
}
