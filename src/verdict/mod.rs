//! The verdict on a run that has an end: what came of it in figures, and whether they keep the thresholds.
//!
//! It is told the engine's events, and knows nothing of configuration, terminals or files.

mod report;
mod tally;
mod threshold;

pub use report::{Judged, Verdict};
pub use tally::{Durations, Figures, Tally};
pub use threshold::{Comparison, Measure, ParseThresholdError, Quantity, Threshold, Unit};
