//! Streams, and the policy and schedule they take over where they say nothing themselves.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{HumanDuration, Rate};
use crate::policy::AdaptiveSettings;

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

/// Who decides how fast a stream sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// Configuration: the rate is what is sent.
    #[default]
    Fixed,
    /// The policy: the rate is a ceiling, below which the highest is found and held that the API admits.
    Adaptive,
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

/// How streams find their rate, and what they do when they are refused or fail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// Who decides how fast streams send.
    pub mode: ModeName,
    /// Adaptive: the least share of a learned limit that is left unused.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub margin: f64,
    /// Adaptive: slow down while answers take longer than this. 1ms to 1h; unset: latency is no reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_max: Option<HumanDuration>,
    /// Adaptive: whether to look now and then if the limit has risen, at the cost of some refusals.
    pub exploration: bool,
    /// The shortest time between two such looks. 10s to 7d.
    pub exploration_interval: HumanDuration,
    /// The share of time that may be lost to the pauses they bring: after a pause of 30s, 0.03 keeps
    /// the next look at a distance of 1000s.
    #[schemars(range(min = 0.0001, max = 0.5))]
    pub exploration_share: f64,
    /// Refusals in an hour that they may bring; a look that might bring more is put off.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub exploration_throttled_per_hour: u32,
    /// A limit that moved is told of so surely that a false alarm comes at most once in so much time of sending, on
    /// average. Shorter tells sooner. 1h to 3650d.
    pub false_alarm_interval: HumanDuration,
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
        let adaptive = AdaptiveSettings::default();
        let exploration = adaptive.exploration.unwrap_or_default();
        Self {
            mode: ModeName::default(),
            margin: adaptive.margin,
            latency_max: adaptive.latency_max.map(HumanDuration),
            exploration: adaptive.exploration.is_some(),
            exploration_interval: HumanDuration(exploration.interval),
            exploration_share: exploration.share,
            exploration_throttled_per_hour: exploration.throttled_per_hour,
            false_alarm_interval: HumanDuration(Duration::from_secs(90 * 86_400)),
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
    /// The rate; a ceiling that nothing exceeds, in adaptive mode more than what is sent as a rule: `80/s`, `97.3/s`, `300/min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Whether it is paused: at the start, and when a reload changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Messages that this stream may send in any hour.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_hour: Option<u64>,
    /// Messages that this stream may send in any 24 hours.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_day: Option<u64>,
    /// Messages that this stream may send in all, across restarts.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_in_all: Option<u64>,
    /// Instead of `safety.active_hours`; `[]` for always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_hours: Option<Vec<String>>,
    /// Instead of `safety.time_zone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
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
    /// Instead of `policy.mode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeName>,
    /// Its part of what adaptive streams share that stand behind one limit: 3 is three times as much
    /// as the usual 1.
    #[schemars(range(min = 0.001, max = 1000.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
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
