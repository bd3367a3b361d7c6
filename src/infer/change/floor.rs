//! What has been admitted for long without a refusal: where no limit is known, it is at least this.

/// A block, and how many of them in a row tell, in seconds.
const BLOCK_S: f64 = 10.0;
const BLOCKS: usize = 12;
/// The rate of the moment is taken over one or two of these, in seconds.
const RECENT_S: f64 = 5.0;
/// Requests that the rate of the moment needs.
const FEW: f64 = 8.0;

/// The rates of the latest blocks.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    rates: [f64; BLOCKS],
    known: usize,
    begin: f64,
    count: f64,
    /// Blocks since somebody was refused.
    unbroken: usize,
    /// There is a rate that was not taken.
    fresh: bool,
    /// When the present and the previous span of the rate of the moment began, and what they counted.
    recent: [(f64, f64); 2],
}

impl Default for Floor {
    fn default() -> Self {
        let never = f64::NEG_INFINITY;
        Self {
            rates: [0.0; BLOCKS],
            known: 0,
            begin: never,
            count: 0.0,
            unbroken: 0,
            fresh: false,
            recent: [(never, 0.0); 2],
        }
    }
}

impl Floor {
    pub(super) fn count(&mut self, t: f64) {
        if t - self.begin >= BLOCK_S {
            // One that begins with a pause, or is cut by one, tells nothing.
            if t - self.begin < BLOCK_S * 1.2 {
                self.rates.rotate_left(1);
                self.rates[BLOCKS - 1] = self.count / (t - self.begin);
                self.known = (self.known + 1).min(BLOCKS);
                self.unbroken += 1;
                self.fresh = self.known == BLOCKS;
            }
            (self.begin, self.count) = (t, 0.0);
        }
        self.count += 1.0;
        if t - self.recent[0].0 >= RECENT_S {
            self.recent = [(t, 0.0), self.recent[0]];
        }
        self.recent[0].1 += 1.0;
    }

    /// Somebody was refused; `anew`: what was admitted before tells nothing either.
    pub(super) const fn refused(&mut self, anew: bool) {
        (self.begin, self.unbroken) = (f64::NEG_INFINITY, 0);
        if anew {
            (self.known, self.fresh) = (0, false);
        }
    }

    pub(super) const fn resumed(&mut self) {
        self.recent = [(f64::NEG_INFINITY, 0.0); 2];
    }

    pub(super) const fn forget(&mut self) {
        self.refused(true);
    }

    /// Whether two minutes have passed since somebody was refused.
    pub(super) const fn is_unbroken(&self) -> bool {
        self.unbroken >= BLOCKS
    }

    /// What was admitted throughout the past two minutes, per second, if that is new.
    pub(super) fn take(&mut self) -> Option<f64> {
        std::mem::take(&mut self.fresh)
            .then(|| self.rates.iter().copied().fold(f64::INFINITY, f64::min))
    }

    /// The rate at which requests are admitted at `t`, per second.
    pub(super) fn rate(&self, t: f64) -> f64 {
        let both = self.recent[1].0.is_finite();
        let (begin, count) = if both {
            (self.recent[1].0, self.recent[0].1 + self.recent[1].1)
        } else {
            self.recent[0]
        };
        if count < FEW { 0.0 } else { count / (t - begin).max(1e-6) }
    }
}
