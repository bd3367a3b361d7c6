//! What holds sending back whatever the API admits.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::HumanDuration;

/// The safety envelope of everything: a stream has keys of its own for most of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SafetyFile {
    /// Whether everything is paused: at the start, and when a reload changes it.
    pub paused: bool,
    /// Messages that all streams together may send in any hour. Unset: no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub messages_per_hour: Option<u64>,
    /// Messages that all streams together may send in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub messages_per_day: Option<u64>,
    /// Messages that all streams together may send in all; with a state file, across restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub messages_in_all: Option<u64>,
    /// The hosts that may be sent to, login servers included: names, or `*.example.com` for all below
    /// one. Unset: every host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<String>>,
    /// When streams may send, such as `mon-fri 08:00-18:00`, `sat 22:00-02:00` or `daily 09:00-17:00`; `[]`
    /// for always.
    pub active_hours: Vec<String>,
    /// Whose clocks the active hours mean: a name of the IANA database, such as `Europe/Berlin`.
    pub time_zone: String,
}

impl Default for SafetyFile {
    fn default() -> Self {
        Self {
            paused: false,
            messages_per_hour: None,
            messages_per_day: None,
            messages_in_all: None,
            hosts: None,
            active_hours: Vec::new(),
            time_zone: "UTC".to_owned(),
        }
    }
}

/// Runs that have an end: `plimsoll run` with `--for` or `--count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunFile {
    /// What the figures of such a run must keep, or its exit code is 99: `throttled_ratio<0.002`,
    /// `response_p99<500ms`, `goodput>95/s`.
    pub thresholds: Vec<String>,
}

/// The circuit breaker of each limit domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerFile {
    /// Requests in a row that fail (5xx, no connection, timeout) until it opens; 0: it never does.
    #[schemars(range(min = 0, max = 100_000))]
    pub failures: u32,
    /// How long nothing is sent before one request asks; doubled each time that it fails. 100ms to 1h.
    pub pause: HumanDuration,
    /// No such pause is longer. From `pause` to 24h.
    pub pause_max: HumanDuration,
}

impl Default for BreakerFile {
    fn default() -> Self {
        Self {
            failures: 20,
            pause: HumanDuration(Duration::from_secs(1)),
            pause_max: HumanDuration(Duration::from_secs(60)),
        }
    }
}
