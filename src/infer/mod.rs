//! The one learner: what is the limit, given what was admitted and refused?
//!
//! [`Learner`] keeps the record of one scope, in bounded memory and O(1) for each attempt. A fit is a
//! [`Job`] of its own, so that it can be computed elsewhere while sending goes on. This room must
//! not know how a rate is chosen, nor what a gate is.

mod change;
mod curve;
mod families;
mod fit;
mod grid;
mod hinted;
mod job;
mod latency;
mod learner;
mod limit;
mod normal;
mod periods;
mod prior;
mod record;
pub mod study;
mod summary;
mod track;

#[cfg(test)]
mod tests;

pub use change::{Detector, FALSE_ALARM_EVERY};
pub use job::{Found, Job};
pub use learner::{Decision, Learner, Seen};
