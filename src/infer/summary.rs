//! What the members of a posterior say together.

use std::time::Duration;

use super::families::Latency;
use super::fit::Member;
use crate::model::{Estimate, EstimateSource, Interval, Kind, Moment, Rate};

/// A record of one limit has, as a rule, a member of at least this weight, less so much for each trip
/// beyond the second.
const CONTRADICTED: (f64, f64) = (-23.5, 1.0);

/// Whether two limiters differ in their numbers alone, as a limit does before and after a vendor has
/// raised it.
pub(super) fn alike(a: &Kind, b: &Kind) -> bool {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
    match (a, b) {
        (Kind::FixedWindow { window: a, .. }, Kind::FixedWindow { window: b, .. })
        | (Kind::OnDemandWindow { window: a, .. }, Kind::OnDemandWindow { window: b, .. })
        | (Kind::SlidingLog { window: a, .. }, Kind::SlidingLog { window: b, .. })
        | (Kind::SlidingCounter { window: a, .. }, Kind::SlidingCounter { window: b, .. }) => {
            close(a.as_secs_f64(), b.as_secs_f64())
        }
        (Kind::TokenBucket { rate, burst }, Kind::TokenBucket { rate: was, burst: had }) => {
            let seconds = |burst: u64, rate: Rate| burst as f64 / rate.per_second();
            burst == had || close(seconds(*burst, *rate), seconds(*had, *was))
        }
        (Kind::Concurrency { .. }, Kind::Concurrency { .. }) => true,
        _ => false,
    }
}

/// What the members say together. `None`: the best of them contradicts the record.
pub(super) fn summary(
    members: &[Member],
    latency: &Latency,
    source: EstimateSource,
    throttles: u32,
    at: Moment,
) -> Option<Estimate> {
    let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
    if !best.is_finite() {
        return None;
    }
    let total: f64 = members.iter().map(|m| (m.weight - best).exp()).sum();
    let share = |m: &Member| (m.weight - best).exp() / total;
    let mut points: Vec<(f64, f64)> = members
        .iter()
        .flat_map(|m| {
            let third = share(m) / 3.0;
            [-1.22, 0.0, 1.22].map(|z| (m.rate + z * m.spread, third))
        })
        .filter(|(rate, _)| *rate > 0.0)
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quantile = |q: f64| {
        let mut sum = 0.0;
        points.iter().find(|(_, w)| {
            sum += w;
            sum >= q
        })
    };
    let value = quantile(0.5)?.0;
    let kinds = kind_shares(members, share);
    let (kind, confidence) = kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let likeliest = members
        .iter()
        .filter(|m| m.kind.as_str() == kind)
        .max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    Some(Estimate {
        rate: Interval {
            value,
            low: quantile(0.025)?.0,
            high: quantile(0.975).map_or(value, |p| p.0),
        },
        cautious: quantile(0.1)?.0,
        limiter: likeliest.kind,
        confidence,
        jitter: Duration::try_from_secs_f64(latency.jitter_max).unwrap_or_default(),
        source,
        throttles,
        at,
    })
}

fn kind_shares(members: &[Member], share: impl Fn(&Member) -> f64) -> Vec<(&'static str, f64)> {
    let mut kinds: Vec<(&'static str, f64)> = Vec::new();
    for m in members {
        let name = m.kind.as_str();
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += share(m),
            None => kinds.push((name, share(m))),
        }
    }
    kinds
}

/// Whether no single limit explains a record with so many trips.
pub(super) fn contradicted(members: &[Member], trips: usize) -> bool {
    let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
    best < CONTRADICTED.0 - CONTRADICTED.1 * (trips as f64 - 2.0)
}
