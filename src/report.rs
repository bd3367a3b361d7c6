//! `plimsoll report`: everything that whoever is to help would ask for, in one file that can be attached to a ticket.
//!
//! It holds what the daemon shows of itself, which is without secrets. Names of hosts, tenants, users and
//! streams are in it, and it says so.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use secrecy::ExposeSecret;

use crate::cli::{EXIT_FAILURE, EXIT_USAGE, ReportArgs};
use crate::clock;
use crate::sender::{SecretError, SecretSource, read_secret};

/// What is asked for, and the name of it in the bundle.
const PARTS: [(&str, &str); 6] = [
    ("/livez", "livez.txt"),
    ("/readyz", "readyz.txt"),
    ("/config", "config.yaml"),
    ("/metrics", "metrics.txt"),
    ("/api/v1/status", "status.json"),
    ("/api/v1/history", "history.json"),
];

/// For one part.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A part that is longer is cut.
const PART_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why there is no bundle, or not the whole of it.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The URL cannot be used.
    #[error("{0}: not a URL such as http://127.0.0.1:9469")]
    Url(String),
    /// The authorities cannot be used.
    #[error("{file}: {why}", file = .0.display(), why = .1)]
    Authorities(PathBuf, String),
    /// The password cannot be used.
    #[error(transparent)]
    Password(#[from] SecretError),
    /// No client can be built, or no thread started.
    #[error("{0}")]
    Client(String),
    /// The bundle cannot be written.
    #[error("{file}: {why}", file = .0.display(), why = .1)]
    Write(PathBuf, #[source] io::Error),
    /// The daemon gave none of it.
    #[error("the daemon at {0} does not answer: {1}")]
    Nothing(String, String),
}

impl ReportError {
    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Url(_) | Self::Authorities(..) | Self::Password(_) => EXIT_USAGE,
            Self::Client(_) | Self::Write(..) | Self::Nothing(..) => EXIT_FAILURE,
        }
    }
}

/// Asks a daemon for everything and writes the bundle. Says on standard output what is in it.
///
/// # Errors
/// See [`ReportError`].
pub fn run(args: &ReportArgs) -> Result<(), ReportError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ReportError::Client(e.to_string()))?;
    let asking = Asking::new(args)?;
    let (mut parts, mut problems) = (Vec::new(), Vec::new());
    for (path, name) in PARTS {
        match runtime.block_on(asking.part(path)) {
            Ok(text) => parts.push((name, text)),
            Err(problem) => problems.push(format!("{path}: {problem}")),
        }
    }
    if parts.is_empty() {
        let first = problems.into_iter().next().unwrap_or_default();
        return Err(ReportError::Nothing(args.url.clone(), first));
    }
    parts.insert(0, ("report.txt", about(&args.url, &problems).into_bytes()));
    let failed = |e| ReportError::Write(args.output.clone(), e);
    write(&args.output, &parts).map_err(failed)?;
    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    let mut out = io::stdout().lock();
    let said = writeln!(
        out,
        "{}: {}\nNo secrets are in it; names of hosts, tenants, users and streams are.",
        args.output.display(),
        names.join(", ")
    );
    // Whoever closed standard output has the bundle all the same.
    drop(said);
    for problem in problems {
        eprintln!("plimsoll: not in it: {problem}");
    }
    Ok(())
}

/// How the daemon is asked.
struct Asking {
    client: reqwest::Client,
    url: String,
    login: Option<(String, secrecy::SecretString)>,
}

impl Asking {
    fn new(args: &ReportArgs) -> Result<Self, ReportError> {
        let parsed = reqwest::Url::parse(&args.url).ok();
        let usable = parsed.filter(|u| {
            matches!(u.scheme(), "http" | "https") && u.password().is_none() && u.has_host()
        });
        let Some(url) = usable else {
            // One with a password in it is not quoted.
            let shown = args.url.rsplit('@').next().unwrap_or_default();
            return Err(ReportError::Url(shown.to_owned()));
        };
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(file) = &args.ca_file {
            let refused = |why: String| ReportError::Authorities(file.clone(), why);
            let pem = std::fs::read(file).map_err(|e| refused(e.to_string()))?;
            let found = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| refused("not PEM".to_owned()))?;
            builder = builder.tls_certs_only(found);
        } else if url.scheme() == "http" {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| ReportError::Client(e.to_string()))?;
        let login = match (&args.user, &args.password_file) {
            (Some(user), Some(file)) => {
                Some((user.clone(), read_secret(&SecretSource::File(file.clone()))?))
            }
            _ => None,
        };
        Ok(Self { client, url: args.url.trim_end_matches('/').to_owned(), login })
    }

    /// The text of a part, whatever its status: also what is not healthy is worth knowing.
    async fn part(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password.expose_secret()));
        }
        let said = |e: reqwest::Error| {
            let mut text = e.to_string();
            let mut cause = std::error::Error::source(&e);
            while let Some(error) = cause {
                text = error.to_string();
                cause = error.source();
            }
            text
        };
        let mut response = request.send().await.map_err(said)?;
        let status = response.status();
        if !(status.is_success() || status.as_u16() == 503) {
            return Err(format!("it answers {status}"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(said)? {
            body.extend_from_slice(&chunk);
            if body.len() > PART_BYTES_MAX {
                body.truncate(PART_BYTES_MAX);
                break;
            }
        }
        Ok(body)
    }
}

/// What asked, and when.
fn about(url: &str, problems: &[String]) -> String {
    let mut text = format!(
        "plimsoll {} ({}, {}), {} on {}\nasked {url} at {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("PLIMSOLL_REVISION"),
        env!("PLIMSOLL_RUSTC"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        httpdate::fmt_http_date(time()),
    );
    for problem in problems {
        let _ = writeln!(text, "not in it: {problem}");
    }
    text
}

fn time() -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::try_from_secs_f64(clock::unix_seconds()).unwrap_or_default()
}

/// Writes the bundle beside its place and moves it there, so that a half of one is never taken for it.
fn write(output: &Path, parts: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let mut beside = output.as_os_str().to_owned();
    beside.push(".tmp");
    let file = File::create(&beside)?;
    let mut bundle = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(clock::unix_seconds() as u64);
        bundle.append_data(&mut header, format!("plimsoll-report/{name}"), text.as_slice())?;
    }
    bundle.into_inner()?.finish()?.sync_all()?;
    std::fs::rename(&beside, output)
}
