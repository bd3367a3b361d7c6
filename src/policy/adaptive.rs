//! The adaptive rate of one scope: finds the highest rate that is admitted, and holds just under it.
//!
//! It *seeks*: raises the rate, slower and slower the more is known, until a refusal shows where the
//! limit is. When the estimate is narrow, it *holds* just under it. Where configuration allows, it
//! *explores* once in a while: raises the rate from there, to see whether the limit has risen. One
//! refusal is one lesson: whatever else was in flight when it came is not another.

mod fits;
mod hinted;

use std::time::Duration;

use super::adaptive_settings::AdaptiveSettings;
use super::crowd::Crowd;
use super::exploration::Exploration;
use super::feel::Feel;
use super::hints::HintGuard;
use super::latency::Latency;
use super::shadow::Shadow;
use crate::model::{Answer, Estimate, Kind, Moment, Pace, PaceReason, PaceState, Verdict};

/// How often a rate that rises is raised.
const STEP: Duration = Duration::from_millis(250);
/// The first rate as a share of the ceiling, and how fast it rises at first, per second: from there to
/// the ceiling in half a minute.
const FIRST_SHARE: f64 = 1.0 / 64.0;
const FIRST_GROWTH: f64 = 0.139;
/// A rate that nobody minds, per second: the first is not lower, unless the ceiling is.
const HARMLESS: f64 = 1.0;
/// A kind is believed from here on.
const CONFIDENT: f64 = 0.8;
/// What has been held for so long, and for so many pauses, is known to hold.
const SETTLED: Duration = Duration::from_secs(60);
const SETTLED_PAUSES: u32 = 10;
/// How long a rate that was held too high is held lower before it may rise again, and by how much.
const FORGIVE: (Duration, f64) = (Duration::from_secs(300), 1.01);
/// How often a rate that is held is looked at.
const HELD_STEP: Duration = Duration::from_secs(1);
/// A rate so far above the estimate's interval has passed it; a look takes two windows to get there from below it, and
/// at least this many seconds.
const PASSED: f64 = 1.03;
const LOOK_LEAST_S: f64 = 10.0;
/// Where requests in flight are limited, slots come so much faster than answers.
const SPARE: f64 = 1.3;
/// And no more than so many times as many as there are believed to be may be in flight.
const TWICE: f64 = 2.0;
/// How fast it rises where nobody knows better, per second.
const SLOW: f64 = 0.004;
/// How fast the rate rises above a limit that has risen, per second.
const RISE: f64 = 0.02;

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
    exploration: Exploration,
    hints: HintGuard,
    latency: Latency,
    /// What the latest refusal found: the mode, and the rate.
    tripped: Option<(Mode, f64)>,
    /// The share of the estimate's rate that is held; less than 1 after refusals that the estimate does
    /// not explain.
    trust: f64,
    feel: Feel,
    crowd: Crowd,
    /// Hints have said that nothing is left, and the reset has not come.
    exhausted: bool,
    /// Refusals since the latest long stretch without.
    trips: u32,
    /// Those of them that came at a rate which the estimate had allowed.
    surprises: u32,
    /// How often since then the limit seemed to have fallen.
    falls: u32,
    /// Since when a rate has been held.
    held_since: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// The rate rises by this share in a second; up to the target, where it is held, if there is one.
    Seek {
        growth: f64,
        target: Option<f64>,
    },
    Hold,
    Explore {
        growth: f64,
    },
    /// No estimate explains the refusals.
    Feel,
}

