//! How often requests are refused by chance: jitter, a neighbour, a gateway that restarts.

/// Requests that the prior is worth, and the refusals among them.
const PRIOR: (f64, f64) = (1e4, 0.1);
/// The chance is at least that of one refusal in so many seconds.
const LEAST_EVERY_S: f64 = 30_000.0;
/// However often it happens, a limit that fell refuses more.
const MOST: f64 = 0.2;
/// A limit that is still being looked for is met often, and that is not all chance: what so many refusals count for
/// while too little was admitted to tell.
const SOUGHT: (u32, f64) = (50, 0.1);
/// Half of what was counted is forgotten when there is this much of it: days at 100/s.
const FORGET_AT: f64 = 16_777_216.0;

/// The counts so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Background {
    /// Requests that were admitted while a limit was believed.
    pub(super) admitted: f64,
    /// Refusals that it did not explain, and that turned out to be no change.
    pub(super) refused: f64,
    sought: u32,
}

impl Background {
    /// A refusal that no cell could tell of; `proven`: others can.
    pub(super) fn unproven(&mut self, proven: bool) {
        let seeking = !proven && self.sought < SOUGHT.0;
        self.sought += u32::from(seeking);
        self.refused += if seeking { SOUGHT.1 } else { 1.0 };
    }

    /// The chance that one request is refused for no reason, at a rate: rather too high than too low.
    pub(super) fn chance(&mut self, rate: f64) -> f64 {
        if self.admitted > FORGET_AT {
            self.admitted /= 2.0;
            self.refused /= 2.0;
        }
        let high = self.refused + self.refused.sqrt() + PRIOR.1;
        let learned = high / (self.admitted + PRIOR.0);
        learned.max(1.0 / (rate * LEAST_EVERY_S).max(1.0)).min(MOST)
    }
}
