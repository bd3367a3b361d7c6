//! The forms in which people write durations and rates, for configuration and its JSON Schema.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Rate;

/// A duration written with its unit: `30s`, `1m 30s`, `250ms`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

/// Why a text is not a [`HumanDuration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; allowed: numbers with units, such as 250ms, 30s, 1m 30s or 24h")]
pub struct ParseDurationError;

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        humantime::parse_duration(text.trim()).map(Self).map_err(|_| ParseDurationError)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// Serde and schema for a type that people write as text.
macro_rules! written_as_text {
    ($type:ty, $name:literal, $describe:literal, $pattern:literal, $examples:tt) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $describe,
                    "pattern": $pattern,
                    "examples": $examples,
                })
            }
        }
    };
}

written_as_text!(
    HumanDuration,
    "Duration",
    "a duration with its unit, such as 250ms, 30s, 1m 30s or 24h",
    r"^\s*(\d+(\.\d+)?\s*[a-zµ]+\s*)+$",
    ["250ms", "30s", "1m 30s", "24h"]
);
written_as_text!(
    Rate,
    "Rate",
    "a positive number per s, min, h or d, such as 80/s, 97.3/s or 300/min",
    r"^\s*\d+(\.\d{1,6})?\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)\s*$",
    ["80/s", "97.3/s", "300/min"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_show_as_people_write_them() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("1m 30s", 90_000), ("24h", 86_400_000)]
        {
            let parsed: HumanDuration = text.parse().expect(text);
            assert_eq!(parsed.0, Duration::from_millis(ms), "{text}");
            assert_eq!(parsed.to_string().parse::<HumanDuration>(), Ok(parsed), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1 fortnight"] {
            assert_eq!(text.parse::<HumanDuration>(), Err(ParseDurationError), "{text:?}");
        }
    }
}
