//! What quota hints do to the rate while it is looked for.

use std::time::Duration;

use super::{Adaptive, FIRST_GROWTH, HARMLESS, Mode, RISE, first};
use crate::model::{EstimateSource, Kind, Moment, PaceReason};

/// Hints that seem to be of a shorter window are of something else.
const STATED_LEAST: Duration = Duration::from_millis(990);
/// How fast it rises where answers tell what is left, per second, as long as it rises by no more than this share while
/// one of them is on its way.
const HINTED_GROWTH: f64 = 0.5;
const FRESH: f64 = 0.02;

impl Adaptive {
    /// Whether quota hints have been found to lie.
    #[must_use]
    pub const fn hints_lie(&self) -> bool {
        self.hints.lie()
    }

    /// An earlier run has found that quota hints lie.
    pub const fn distrust_hints(&mut self) {
        self.hints.distrust();
    }

    /// A quota that hints say is used up is as good as a refusal, where nothing better is known.
    pub(super) fn look_at_hints(&mut self, now: Moment) {
        let exhausted = self.hints.exhausted(now);
        let was = std::mem::replace(&mut self.exhausted, exhausted.is_some());
        let Some(left) = exhausted.filter(|_| !was) else {
            return;
        };
        let stops = match self.mode {
            Mode::Seek { target, .. } => target.is_none() || !self.states_window(),
            Mode::Feel => true,
            Mode::Hold | Mode::Explore { .. } => false,
        };
        if stops {
            let sustained = self.feel.average(2.0 * left.as_secs_f64(), now).max(HARMLESS);
            // Nobody was refused, so the way back may be short: hints themselves say how far it goes.
            let mode = Mode::Seek { growth: RISE, target: None };
            self.turn(mode, self.rate.min(sustained), PaceReason::Hinted, now);
        }
    }

    /// Hints have been found to lie. Where they are all that held the rate back, nothing is known.
    pub(super) fn look_away_from_hints(&mut self, now: Moment) {
        let sought = matches!(self.mode, Mode::Seek { target: None, .. });
        if sought && self.trips == 0 && self.estimate.is_none() {
            self.turn(Mode::FIRST, self.rate.max(first(self.ceiling)), PaceReason::Start, now);
        }
    }

    /// Whether hints state a limit per window, and which is known: then it is also known what comes free while answers
    /// are under way, which the latest of them does not say.
    pub(super) fn states_window(&self) -> bool {
        self.hints.trusted() == Some(true)
            && self.estimate.as_ref().is_some_and(|e| {
                let window = matches!(
                    e.limiter,
                    Kind::FixedWindow { .. }
                        | Kind::OnDemandWindow { .. }
                        | Kind::SlidingLog { .. }
                );
                // Who states quotas of less than a second?
                window && e.source == EstimateSource::Hints && e.limiter.window() >= STATED_LEAST
            })
    }

    /// How fast a rate rises that may still be far below the limit.
    pub(super) fn first_growth(&self) -> f64 {
        let far = self.hints.untouched() || self.states_window();
        let Some(age) = self.hints.age_s().filter(|_| far) else { return FIRST_GROWTH };
        (FRESH / age.max(1e-6)).clamp(FIRST_GROWTH, HINTED_GROWTH)
    }

    pub(super) fn climb(&mut self, growth: f64, dt: f64, now: Moment) {
        // Above what hints allow there is nothing to find out.
        let top = self.ceiling.min(match self.mode {
            Mode::Seek { target: Some(target), .. } if self.states_window() => {
                target.max(self.rate)
            }
            _ => self.hints.rate_max().max(self.rate),
        });
        let risen = (self.rate * (growth * dt).exp()).min(top);
        if risen != self.rate {
            self.rate = risen;
            self.reason = PaceReason::Admitted;
            self.changed_at = now;
        }
    }
}
