//! Quota hints: what a response's header fields say about a limit, in five dialects.
//!
//! Pure, and bounded in what it reads and what it returns, because every byte here is the server's.
//! It does not know what a hint is used for. What cannot be read is counted and otherwise ignored.

mod fields;
mod ietf;
mod inin;
mod structured;
mod x_ratelimit;

pub(super) use fields::Fields;

use super::server_time::ServerTime;
use crate::model::{Dialect, NamedLimit, QuotaHint};

/// More quotas than this in one response are not kept.
const QUOTAS_MAX: usize = 16;
/// Longer names are cut: they become label values and log fields.
const NAME_CHARS_MAX: usize = 64;

/// What the header fields of one response said about quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// The quotas described, at most 16.
    pub quotas: Vec<QuotaHint>,
    /// Dialects in which something could not be read, each at most once.
    pub malformed: Vec<Dialect>,
    /// The bucket that the fields themselves name as the one that applies.
    pub named_limit: Option<Box<NamedLimit>>,
}

impl Hints {
    /// Reads the rate limit fields of a response.
    pub(super) fn read(fields: &Fields<'_>, time: &ServerTime<'_>) -> Self {
        let mut hints = Self::default();
        if !fields.rate.is_empty() {
            ietf::read(&fields.rate, time, &mut hints);
            inin::read(&fields.rate, time, &mut hints);
            x_ratelimit::read(&fields.rate, time, &mut hints);
        }
        hints
    }

    pub(super) fn push(&mut self, quota: QuotaHint) {
        if self.quotas.len() < QUOTAS_MAX {
            self.quotas.push(quota);
        }
    }

    pub(super) fn unreadable(&mut self, dialect: Dialect) {
        if !self.malformed.contains(&dialect) {
            self.malformed.push(dialect);
        }
    }

    /// The value of a figure, counting an unreadable one.
    fn figure<T, E>(&mut self, dialect: Dialect, read: Result<Option<T>, E>) -> Option<T> {
        read.unwrap_or_else(|_| {
            self.unreadable(dialect);
            None
        })
    }
}

/// A hint that says nothing yet.
pub(super) const fn blank(dialect: Dialect) -> QuotaHint {
    QuotaHint { dialect, policy: None, limit: None, remaining: None, reset: None, window: None }
}

/// Whether a hint says anything at all.
const fn says_something(hint: &QuotaHint) -> bool {
    hint.limit.is_some() || hint.remaining.is_some() || hint.reset.is_some()
}

/// A name as the server wrote it, without control characters and bounded in length.
pub(super) fn name(text: &str) -> Option<Box<str>> {
    let clean: String =
        text.trim().chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    (!clean.is_empty()).then(|| clean.into_boxed_str())
}

#[cfg(test)]
mod tests;
