//! What Retry-After says: the truth, nothing, or always the same.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::HumanDuration;

/// What a refusal says in Retry-After, written as `exact`, `none` or a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// The earliest time at which a request would be admitted, rounded up to a second.
    Exact,
    /// Nothing: there is no such header.
    None,
    /// Always this, whatever the truth.
    Fixed(HumanDuration),
}

impl RetryAfter {
    /// Whole seconds for the header; at least one, because zero invites to a busy loop.
    #[must_use]
    pub fn seconds(self, truth: Duration) -> Option<u64> {
        match self {
            Self::Exact => Some(ceil_seconds(truth).max(1)),
            Self::None => None,
            Self::Fixed(wait) => Some(ceil_seconds(wait.0)),
        }
    }
}

/// Rounded up to whole seconds.
pub(super) fn ceil_seconds(d: Duration) -> u64 {
    d.as_secs().saturating_add(u64::from(d.subsec_nanos() > 0))
}

/// Why a text is not a [`RetryAfter`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not advice; allowed: exact, none, or a duration such as 30s")]
pub struct ParseRetryAfterError;

impl FromStr for RetryAfter {
    type Err = ParseRetryAfterError;

    fn from_str(text: &str) -> Result<Self, ParseRetryAfterError> {
        match text {
            "exact" => Ok(Self::Exact),
            "none" => Ok(Self::None),
            other => other.parse().map(Self::Fixed).map_err(|_| ParseRetryAfterError),
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::None => f.write_str("none"),
            Self::Fixed(wait) => wait.fmt(f),
        }
    }
}

impl Serialize for RetryAfter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RetryAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RetryAfter {
    fn schema_name() -> Cow<'static, str> {
        "RetryAfter".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "exact, none, or a duration such as 30s",
            "pattern": r"^(exact|none|\s*(\d+(\.\d+)?\s*[a-zµ]+\s*)+)$",
            "examples": ["exact", "none", "30s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_a_word_or_a_duration() {
        for text in ["exact", "none", "30s"] {
            let advice: RetryAfter = text.parse().expect(text);
            assert_eq!(advice.to_string(), text);
        }
        assert_eq!("soon".parse::<RetryAfter>(), Err(ParseRetryAfterError));
    }

    #[test]
    fn the_truth_is_rounded_up_and_never_zero() {
        let ms = Duration::from_millis;
        assert_eq!(RetryAfter::Exact.seconds(ms(29_001)), Some(30));
        assert_eq!(RetryAfter::Exact.seconds(ms(30_000)), Some(30));
        assert_eq!(RetryAfter::Exact.seconds(ms(0)), Some(1));
        assert_eq!(RetryAfter::None.seconds(ms(5)), None);
    }
}
