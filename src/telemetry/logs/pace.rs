//! What is worth a line about the pace of a scope: that its limit moved, that it is known now, that the
//! server's hints turned out wrong. The rate itself is a metric, and no news.

use crate::model::{Estimate, Pace, PaceReason};

/// An estimate that moved less than this is the same for people.
const SAME: f64 = 0.01;

/// Writes what is new in `pace` against what was told `before`.
pub(super) fn narrate(gate: &str, before: Option<&Pace>, pace: &Pace) {
    tracing::debug!(
        gate,
        state = pace.state.as_str(),
        rate = pace.rate,
        ceiling = pace.ceiling,
        reason = pace.reason.as_str(),
        in_flight_max = pace.in_flight_max,
        "pace"
    );
    if before.is_none_or(|told| told.reason != pace.reason) {
        match pace.reason {
            PaceReason::LimitFell => tracing::warn!(gate, rate = pace.rate, "the limit has fallen"),
            PaceReason::LimitRose => tracing::info!(gate, rate = pace.rate, "the limit has risen"),
            _ => {}
        }
    }
    estimated(gate, before.and_then(|told| told.estimate.as_ref()), pace.estimate.as_ref());
    let trusted = before.and_then(|told| told.hints_trusted);
    if pace.hints_trusted == Some(false) && trusted != Some(false) {
        tracing::warn!(gate, "quota hints contradict what is admitted: they are not believed");
    } else if pace.hints_trusted == Some(true) && trusted == Some(false) {
        tracing::info!(gate, "quota hints are believed again");
    }
}

/// Writes what is new in an estimate against what was `known`.
pub(super) fn estimated(gate: &str, known: Option<&Estimate>, estimate: Option<&Estimate>) {
    match estimate {
        Some(estimate) if is_news(known, estimate) => learned(gate, estimate),
        None if known.is_some() => tracing::info!(gate, "the limit is not known any more"),
        _ => {}
    }
}

fn is_news(known: Option<&Estimate>, estimate: &Estimate) -> bool {
    known.is_none_or(|known| {
        let moved = (estimate.rate.value - known.rate.value).abs() > SAME * known.rate.value;
        let named = known.limiter.as_str() != estimate.limiter.as_str();
        moved || named || known.source != estimate.source
    })
}

fn learned(gate: &str, estimate: &Estimate) {
    tracing::info!(
        gate,
        rate = estimate.rate.value,
        low = estimate.rate.low,
        high = estimate.rate.high,
        kind = estimate.limiter.as_str(),
        confidence = estimate.confidence,
        source = estimate.source.as_str(),
        throttles = estimate.throttles,
        "the limit, as far as it is known"
    );
}
