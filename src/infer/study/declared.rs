//! What headers, refusals and the declared-limits API say, beside what was measured.

use super::conclusion::DeclaredFinding;
use super::observations::{Named, Observations};
use super::posterior::Posterior;

/// Numbers closer than this are the same.
const SAME: f64 = 0.03;

/// Everything that is said.
pub(super) fn declared(
    observations: &Observations,
    posterior: Option<&Posterior>,
) -> Vec<DeclaredFinding> {
    let burst = posterior.and_then(|p| p.burst(None)).map(|f| f.value);
    let measured = burst.map_or_else(
        || "nothing was measured".to_owned(),
        |burst| format!("{burst:.0} requests from rest"),
    );
    let agrees = |limit: Option<f64>| {
        let (limit, burst) = (limit?, burst?);
        Some((limit / burst - 1.0).abs() < SAME || (limit - burst).abs() <= 1.0)
    };
    let mut all = Vec::new();
    let limits: std::collections::BTreeSet<u64> =
        observations.attempts.iter().filter_map(|a| Some(a.quota?.limit)).collect();
    for limit in limits {
        all.push(DeclaredFinding {
            source: "quota hints".into(),
            says: format!("{limit} requests in a quota"),
            named: None,
            agrees: agrees(Some(limit as f64)),
            measured: measured.clone(),
        });
    }
    let value = |named: &Named| named.value.as_ref().and_then(|v| v.trim().parse::<f64>().ok());
    let says = |named: &Named| {
        let value = named.value.as_ref().map_or(String::new(), |v| format!(" of {v}"));
        format!("{}{value}", named.key)
    };
    for (named, times) in &observations.named {
        all.push(DeclaredFinding {
            source: "named limit".into(),
            says: format!("{} ({times} refusals)", says(named)),
            named: Some(named.clone()),
            agrees: agrees(value(named)),
            measured: measured.clone(),
        });
    }
    for named in &observations.declared {
        all.push(DeclaredFinding {
            source: "declared-limits API".into(),
            says: says(named),
            named: Some(named.clone()),
            agrees: agrees(value(named)),
            measured: measured.clone(),
        });
    }
    all
}
