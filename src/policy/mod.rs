//! What to do about a refusal or a failure: backoff, retry budget, gates.

mod settings;

pub use settings::{BackoffSettings, Jitter, PolicySettings, RetryBudgetSettings};
