//! From a record to a conclusion.

use super::conclusion::{Conclusion, Material, WithoutPrior};
use super::observations::Observations;
use crate::infer::Decision;

/// What the record tells. Takes up to some seconds for some hundred thousand attempts.
#[must_use]
pub fn conclude(observations: &Observations) -> Conclusion {
    let count =
        |decision| observations.attempts.iter().filter(|a| a.decision == decision).count() as u64;
    let material = Material {
        attempts: observations.attempts.len() as u64,
        admitted: count(Decision::Admitted),
        refused: count(Decision::Refused),
        unknown: count(Decision::Unknown),
        ..Material::default()
    };
    Conclusion {
        material,
        limits: Vec::new(),
        pairs: Vec::new(),
        declared: Vec::new(),
        without_prior: WithoutPrior { kind: None, rate: None, burst: None, window: None },
        remarks: Vec::new(),
    }
}
