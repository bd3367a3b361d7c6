//! The adaptive rate of one scope: finds the highest rate that is admitted, and holds just under it.

use std::time::Duration;

use super::adaptive_settings::AdaptiveSettings;
use crate::model::{Answer, Estimate, Moment, Pace, PaceReason, PaceState};

/// The policy of one scope.
#[derive(Clone, Debug)]
pub struct Adaptive {
    settings: AdaptiveSettings,
    ceiling: f64,
    since: Moment,
    estimate: Option<Estimate>,
}

impl Adaptive {
    /// A policy that knows nothing, or what an earlier run remembered. `ceiling` is per second.
    #[must_use]
    pub fn new(
        settings: AdaptiveSettings,
        ceiling: f64,
        remembered: Option<Estimate>,
        now: Moment,
    ) -> Self {
        Self { settings, ceiling, since: now, estimate: remembered }
    }

    /// Configuration changed. What was learned stays.
    pub fn configure(&mut self, settings: AdaptiveSettings, ceiling: f64, now: Moment) {
        self.settings = settings;
        self.ceiling = ceiling;
        self.since = now;
    }

    /// The rate to pace at, all streams together, per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.ceiling
    }

    /// When [`Self::review`] is due.
    #[must_use]
    pub fn review_at(&self) -> Moment {
        Moment::NEVER
    }

    /// Time has passed: true when the rate, or the state, is another than before.
    pub fn review(&mut self, now: Moment) -> bool {
        let _ = now;
        false
    }

    /// Whether the learned model says that the server would refuse now.
    #[must_use]
    pub fn vetoes(&self, now: Moment) -> bool {
        let _ = now;
        false
    }

    /// Requests in flight that a recognised concurrency limit allows.
    #[must_use]
    pub fn in_flight_max(&self) -> Option<u32> {
        None
    }

    /// A request goes out: of an adaptive stream, or of another that shares the limit.
    pub fn sent(&mut self, now: Moment) {
        let _ = now;
    }

    /// An attempt ended. `later`: requests of the scope that were sent after this one.
    pub fn answered(&mut self, answer: &Answer, later: u64, now: Moment) {
        let _ = (answer, later, now);
    }

    /// A throttle closed the gate: a new epoch.
    pub fn closed(&mut self, now: Moment) {
        let _ = now;
    }

    /// The gate opened after it had held traffic for so long.
    pub fn opened(&mut self, held: Duration, now: Moment) {
        let _ = (held, now);
    }

    /// A fit came back; `None`: the record does not tell.
    pub fn estimated(&mut self, estimate: Option<Estimate>, now: Moment) {
        let _ = now;
        self.estimate = estimate;
    }

    /// Why the rate is what it is.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            state: PaceState::Ceiling,
            rate: self.rate(),
            ceiling: self.ceiling,
            reason: PaceReason::Start,
            changed_at: self.since,
            estimate: self.estimate.clone(),
            hints_trusted: None,
            in_flight_max: None,
        }
    }
}
