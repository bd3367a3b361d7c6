//! What a response says about the limit: when to come back, how much is left, which limit it was.

use std::time::Duration;

use super::outcome::labels;
use serde::Serialize;
use std::fmt;

labels!(
    /// Where advice was found.
    AdviceSource {
        /// `Retry-After` in delta seconds (fractions tolerated).
        RetryAfterSeconds = "retry_after_seconds",
        /// `Retry-After` as an HTTP date, read against the response's own `Date`.
        RetryAfterDate = "retry_after_date",
        /// A reset header or field of a quota that has nothing left.
        QuotaReset = "quota_reset",
        /// A field or phrase of the response body.
        Body = "body",
    }
);

labels!(
    /// The dialect a quota hint was written in.
    Dialect {
        /// `Retry-After` of RFC 9110.
        RetryAfter = "retry_after",
        /// `RateLimit` and `RateLimit-Policy` structured fields (IETF httpapi draft-08 to -11).
        IetfStructured = "ietf_structured",
        /// `RateLimit: limit=…, remaining=…, reset=…` (IETF draft-07).
        IetfDraft07 = "ietf_draft07",
        /// `RateLimit-Limit`, `-Remaining`, `-Reset` (IETF draft-06 and older).
        IetfDraft06 = "ietf_draft06",
        /// `X-RateLimit-Limit`, `-Remaining`, `-Reset` and their vendors' variants.
        XRateLimit = "x_ratelimit",
        /// `inin-ratelimit-count`, `-allowed`, `-reset` (Genesys Cloud).
        Inin = "inin_ratelimit",
        /// Fields of the response body.
        Body = "body",
    }
);

/// What a refusal says about when to come back. Counted from the receipt of its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Advice {
    /// The response says nothing.
    #[default]
    Absent,
    /// It says something that cannot be read; counts as absent.
    Unreadable,
    /// Come back after this long. Not yet bounded: the policy decides what is too long to believe.
    Wait(Duration, AdviceSource),
}

impl Advice {
    /// The advised wait, where there is one.
    #[must_use]
    pub const fn wait(self) -> Option<Duration> {
        match self {
            Self::Wait(d, _) => Some(d),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// What one response says about one quota. Every field is optional in some dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaHint {
    /// The dialect it was written in.
    pub dialect: Dialect,
    /// The name of the policy or bucket, where the dialect gives one.
    pub policy: Option<Box<str>>,
    /// Requests (or units) allowed in a window.
    pub limit: Option<u64>,
    /// What is left of them.
    pub remaining: Option<u64>,
    /// Time to the reset, from the receipt of the headers.
    pub reset: Option<Duration>,
    /// Length of the window.
    pub window: Option<Duration>,
}

impl QuotaHint {
    /// Of the quotas that say how much there is and how much is left, the one with the smallest share
    /// left: the hint, its limit, what remains. A quota of one is used up by any request, whatever its
    /// rate, so it says nothing.
    #[must_use]
    pub fn tightest(hints: &[Self]) -> Option<(&Self, u64, u64)> {
        let stated = hints.iter().filter_map(|hint| Some((hint, hint.limit?, hint.remaining?)));
        let telling = stated.filter(|(_, limit, _)| *limit > 1);
        telling.min_by(|a, b| {
            let share = |(_, limit, left): &(&Self, u64, u64)| *left as f64 / *limit as f64;
            share(a).total_cmp(&share(b))
        })
    }
}

/// The limit that a refusal names (for Genesys: `limit.key`, `limit.namespace`, `limit.value`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLimit {
    /// Its key, such as `token.rate.per.minute`.
    pub key: Box<str>,
    /// The namespace the key belongs to.
    pub namespace: Option<Box<str>>,
    /// Its value, as written.
    pub value: Option<Box<str>>,
}
