//! What is worth a line about a limit: that it moved, and what is known of it where no pace tells.

use super::narrate::time;
use crate::model::{Knowledge, LimitChange, LimitDirection, WallOffset};

/// Writes that a limit moved.
pub(super) fn moved(gate: &str, wall: WallOffset, change: &LimitChange) {
    let LimitChange { direction, from, to, confidence, since, at } = *change;
    let rate = |value: f64, high: f64| {
        let least = if high.is_finite() { "" } else { "at least " };
        // Two digits after the point for rates of a few a minute, none where they say nothing.
        let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
        format!("{least}{value:.digits$}/s")
    };
    let (was, is) = (rate(from.value, from.high), rate(to.value, to.high));
    let (since, at) = (time(wall, since), time(wall, at));
    let clock = since.get(11..19).unwrap_or(&since);
    match direction {
        LimitDirection::Fell => tracing::warn!(
            gate,
            from = from.value,
            to = to.value,
            to_low = to.low,
            to_high = to.high,
            confidence,
            since,
            at,
            "limit fell from {was} to {is} at {clock}, confidence {confidence:.2}"
        ),
        LimitDirection::Rose => tracing::info!(
            gate,
            from = from.value,
            to = to.value,
            to_low = to.low,
            to_high = to.high,
            confidence,
            since,
            at,
            "limit rose from {was} to {is} at {clock}, confidence {confidence:.2}"
        ),
    }
}

/// Writes what is new in `known` against what was told `before`, of a gate without a pace.
pub(super) fn known(gate: &str, before: Option<&Knowledge>, known: &Knowledge) {
    let told = before.and_then(|told| told.estimate.as_ref());
    super::pace::estimated(gate, told, known.estimate.as_ref());
}
