//! Streams, and the policy and schedule they take over where they say nothing themselves.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, Rate};

const fn seconds(s: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(s))
}

/// Ways to randomise a backoff delay `d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JitterName {
    /// Uniform between 0 and `d`.
    Full,
    /// Uniform between `d`/2 and `d`.
    #[default]
    Equal,
    /// Uniform between the base and three times the delay before, capped.
    Decorrelated,
}

/// The spacing of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArrivalsName {
    /// Even: the gentlest way to use a rate.
    #[default]
    Uniform,
    /// Random, as independent users would be. Bursts exceed a cap that the mean stays below.
    Poisson,
}

/// What a stream does when it is refused or fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// Attempts that one message may take, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// From a message's first slot; after it no further attempt is made. 1s to 7d.
    pub deadline: HumanDuration,
    /// The first pause, or delay before a retry, where the server advises none. 1ms to 1h.
    pub backoff_base: HumanDuration,
    /// No such delay is longer. From the base to 24h.
    pub backoff_cap: HumanDuration,
    /// How such delays are randomised.
    pub jitter: JitterName,
    /// A longer Retry-After is obeyed all the same (up to 24h), but counts as long, says so loudly
    /// and can be ended by an operator. 1s to 24h.
    pub retry_after_max: HumanDuration,
    /// A random time up to this is added to an advised wait; it only ever adds. Up to 1h.
    pub retry_after_jitter: HumanDuration,
    /// Retries that each message earns for its stream: 0.1 allows one for every ten messages.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub retry_budget_ratio: f64,
    /// Retries that the budget holds at the start, and at most.
    #[schemars(range(min = 0, max = 100_000))]
    pub retry_budget_reserve: u32,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            deadline: seconds(300),
            backoff_base: seconds(1),
            backoff_cap: seconds(60),
            jitter: JitterName::default(),
            retry_after_max: seconds(300),
            retry_after_jitter: seconds(1),
            retry_budget_ratio: 0.1,
            retry_budget_reserve: 10,
        }
    }
}

/// How a stream lays out its requests in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleFile {
    /// The spacing of requests.
    pub arrivals: ArrivalsName,
    /// Time in which the rate rises from zero to full at the start; `0s` for none, up to 24h.
    pub ramp: HumanDuration,
    /// Slots that came due while the process was held up and may still be sent back to back. Older
    /// ones are skipped and counted. Unset: as many as are due in 20 ms, and at least 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub catch_up_slots: Option<u32>,
}

impl Default for ScheduleFile {
    fn default() -> Self {
        Self { arrivals: ArrivalsName::default(), ramp: seconds(5), catch_up_slots: None }
    }
}

/// Target × credential × rate. What is unset is taken from `[policy]` and `[schedule]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["target", "rate"]))]
pub struct StreamFile {
    /// Name of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Name of the credential; unset for requests that need none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The rate, a ceiling that nothing exceeds: `80/s`, `97.3/s`, `300/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Requests of this stream in flight at once. Unset: as many as the engine allows.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u32>,
    /// Instead of `schedule.arrivals`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalsName>,
    /// Instead of `schedule.ramp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<HumanDuration>,
    /// Instead of `schedule.catch_up_slots`.
    #[schemars(range(min = 0, max = 1000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up_slots: Option<u32>,
    /// Instead of `policy.max_attempts`.
    #[schemars(range(min = 1, max = 100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Instead of `policy.deadline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<HumanDuration>,
    /// Instead of `policy.backoff_base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_base: Option<HumanDuration>,
    /// Instead of `policy.backoff_cap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_cap: Option<HumanDuration>,
    /// Instead of `policy.jitter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<JitterName>,
    /// Instead of `policy.retry_after_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_max: Option<HumanDuration>,
    /// Instead of `policy.retry_after_jitter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_jitter: Option<HumanDuration>,
    /// Instead of `policy.retry_budget_ratio`.
    #[schemars(range(min = 0.0, max = 10.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget_ratio: Option<f64>,
    /// Instead of `policy.retry_budget_reserve`.
    #[schemars(range(min = 0, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget_reserve: Option<u32>,
}
