//! When to look above the estimate, and what it has cost so far.

use std::time::Duration;

use super::adaptive_settings::AdaptiveSettings;
use crate::model::Moment;

/// The looks at what is above the estimate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exploration {
    /// A look has begun, and the pause that it may have brought is not over.
    looking: bool,
    /// The next is not before this; set when there is something to look above of.
    next_at: Option<Moment>,
    /// Refusals of the present look, and of the latest that is over.
    refused: u32,
    cost: u32,
    /// Refusals that looks have brought lately: what has been spent of an hour's allowance, and when that was
    /// reckoned.
    spent: f64,
    reckoned_at: Moment,
}

impl Exploration {
    /// Whether a look is due. The first call after something was learned starts the clock.
    pub(super) fn is_due(&mut self, now: Moment, settings: &AdaptiveSettings) -> bool {
        let Some(exploration) = &settings.exploration else { return false };
        let next_at = *self.next_at.get_or_insert(now + exploration.interval);
        let allowance = f64::from(exploration.throttled_per_hour);
        let regained = now.since(self.reckoned_at).as_secs_f64() * allowance / 3_600.0;
        self.spent = (self.spent - regained).max(0.0);
        self.reckoned_at = now;
        now >= next_at && self.spent + f64::from(self.cost.max(1)) <= allowance
    }

    pub(super) const fn began(&mut self) {
        self.looking = true;
        self.refused = 0;
    }

    /// A refusal; those of a look are counted against its allowance.
    pub(super) fn refused(&mut self) {
        if self.looking {
            self.refused += 1;
            self.spent += 1.0;
        }
    }

    /// Traffic flows again after a pause of this length; or a look has found the limit risen.
    pub(super) fn ended(&mut self, now: Moment, pause: Duration, settings: &AdaptiveSettings) {
        if self.looking {
            self.cost = self.refused;
        }
        self.looking = false;
        if let Some(exploration) = &settings.exploration {
            let earned = pause.div_f64(exploration.share.max(1e-6));
            self.next_at = Some(now + exploration.interval.max(earned));
        }
    }
}
