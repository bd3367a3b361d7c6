//! What to do about a refusal or a failure: backoff, retry budget, gates.
//!
//! Pure decisions about pauses and retries. This room must not know what a stream or a request
//! is, nor how many there are.

mod backoff;
mod budget;
mod gate;
mod settings;

pub use budget::RetryBudget;
pub use gate::{Gate, Passage, Pause, RETRY_AFTER_OBEYED_MAX};
pub use settings::{BackoffSettings, Jitter, PolicySettings, RetryBudgetSettings};
