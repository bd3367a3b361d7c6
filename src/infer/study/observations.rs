//! A record of attempts as it is studied afterwards: who sent when, and what the server decided.

use crate::infer::Decision;
use crate::model::Identity;

/// A record of attempts, in order of sending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observations {
    /// Who sent; attempts refer to them by position.
    pub parties: Vec<Identity>,
    /// What was sent, in order of [`Attempt::sent`].
    pub attempts: Vec<Attempt>,
    /// How closely times are known, in seconds: 0 for exact ones, 0.001 for a log that writes milliseconds.
    pub resolution: f64,
    /// Distinct limits that refusals named, each with how often.
    pub named: Vec<(Named, u64)>,
    /// The statement of a declared-limits API, where one was asked.
    pub declared: Vec<Named>,
    /// What became of single requests inside the pause of the first party. They are no part of the attempts.
    pub peeks: Vec<Peek>,
}

/// A request that another party sent inside the pause of the first, because the user allowed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// Who sent it: position in [`Observations::parties`].
    pub party: usize,
    /// Whether it was admitted; if not, it was refused.
    pub admitted: bool,
}

/// One attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// When it was sent, in seconds since any fixed moment.
    pub sent: f64,
    /// When its answer's headers came, in the same seconds; `None`: no answer, or nobody knows.
    pub answered: Option<f64>,
    /// What the server decided.
    pub decision: Decision,
    /// Who sent it: position in [`Observations::parties`].
    pub party: usize,
    /// What a refusal advised, in seconds from its headers.
    pub advice: Option<f64>,
    /// What the answer says of its quota.
    pub quota: Option<Quota>,
}

impl Attempt {
    /// Whether it was refused because of the limit.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.decision == Decision::Refused
    }
}

/// What an answer says of its quota.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// Requests in a full quota.
    pub limit: u64,
    /// How many are left.
    pub remaining: u64,
    /// Seconds to the reset that it states.
    pub reset: Option<f64>,
}

/// A limit by the name that the vendor gives it, such as Genesys' `token.rate.per.minute`.
#[derive(
    Clone,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
pub struct Named {
    /// Its key.
    pub key: String,
    /// The namespace of the key.
    pub namespace: Option<String>,
    /// Its value, as written.
    pub value: Option<String>,
}
