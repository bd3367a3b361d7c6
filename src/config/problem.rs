//! What is wrong with a configuration, said so that it can be put right.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `streams.main.rate`; the file's name when a file cannot be read at all.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What stands there, unless it is or may be a secret.
    pub found: Option<String>,
    /// What may stand there.
    pub allowed: Option<String>,
    /// The file, environment variable or flag that it came from.
    pub origin: Option<String>,
}

impl Problem {
    /// A problem at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            found: None,
            allowed: None,
            origin: None,
        }
    }

    /// With what stands there.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// With what may stand there.
    #[must_use]
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    /// With where it came from.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `streams.main.rate: not a rate; got "80"; allowed: …; from plimsoll.toml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        if let Some(found) = &self.found {
            write!(f, "; got {found}")?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, "; from {origin}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in the order of the paths. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Problems, at least one. One path is reported once: what follows from a problem is not
    /// another one.
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Self {
        let mut unique: Vec<Problem> = Vec::with_capacity(problems.len());
        for problem in problems {
            if !unique.iter().any(|p| p.path == problem.path) {
                unique.push(problem);
            }
        }
        unique.sort_by(|a, b| a.path.cmp(&b.path));
        Self(unique)
    }

    /// `Ok` when there are none.
    pub(super) fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::new(problems)) }
    }

    /// The problems.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    /// One problem a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
