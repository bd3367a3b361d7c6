//! What to do about a refusal or a failure: backoff, retry budget, gates; and at what rate to send.
//!
//! Pure decisions about pauses, retries and rates. This room must not know what a stream or a request
//! is, nor how many there are.

mod adaptive;
mod adaptive_settings;
mod backoff;
mod breaker;
mod budget;
mod caps;
mod crowd;
mod exploration;
mod feel;
mod gate;
mod hints;
mod latency;
mod settings;
mod shadow;
mod silence;

pub use adaptive::Adaptive;
pub use adaptive_settings::{AdaptiveSettings, ExplorationSettings};
pub use breaker::{Breaker, BreakerSettings, Trip};
pub use budget::RetryBudget;
pub use caps::{CapSettings, MessageCount};
pub use gate::{Gate, Passage, Pause, RETRY_AFTER_OBEYED_MAX, believed};
pub use settings::{BackoffSettings, Jitter, Mode, PolicySettings, RetryBudgetSettings};
