//! What is good enough, as gauges: alerting rules compare with them.

use super::catalog as c;
use super::sheet::Sheet;
use crate::model::Objectives;

pub(super) fn collect(sheet: &mut Sheet, goals: &Objectives) {
    for (family, value) in [
        (&c::GOAL_THROTTLED, goals.throttled_ratio),
        (&c::GOAL_GOODPUT, goals.goodput_ratio),
        (&c::GOAL_LIMIT_FALL, goals.limit_fall_ratio),
        (&c::GOAL_GROWTH, goals.growth_ratio),
        (&c::GOAL_LATENCY, goals.latency.as_secs_f64()),
        (&c::GOAL_HELD, goals.held_ratio),
        (&c::GOAL_SKIPPED, goals.skipped_ratio),
        (&c::GOAL_SPANS_LOST, goals.spans_lost_ratio),
        (&c::GOAL_TOKEN, goals.token_validity.as_secs_f64()),
        (&c::GOAL_HEARTBEAT, goals.heartbeat.as_secs_f64()),
    ] {
        sheet.put(family, &[], value);
    }
}
