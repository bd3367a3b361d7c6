//! Reads secrets from where configuration says they are.
//!
//! Errors name the source and never the content; so does every `Debug` here.

use std::fmt;
use std::io::{self, Read};

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::settings::SecretSource;

/// No token or key is longer; a file that is was named by mistake.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("secret from {origin}: {problem}")]
pub struct SecretError {
    origin: SecretSource,
    problem: SecretProblem,
}

/// What is wrong with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretProblem {
    /// The file cannot be read.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// The environment variable is not set.
    #[error("not set")]
    Unset,
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// Longer than 64 KiB.
    #[error("longer than 64 KiB")]
    TooLong,
    /// Not UTF-8, or with control characters inside, which no header can carry.
    #[error("not printable text")]
    NotText,
}

impl SecretError {
    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> SecretProblem {
        self.problem
    }
}

/// Reads a secret.
///
/// # Errors
/// It is not there, or is not text that a header could carry.
pub fn read_secret(source: &SecretSource) -> Result<SecretString, SecretError> {
    read(source).map_err(|problem| SecretError { origin: source.clone(), problem })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a credential names its variable, and its secret stays out of the settings"
)]
fn read(source: &SecretSource) -> Result<SecretString, SecretProblem> {
    let raw = Zeroizing::new(match source {
        SecretSource::File(path) => {
            let file = std::fs::File::open(path).map_err(|e| SecretProblem::Io(e.kind()))?;
            let mut bytes = Zeroizing::new(Vec::new());
            file.take(SECRET_BYTES_MAX + 1)
                .read_to_end(&mut bytes)
                .map_err(|e| SecretProblem::Io(e.kind()))?;
            if bytes.len() as u64 > SECRET_BYTES_MAX {
                return Err(SecretProblem::TooLong);
            }
            std::str::from_utf8(&bytes).map_err(|_| SecretProblem::NotText)?.to_owned()
        }
        SecretSource::Env(name) => match std::env::var(name) {
            Ok(value) => value,
            Err(std::env::VarError::NotPresent) => return Err(SecretProblem::Unset),
            Err(std::env::VarError::NotUnicode(_)) => return Err(SecretProblem::NotText),
        },
        SecretSource::Inline(secret) => secret.expose().to_owned(),
    });
    match raw.trim() {
        "" => Err(SecretProblem::Empty),
        text if text.len() as u64 > SECRET_BYTES_MAX => Err(SecretProblem::TooLong),
        text if text.chars().any(char::is_control) => Err(SecretProblem::NotText),
        text => Ok(SecretString::from(text)),
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Inline(_) => f.write_str("the configuration"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "compares with what a process really has")]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn file(content: &[u8]) -> (tempfile::TempDir, SecretSource) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        std::fs::write(&path, content).expect("written");
        (dir, SecretSource::File(path))
    }

    #[test]
    fn files_are_trimmed_and_read_anew_each_time() {
        let (dir, source) = file(b"  first\n");
        let read = || read_secret(&source).map(|secret| secret.expose_secret().to_owned());
        assert_eq!(read().expect("a secret"), "first");
        std::fs::write(dir.path().join("token"), "second\r\n").expect("written");
        assert_eq!(read().expect("a secret"), "second");
        std::fs::remove_file(dir.path().join("token")).expect("removed");
        assert_eq!(read().expect_err("gone").problem(), SecretProblem::Io(io::ErrorKind::NotFound));
    }

    #[test]
    fn what_no_header_can_carry_is_refused_without_quoting_it() {
        let long = vec![b'a'; 70_000];
        for (content, problem) in [
            (&b" \n"[..], SecretProblem::Empty),
            (b"canary\nsecond line", SecretProblem::NotText),
            (b"canary\xff", SecretProblem::NotText),
            (&long, SecretProblem::TooLong),
        ] {
            let (_dir, source) = file(content);
            let error = read_secret(&source).expect_err("not usable");
            assert_eq!(error.problem(), problem);
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary") && shown.contains("token"), "{shown}");
        }
    }

    #[test]
    fn the_environment_is_a_source_too() {
        // One that every process has, so that the environment need not be changed.
        let secret = read_secret(&SecretSource::Env("PATH".to_owned())).expect("a secret");
        assert_eq!(Ok(secret.expose_secret()), std::env::var("PATH").as_deref());
        let name = "PLIMSOLL_TEST_NEVER_SET".to_owned();
        let error = read_secret(&SecretSource::Env(name)).expect_err("not set");
        assert_eq!(error.problem(), SecretProblem::Unset);
        assert!(error.to_string().contains("PLIMSOLL_TEST_NEVER_SET"));
    }
}
