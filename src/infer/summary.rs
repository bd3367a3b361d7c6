//! What the members of a posterior say together.

use std::time::Duration;

use super::families::Latency;
use super::fit::Member;
use crate::model::{Estimate, EstimateSource, Interval, Kind, Moment, Rate};

/// A record of one limit has, as a rule, a member of at least this weight, less so much for each trip
/// beyond the second.
const CONTRADICTED: (f64, f64) = (-23.5, 1.0);
/// The same where jitter alone empties a bucket: every refusal is an accident.
const ACCIDENT: f64 = 8.0;

/// What two limiters have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alike {
    /// They differ in their numbers alone, as a limit does before and after a vendor has raised it.
    Kind,
    /// Both count over windows of the same length: it is easily mistaken how they do.
    Window,
    Nothing,
}

/// What two limiters have in common.
pub(super) fn alike(a: &Kind, b: &Kind) -> Alike {
    let close = |a: f64, b: f64| (a / b - 1.0).abs() < 0.02;
    let same = match (a, b) {
        (Kind::TokenBucket { rate, burst }, Kind::TokenBucket { rate: was, burst: had }) => {
            let seconds = |burst: u64, rate: Rate| burst as f64 / rate.per_second();
            burst == had || close(seconds(*burst, *rate), seconds(*had, *was))
        }
        (Kind::Concurrency { .. }, Kind::Concurrency { .. }) => true,
        _ => {
            let windows = window(a).zip(window(b));
            return match windows.is_some_and(|(a, b)| close(a, b)) {
                true if a.as_str() == b.as_str() => Alike::Kind,
                true => Alike::Window,
                false => Alike::Nothing,
            };
        }
    };
    if same { Alike::Kind } else { Alike::Nothing }
}

/// The window that a limiter counts over, in seconds.
const fn window(kind: &Kind) -> Option<f64> {
    match kind {
        Kind::FixedWindow { window, .. }
        | Kind::OnDemandWindow { window, .. }
        | Kind::SlidingLog { window, .. }
        | Kind::SlidingCounter { window, .. } => Some(window.as_secs_f64()),
        _ => None,
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

/// The member that explains a record best, and how likely it is under it, as a logarithm.
fn likeliest(members: &[Member]) -> (Option<&Member>, f64) {
    let best = members.iter().max_by(|a, b| a.weight.total_cmp(&b.weight));
    (best, best.map_or(f64::NEG_INFINITY, |m| m.weight))
}

/// How likely a record is under the member that explains it best, as a logarithm.
pub(super) fn best(members: &[Member]) -> f64 {
    likeliest(members).1
}

/// What one more trip may cost, as a logarithm: where jitter alone empties a bucket, every refusal is an accident.
pub(super) fn per_trip(members: &[Member]) -> f64 {
    match likeliest(members).0.map(|m| m.kind) {
        Some(Kind::TokenBucket { burst: 1, .. }) => ACCIDENT,
        _ => CONTRADICTED.1,
    }
}

/// Whether no single limit explains a record with so many trips.
pub(super) fn contradicted(members: &[Member], trips: usize) -> bool {
    best(members) < CONTRADICTED.0 - per_trip(members) * (trips as f64 - 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_window_is_something_in_common() {
        let second = Duration::from_secs(1);
        let log = |limit, window| Kind::SlidingLog { limit, window };
        let demanded = Kind::OnDemandWindow { limit: 10, window: second };
        assert_eq!(alike(&log(10, second), &log(6, second)), Alike::Kind);
        assert_eq!(alike(&log(10, second), &demanded), Alike::Window);
        assert_eq!(alike(&log(10, second), &log(10, second * 2)), Alike::Nothing);
        assert_eq!(alike(&demanded, &Kind::Concurrency { limit: 10 }), Alike::Nothing);
        let bucket = |burst| Kind::TokenBucket { rate: Rate::nearest(10.0), burst };
        assert_eq!(alike(&bucket(10), &bucket(10)), Alike::Kind);
        assert_eq!(alike(&bucket(10), &bucket(40)), Alike::Nothing);
    }

    #[test]
    fn accidents_of_jitter_are_no_contradiction() {
        let member = |burst, weight| Member {
            kind: Kind::TokenBucket { rate: Rate::nearest(10.0), burst },
            rate: 10.0,
            spread: 0.1,
            weight,
        };
        assert!(contradicted(&[member(10, -40.0)], 5) && !contradicted(&[member(1, -40.0)], 5));
        assert!(contradicted(&[member(1, -60.0)], 5));
        assert_eq!(best(&[]), f64::NEG_INFINITY);
    }
}
