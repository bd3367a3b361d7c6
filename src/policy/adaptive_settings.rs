//! What the adaptive policy is made from.

use std::time::Duration;

/// How a scope's rate is found and held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveSettings {
    /// The least share of the estimate that is left unused, such as 0.01.
    pub margin: f64,
    /// Looking above the estimate; `None`: never.
    pub exploration: Option<ExplorationSettings>,
    /// Slow down while answers take longer than this; `None`: latency is no reason.
    pub latency_max: Option<Duration>,
}

/// How often to look above the estimate, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExplorationSettings {
    /// The shortest time between the end of one look and the next.
    pub interval: Duration,
    /// The share of time that may be lost to the pauses it brings: after a look that cost a pause of
    /// `L`, the next comes no sooner than `L / share`.
    pub share: f64,
    /// Refusals in an hour that it may bring; a look that might bring more is put off.
    pub throttled_per_hour: u32,
}

impl Default for AdaptiveSettings {
    fn default() -> Self {
        Self { margin: 0.005, exploration: Some(ExplorationSettings::default()), latency_max: None }
    }
}

impl Default for ExplorationSettings {
    fn default() -> Self {
        Self { interval: Duration::from_secs(480), share: 0.03, throttled_per_hour: 1_000 }
    }
}
