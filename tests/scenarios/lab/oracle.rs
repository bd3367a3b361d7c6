//! What could have been admitted at most, below the ceiling, by somebody who knows the limiter's state.
//!
//! The oracle sends at the even slots of the ceiling, as no client may send faster, and only where the
//! limiter would admit; it begins with what the limiter remembers at the start of the measurement (a
//! bucket that is full then counts for it), without any lockout. The last of the windows that begin on demand is
//! filled early: only its part before the end counts, as it does for whoever sends evenly. Two limits admit less to any client that
//! does not see the server: a bucket of one refuses what jitter brings too close, and a place of a
//! concurrency limit is known to be free only after a round trip. Their oracles are formulas.

use std::time::Duration;

use plimsoll::limiter::{Decision, Layers, Limiter as Model};
use plimsoll::model::{Moment, Rate};

use super::case::{Case, identity};
use super::words::Limiter;

/// The most that could be admitted in a span that begins with gateways in these states.
pub(crate) fn most(case: &Case, gateways: &[Layers], start: Moment, end: Moment) -> f64 {
    let time = end.since(start).as_secs_f64();
    let ceiling = case.ceiling_rate();
    if case.is_single() || matches!(case.limiter, Limiter::Concurrency(_)) {
        return steady(case).min(ceiling) * time;
    }
    let slots = Rate::from_per_second(ceiling).expect("a rate of a ceiling");
    let alone = |layers: &Layers| {
        let limiter = layers.limiter(0, &identity()).expect("one layer");
        let (before, last) = greedy(limiter.without_lockout(), slots, start, end);
        // A window that begins on demand is filled at once; of the last, only a part lies before the end. Others'
        // windows end when the measurement does.
        let inside = match case.limiter {
            Limiter::OnDemandWindow => {
                (end.since(last.began).as_secs_f64() / case.window().as_secs_f64()).min(1.0)
            }
            _ => 1.0,
        };
        before as f64 + last.admitted as f64 * inside
    };
    // With several gateways each is filled; all of them together are offered no more than the ceiling.
    gateways.iter().map(alone).sum::<f64>().min(ceiling * time)
}

/// What could be admitted for ever, per second, were there no ceiling.
///
/// A sliding counter admits one request less in each window than it says: the last of as many as it says
/// would have to come at the very end of the window, when the one before no longer weighs anything.
pub(crate) fn steady(case: &Case) -> f64 {
    let cap = case.cap() * case.change_factor().unwrap_or(1.0);
    match case.limiter {
        _ if case.is_single() => 1.0 / (1.0 / cap + slack(case).as_secs_f64()),
        Limiter::SlidingCounter => cap - f64::from(case.shards) / case.window().as_secs_f64(),
        _ => cap,
    }
}

/// How much closer together two requests may arrive than they were sent. Each is late by a uniform
/// time in 0..=J, so the difference is triangular, and is above d with probability (J − d)² / 2J²: its
/// 99.9th percentile is J (1 − √0.002). Where a refusal costs too much to happen once in a thousand
/// requests, all of J.
fn slack(case: &Case) -> Duration {
    let part = if case.epochs_are_dear() { 1.0 } else { 1.0 - 0.002_f64.sqrt() };
    case.jitter.mul_f64(part)
}

/// What was admitted since the last refusal that anything followed.
struct Last {
    admitted: u64,
    began: Moment,
}

/// What was admitted before the last refusal that was followed by anything, and since.
fn greedy(mut limiter: Model, slots: Rate, start: Moment, end: Moment) -> (u64, Last) {
    let (mut before, mut slot) = (0, 0);
    let mut last = Last { admitted: 0, began: start };
    loop {
        let at = start + Duration::from_nanos(slots.nanos_to(slot));
        if at >= end {
            return (before, last);
        }
        match limiter.check(at) {
            Decision::Admitted { .. } => {
                limiter.decide(at);
                last.admitted += 1;
                slot += 1;
            }
            Decision::Refused { retry_after } => {
                // The first slot that is not before then.
                let then = (at + retry_after).since(start).as_nanos() as u64;
                slot = slots.events_through(then.saturating_sub(1)).max(slot + 1);
                let began = start + Duration::from_nanos(slots.nanos_to(slot));
                if began < end {
                    before += last.admitted;
                    last = Last { admitted: 0, began };
                }
            }
        }
    }
}
