//! From a record to a conclusion.

use super::conclusion::{Conclusion, Finding, LimitFinding, Material, Reason, WithoutPrior};
use super::observations::Observations;
use super::posterior::Posterior;
use crate::infer::Decision;

/// A kind is said with this probability.
const SURE: f64 = 0.95;

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
    let posterior = Posterior::of(observations, |a| a.party == 0);
    Conclusion {
        material,
        limits: posterior.iter().map(limit).collect(),
        pairs: Vec::new(),
        declared: Vec::new(),
        without_prior: WithoutPrior { kind: None, rate: None, burst: None, window: None },
        remarks: Vec::new(),
    }
}

fn limit(posterior: &Posterior) -> LimitFinding {
    let kinds = posterior.kinds();
    let first = kinds.first().copied();
    let said = first.filter(|k| k.probability > SURE);
    let figure = |f: Option<super::Figure>| match f {
        Some(value) => Finding::Known { value, confidence: 0.95, evidence: String::new() },
        None => Finding::Unknown {
            reason: Reason::TooLittleData,
            detail: String::new(),
            experiment: String::new(),
        },
    };
    LimitFinding {
        kind: match said {
            Some(k) => {
                Finding::Known { value: k.kind, confidence: k.probability, evidence: String::new() }
            }
            None => Finding::Unknown {
                reason: Reason::NotIdentifiable,
                detail: String::new(),
                experiment: String::new(),
            },
        },
        kinds,
        rate: figure(posterior.rate(said.map(|k| k.kind))),
        burst: figure(posterior.burst(said.map(|k| k.kind))),
        window: figure(posterior.window(said.map(|k| k.kind))),
        phase: figure(None),
        lockout: Finding::Unknown {
            reason: Reason::TooLittleData,
            detail: String::new(),
            experiment: String::new(),
        },
        refused_count: Finding::Unknown {
            reason: Reason::TooLittleData,
            detail: String::new(),
            experiment: String::new(),
        },
        scope: Finding::Unknown {
            reason: Reason::TooLittleData,
            detail: String::new(),
            experiment: String::new(),
        },
    }
}
