//! One stream as the checker sees it, and its ceiling.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::StreamPlan;
use plimsoll::model::{Moment, StreamInfo};

use crate::checker::{Check, ensure};

/// A stream as the checker sees it.
pub(crate) struct StreamState {
    pub(crate) info: Arc<StreamInfo>,
    pub(crate) plan: StreamPlan,
    pub(crate) added_at: Moment,
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) skipped: u64,
    pub(crate) ended: u64,
    pub(crate) messages: u64,
    pub(crate) resends: u64,
    /// The most the retry budget ever allowed, over the plans it has had.
    pub(crate) budget_ratio: f64,
    pub(crate) budget_reserve: f64,
    pub(crate) sends: Vec<Moment>,
    pub(crate) last_due: Option<Moment>,
    pub(crate) rates: Vec<f64>,
    pub(crate) catch_up: u32,
    pub(crate) poisson: bool,
    /// It takes its slots from a plan that it shares with others, at least for some of the time.
    pub(crate) adaptive: bool,
    /// It may change from one kind of plan to the other.
    pub(crate) switches: bool,
    /// It is not in the second plan, or not the same there: after the reload its slots end.
    pub(crate) retiring: bool,
    pub(crate) removed: bool,
}

impl StreamState {
    /// Whether its plan is more than a rate from the start: then arithmetic alone does not tell.
    pub(crate) fn changes(&self) -> bool {
        self.rates.len() > 1 || self.plan.schedule.ramp > Duration::ZERO || self.retiring
    }

    /// No slot of the plan is lost, none is invented. A stream that is held back counts its skips once
    /// a second.
    pub(crate) fn adds_up(&self, now: Moment) -> Check {
        let rate = self.info.rate.per_second();
        let planned = rate * now.since(self.added_at).as_secs_f64();
        let scheduled = self.scheduled as f64;
        // A stream that shares a plan may have less than its rate, and is ahead of it by no more than
        // its turn's one and another's one that it stood in for.
        let least = if self.adaptive { 0.0 } else { planned - (rate * 1.0 + 3.0) };
        let most = planned + if self.adaptive { 4.0 } else { 2.0 };
        ensure(scheduled <= most && scheduled >= least, || {
            let name = &self.info.name;
            format!("{name}: {scheduled} slots of {planned} planned at {now:?}")
        })
    }
}

/// Invariant 1: in any window, sends ≤ slots planned in it + catch-up bound + 1.
pub(crate) fn ceiling_holds(stream: &StreamState) -> Check {
    let rate = stream.rates.iter().copied().fold(0.0, f64::max);
    // A change of rate, or of the kind of plan, starts a new plan within the same window.
    let plans = (stream.rates.len() + usize::from(stream.switches)) as f64;
    // Whose turn it is varies by one.
    let ahead = if stream.adaptive { 1.0 } else { 0.0 };
    for window_ms in [1_u64, 20, 300, 1_000, 10_000] {
        let window = Duration::from_millis(window_ms);
        let planned = (rate * window.as_secs_f64()).floor() + 1.0;
        let most = planned + ahead + (f64::from(stream.catch_up) + 1.0) * plans + (plans - 1.0);
        let mut first = 0;
        for (i, at) in stream.sends.iter().enumerate() {
            while at.since(stream.sends[first]) >= window {
                first += 1;
            }
            let sends = (i - first + 1) as f64;
            ensure(sends <= most, || {
                format!(
                    "{}: {sends} sends in {window:?} before {at:?}, most {most}",
                    stream.info.name
                )
            })?;
        }
    }
    Ok(())
}