impl Mode {
    /// The search of somebody who knows nothing.
    const FIRST: Self = Self::Seek { growth: FIRST_GROWTH, target: None };
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
        let mut policy = Self {
            settings,
            ceiling,
            mode: Mode::FIRST,
            closed: false,
            rate: first(ceiling),
            reason: PaceReason::Start,
            changed_at: now,
            next_step: now + STEP,
            estimate: None,
            shadow: Shadow::default(),
            exploration: Exploration::default(),
            hints: HintGuard::default(),
            latency: Latency::default(),
            tripped: None,
            trust: 1.0,
            feel: Feel::default(),
            crowd: Crowd::default(),
            exhausted: false,
            trips: 0,
            surprises: 0,
            falls: 0,
            held_since: now,
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
            if self.mode == Mode::Hold {
                // A rate that was cut to the old ceiling may follow the estimate again.
                self.rate = self.held_rate().unwrap_or(self.rate);
            } else if self.mode == Mode::FIRST {
                // The ceiling of the first moment was that of a ramp.
                self.rate = self.rate.max(first(ceiling));
            }
        }
    }

    /// The rate to pace at, all streams together, per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        // Where requests in flight are what is limited, answers set the pace.
        let spare = if self.in_flight_max().is_some() { SPARE } else { 1.0 };
        let rate = (self.rate * spare).min(self.ceiling) * self.latency.share();
        match self.mode {
            Mode::Hold => rate,
            Mode::Seek { target: Some(_), .. } if self.states_window() => rate,
            Mode::Seek { .. } | Mode::Explore { .. } | Mode::Feel => {
                rate.min(self.hints.rate_max())
            }
        }
    }

    /// When [`Self::review`] is due.
    #[must_use]
    pub fn review_at(&self) -> Moment {
        if self.closed { Moment::NEVER } else { self.next_step }
    }

    /// Time has passed.
    pub fn review(&mut self, now: Moment) {
        self.hints.review(now);
        if self.closed || now < self.next_step {
            return;
        }
        self.look_at_hints(now);
        let dt = (STEP + now.since(self.next_step).min(STEP)).as_secs_f64();
        self.next_step = now + STEP;
        match self.mode {
            Mode::Seek { growth, target } => {
                let first = self.mode == Mode::FIRST;
                self.climb(if first { self.first_growth() } else { growth }, dt, now);
                if let Some(target) = target.filter(|target| self.rate >= *target) {
                    self.turn(Mode::Hold, target, PaceReason::Admitted, now);
                }
            }
            Mode::Explore { growth } => {
                if self.estimate.as_ref().is_some_and(|e| self.rate > e.rate.high * PASSED) {
                    self.estimate = None;
                    self.exploration.ended(now, Duration::ZERO, &self.settings);
                    let mode = Mode::Seek { growth: RISE, target: None };
                    self.turn(mode, self.rate, PaceReason::LimitRose, now);
                }
                self.climb(growth, dt, now);
            }
            Mode::Hold => self.review_held(now),
            Mode::Feel => {
                self.rate = self.feel.rate(now).min(self.ceiling);
                self.reason = PaceReason::Admitted;
            }
        }
    }

    fn review_held(&mut self, now: Moment) {
        self.next_step = now + HELD_STEP;
        if self.trust < 1.0 && now.since(self.changed_at) >= FORGIVE.0 {
            self.trust = (self.trust * FORGIVE.1).min(1.0);
            if let Some(rate) = self.held_rate() {
                self.turn(Mode::Hold, rate, PaceReason::Admitted, now);
                return;
            }
        }
        let hinted = self.hints.trusted() == Some(true);
        if hinted || self.rate >= self.ceiling || !self.exploration.is_due(now, &self.settings) {
            return;
        }
        let Some(estimate) = &self.estimate else {
            return;
        };
        let far = (estimate.rate.high * PASSED / self.rate).ln().max(PASSED - 1.0);
        let time_s = (2.0 * estimate.limiter.window().as_secs_f64()).max(LOOK_LEAST_S);
        let growth = (far / time_s).min(RISE);
        self.exploration.began();
        self.shadow.adopt(None);
        self.turn(Mode::Explore { growth }, self.rate, PaceReason::Explored, now);
    }

    /// Whether the learned model says that the server would refuse now.
    #[must_use]
    pub fn vetoes(&self, now: Moment) -> bool {
        // A model that is believed knows what comes free while requests are under way; a hint is as
        // old as its answer.
        self.shadow.vetoes(now).unwrap_or_else(|| self.hints.vetoes(now))
    }

    /// Requests in flight that a recognised concurrency limit allows.
    #[must_use]
    pub fn in_flight_max(&self) -> Option<u32> {
        if self.mode == Mode::Feel {
            return self.crowd.most();
        }
        let estimate = self.estimate.as_ref().filter(|e| e.confidence > CONFIDENT)?;
        let Kind::Concurrency { limit } = estimate.limiter else { return None };
        // While it is looked for, as many as there may be: with fewer, nobody is ever refused.
        let share = match self.mode {
            Mode::Seek { .. } => (estimate.rate.high / estimate.rate.value).min(TWICE),
            _ => 1.0,
        };
        u32::try_from((limit as f64 * share).round() as u64).ok()
    }

    /// A request goes out: of an adaptive stream, or of another that shares the limit.
    pub fn sent(&mut self, now: Moment) {
        self.shadow.sent(now);
        self.hints.sent();
        self.crowd.sent(now);
    }

    /// An attempt ended. `later`: requests of the scope that were sent after this one.
    pub fn answered(&mut self, answer: &Answer, later: u64, now: Moment) {
        let lied = self.hints.lie();
        self.hints.answered(answer, later, now);
        if self.hints.lie() && !lied {
            self.look_away_from_hints(now);
        }
        self.crowd.ended(later, answer.verdict == Verdict::Accepted, now);
        match answer.verdict {
            Verdict::Throttled => {
                self.crowd.refused(later, now);
                self.exploration.refused();
                self.feel.refused();
            }
            Verdict::Accepted => {
                self.feel.admitted(now);
                self.latency.answered(answer, self.settings.latency_max, now);
            }
            _ => {}
        }
    }

    /// A throttle closed the gate: a new epoch.
    pub fn closed(&mut self, now: Moment) {
        if self.closed {
            return;
        }
        self.closed = true;
        let rate = self.rate().min(self.rate);
        let held = matches!(self.mode, Mode::Hold | Mode::Explore { .. });
        if held && now.since(self.held_since) >= SETTLED.max(self.feel.pause() * SETTLED_PAUSES) {
            (self.trips, self.surprises, self.falls) = (0, 0, 0);
        }
        self.trips += 1;
        let allowed = matches!(self.mode, Mode::Hold | Mode::Seek { target: Some(_), .. });
        self.surprises += u32::from(allowed);
        self.feel.tripped(rate, self.mode == Mode::Feel, now);
        self.tripped = Some((self.mode, rate));
        let mode = match self.mode {
            Mode::Feel => Mode::Feel,
            _ => Mode::Seek { growth: SLOW, target: None },
        };
        self.turn(mode, rate * 0.7, PaceReason::Throttled, now);
    }

    /// The gate is closed by what happened before this policy began: no lesson, only a pause.
    pub const fn rest(&mut self) {
        self.closed = true;
    }

    /// The gate opened after it had held traffic for so long.
    pub fn opened(&mut self, held: Duration, now: Moment) {
        self.closed = false;
        self.next_step = now + STEP;
        self.exploration.ended(now, held, &self.settings);
        self.feel.opened(held, now);
        self.crowd.opened();
        if self.mode == Mode::Feel {
            self.rate = self.feel.rate(now).min(self.ceiling);
        }
    }

    fn turn(&mut self, mode: Mode, rate: f64, reason: PaceReason, now: Moment) {
        if mode == Mode::Hold && self.mode != Mode::Hold {
            self.held_since = now;
        }
        self.mode = mode;
        self.rate = rate.min(self.ceiling);
        self.reason = reason;
        self.changed_at = now;
        self.next_step = now + STEP;
    }

    /// Why the rate is what it is.
    #[must_use]
    pub fn pace(&self) -> Pace {
        let state = match self.mode {
            _ if self.closed => PaceState::Paused,
            Mode::Hold | Mode::Seek { .. } | Mode::Feel if self.rate >= self.ceiling => {
                PaceState::Ceiling
            }
            Mode::Seek { .. } | Mode::Feel => PaceState::Seeking,
            Mode::Hold => PaceState::Holding,
            Mode::Explore { .. } => PaceState::Exploring,
        };
        let (reason, changed_at) = match self.latency.slowed_at() {
            Some(at) => (PaceReason::Latency, at),
            None => (self.reason, self.changed_at),
        };
        Pace {
            state,
            rate: self.rate(),
            ceiling: self.ceiling,
            reason,
            changed_at,
            estimate: self.estimate.clone(),
            hints_trusted: self.hints.trusted(),
            in_flight_max: self.in_flight_max(),
        }
    }
}

/// Where a search begins of which only the ceiling is known.
fn first(ceiling: f64) -> f64 {
    (ceiling * FIRST_SHARE).max(HARMLESS).min(ceiling)
}

#[cfg(test)]
mod tests;
