//! When the next slot of a stream is due, and what a request says: pure arithmetic and text.

mod settings;

pub use settings::{Arrivals, ScheduleSettings};
