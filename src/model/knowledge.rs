//! What is known about the limit of one scope, whoever decides how fast it is sent to.

use super::{ChangeSight, Estimate};

/// What is known about a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    /// What is believed about it; `None`: unknown.
    pub estimate: Option<Estimate>,
    /// What quota hints declare, per second: over the window that they state, or else over the one that the
    /// limit is believed to have.
    pub declared: Option<f64>,
    /// The rate at which requests were admitted lately, per second, while there were any.
    pub admitted: Option<f64>,
    /// Which changes of it would show in the traffic as it is.
    pub sight: ChangeSight,
}
