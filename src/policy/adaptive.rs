//! The adaptive rate of one scope: finds the highest rate that is admitted, and holds just under it.
//!
//! It *seeks*: raises the rate, slower and slower the more is known, until a refusal shows where the
//! limit is. When the estimate is narrow, it *holds* just under it. Where configuration allows, it
//! *explores* once in a while: raises the rate from there, to see whether the limit has risen. One
//! refusal is one lesson: whatever else was in flight when it came is not another.

use std::time::Duration;

use super::adaptive_settings::AdaptiveSettings;
use super::shadow::Shadow;
use crate::model::{Answer, Estimate, Kind, Moment, Pace, PaceReason, PaceState};

/// How often a rate that rises is raised.
const STEP: Duration = Duration::from_millis(250);
/// The first rate as a share of the ceiling, and how fast it rises at first, per second: from there to
/// the ceiling in half a minute.
const FIRST_SHARE: f64 = 1.0 / 64.0;
const FIRST_GROWTH: f64 = 0.139;
/// A rate that nobody minds, per second: the first is not lower, unless the ceiling is.
const HARMLESS: f64 = 1.0;
/// An estimate whose ends are closer than this is known well enough to be held.
const KNOWN: f64 = 1.04;
/// A search from the low end of an estimate reaches its far end in about this long, in seconds ...
const SEEK_S: f64 = 20.0;
/// ... but rises no faster and no slower than this, per second.
const GROWTH: (f64, f64) = (0.004, 0.1);

/// A kind is believed from here on.
const CONFIDENT: f64 = 0.8;

/// The policy of one scope.
#[derive(Clone, Debug)]
pub struct Adaptive {
    settings: AdaptiveSettings,
    ceiling: f64,
    mode: Mode,
    /// The gate is closed.
    closed: bool,
    rate: f64,
    reason: PaceReason,
    changed_at: Moment,
    next_step: Moment,
    estimate: Option<Estimate>,
    shadow: Shadow,
    /// When the present mode began.
    since: Moment,
    /// What the latest pause cost.
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// The rate rises by this share in a second.
    Seek {
        growth: f64,
    },
    Hold,
    Explore {
        growth: f64,
    },
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
        let first = (ceiling * FIRST_SHARE).max(HARMLESS).min(ceiling);
        let mut policy = Self {
            settings,
            ceiling,
            mode: Mode::Seek { growth: FIRST_GROWTH },
            closed: false,
            rate: first,
            reason: PaceReason::Start,
            changed_at: now,
            next_step: now + STEP,
            estimate: None,
            shadow: Shadow::default(),
            since: now,
            pause: Duration::ZERO,
        };
        if remembered.is_some() {
            policy.estimated(remembered, now);
            policy.reason = PaceReason::Remembered;
        }
        policy
    }

    /// Configuration changed. What was learned stays.
    pub fn configure(&mut self, settings: AdaptiveSettings, ceiling: f64, now: Moment) {
        self.settings = settings;
        if ceiling != self.ceiling {
            self.ceiling = ceiling;
            self.changed_at = now;
            self.reason = PaceReason::Ceiling;
        }
    }

    /// The rate to pace at, all streams together, per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate.min(self.ceiling)
    }

    /// When [`Self::review`] is due.
    #[must_use]
    pub fn review_at(&self) -> Moment {
        if self.closed { Moment::NEVER } else { self.next_step }
    }

    /// Time has passed: true when the rate, or the state, is another than before.
    pub fn review(&mut self, now: Moment) -> bool {
        if self.closed || now < self.next_step {
            return false;
        }
        let late = now.since(self.next_step).min(STEP);
        let dt = (STEP + late).as_secs_f64();
        self.next_step = now + STEP;
        match self.mode {
            Mode::Seek { growth } | Mode::Explore { growth } => {
                if self.rate >= self.ceiling {
                    self.rate = self.ceiling;
                    return false;
                }
                self.rate = (self.rate * (growth * dt).exp()).min(self.ceiling);
                self.reason = PaceReason::Admitted;
                self.changed_at = now;
                true
            }
            Mode::Hold => false,
        }
    }

    /// Whether the learned model says that the server would refuse now.
    #[must_use]
    pub fn vetoes(&self, now: Moment) -> bool {
        self.mode == Mode::Hold && self.shadow.vetoes(now)
    }

    /// Requests in flight that a recognised concurrency limit allows.
    #[must_use]
    pub fn in_flight_max(&self) -> Option<u32> {
        let estimate = self.estimate.as_ref().filter(|e| e.confidence > CONFIDENT)?;
        match estimate.limiter {
            Kind::Concurrency { limit } => u32::try_from(limit).ok(),
            _ => None,
        }
    }

    /// A request goes out: of an adaptive stream, or of another that shares the limit.
    pub fn sent(&mut self, now: Moment) {
        self.shadow.sent(now);
    }

    /// An attempt ended. `later`: requests of the scope that were sent after this one.
    pub fn answered(&mut self, answer: &Answer, later: u64, now: Moment) {
        let _ = (answer, later, now);
    }

    /// A throttle closed the gate: a new epoch.
    pub fn closed(&mut self, now: Moment) {
        if self.closed {
            return;
        }
        self.closed = true;
        let mode = Mode::Seek { growth: GROWTH.0 };
        self.turn(mode, self.rate() * 0.7, PaceReason::Throttled, now);
    }

    /// The gate opened after it had held traffic for so long.
    pub fn opened(&mut self, held: Duration, now: Moment) {
        self.closed = false;
        self.pause = held;
        self.next_step = now + STEP;
    }

    /// A fit came back; `None`: the record does not tell.
    pub fn estimated(&mut self, estimate: Option<Estimate>, now: Moment) {
        self.estimate = estimate;
        let Some(estimate) = &self.estimate else { return };
        let rate = estimate.rate;
        let base = estimate.cautious;
        if rate.spread() <= KNOWN || base >= 0.985 * rate.value {
            let kind = estimate.limiter;
            self.shadow.adopt((estimate.confidence > CONFIDENT).then_some(kind));
            self.turn(Mode::Hold, base * (1.0 - self.settings.margin), PaceReason::Estimated, now);
        } else {
            let start = rate.low.max(rate.value * 0.3);
            let growth = (1.25 * rate.value / start).ln() / SEEK_S;
            let mode = Mode::Seek { growth: growth.clamp(GROWTH.0, GROWTH.1) };
            self.shadow.adopt(None);
            self.turn(mode, start, PaceReason::Estimated, now);
        }
    }

    fn turn(&mut self, mode: Mode, rate: f64, reason: PaceReason, now: Moment) {
        self.mode = mode;
        self.rate = rate.min(self.ceiling);
        self.reason = reason;
        self.changed_at = now;
        self.since = now;
        self.next_step = now + STEP;
    }

    /// Why the rate is what it is.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let state = match self.mode {
            _ if self.closed => PaceState::Paused,
            Mode::Seek { .. } if self.rate >= self.ceiling => PaceState::Ceiling,
            Mode::Seek { .. } => PaceState::Seeking,
            Mode::Hold => PaceState::Holding,
            Mode::Explore { .. } => PaceState::Exploring,
        };
        Pace {
            state,
            rate: self.rate(),
            ceiling: self.ceiling,
            reason: self.reason,
            changed_at: self.changed_at,
            estimate: self.estimate.clone(),
            hints_trusted: None,
            in_flight_max: self.in_flight_max(),
        }
    }
}
