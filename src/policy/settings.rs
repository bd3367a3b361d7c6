//! What a policy is made from.

use std::time::Duration;

/// Who decides how fast a stream sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Configuration: the configured rate.
    #[default]
    Fixed,
    /// The policy: the highest rate that is admitted, at most the configured one.
    Adaptive,
    /// An experiment: nothing is sent but what is ordered, at most at the configured rate.
    Probe,
}

impl Mode {
    /// The word for it in configuration and status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Adaptive => "adaptive",
            Self::Probe => "probe",
        }
    }
}

/// How a stream behaves when it is refused or fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicySettings {
    /// Pauses without advice, and delays before retries.
    pub backoff: BackoffSettings,
    /// Attempts that one message may take, the first included. At least 1.
    pub max_attempts: u32,
    /// How many retries the stream may make in relation to its messages.
    pub retry_budget: RetryBudgetSettings,
    /// From a message's first slot; after it no further attempt is made.
    pub deadline: Duration,
    /// A longer pause is obeyed all the same, but counts as *long*: an operator should know.
    pub retry_after_max: Duration,
    /// A random time of up to this much is added to advised waits, so that many senders do not
    /// return at the same instant. It only ever adds.
    pub retry_after_jitter: Duration,
}

/// Exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffSettings {
    /// The first delay, before jitter.
    pub base: Duration,
    /// No delay is longer.
    pub cap: Duration,
    /// How the delay is randomised.
    pub jitter: Jitter,
}

/// Ways to randomise an exponential delay `d` (Brooker, "Exponential Backoff And Jitter", 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Uniform in `(0, d]`.
    Full,
    /// Uniform in `[d/2, d]`.
    #[default]
    Equal,
    /// Uniform in `[base, 3 × previous]`, capped.
    Decorrelated,
}

/// A token bucket: every message adds `ratio`, every retry takes one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudgetSettings {
    /// Retries earned by each message.
    pub ratio: f64,
    /// What the bucket holds at the start, and at most.
    pub reserve: u32,
}
