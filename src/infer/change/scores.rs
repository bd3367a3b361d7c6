//! The evidence so far: a CUSUM for each cell that a fallen limit may lie in, and one for a rise.

use super::meter::{CELLS, Meter, Place};

/// Of the requests that a fallen limit refuses, so many are admitted all the same: what is sent meets
/// several gateways, or windows that begin elsewhere than is believed.
const SLIPS: f64 = 0.25;
/// Believed limits admit more than they are believed to in one window of so many.
const LUCKY: f64 = 0.02;
/// ... and they do not do it for so long, in seconds, with gaps of no more than this.
const LASTED_S: f64 = 120.0;
const GAP_S: f64 = 60.0;
/// A refusal so close to what was admitted does not contradict it.
const LUCKY_SHARE: f64 = 0.98;
/// A cell counts once so much has been admitted in it: this many windows, and this many seconds. Windows that
/// are taken to be shorter than they are have shown by then.
const PROVEN: (f64, f64) = (2.0, 120.0);
/// Cells that are nearly as likely as the best, in logarithms.
const NEARLY: f64 = 2.0;

/// The evidence of one cell.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    score: f64,
    /// When the first request went out that speaks for it.
    since: f64,
    /// Time in which what the cell's limiters may refuse was admitted, in seconds.
    proven: f64,
}

/// The evidence of a fall.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    cells: [Cell; CELLS],
    used: usize,
    lifted: bool,
    /// Refusals since the scores were all zero.
    refusals: u32,
    /// Of the window that is going on: when it ends, the highest cell that was admitted in, and whether
    /// anybody was refused.
    window_end: f64,
    top: usize,
    broken: bool,
    needed: f64,
    /// The largest share that was admitted since the latest refusal: what is below it tells no more.
    passed: f64,
}

impl Scores {
    pub(super) const fn new(used: usize) -> Self {
        let cell = Cell { score: 0.0, since: 0.0, proven: 0.0 };
        Self {
            cells: [cell; CELLS],
            used,
            lifted: false,
            refusals: 0,
            window_end: f64::NEG_INFINITY,
            top: CELLS,
            broken: false,
            needed: PROVEN.1,
            passed: 0.0,
        }
    }

    /// What was proven before; and whether all cells count from the start.
    pub(super) fn believe(&mut self, proven: Option<[f64; CELLS]>, all: bool) {
        for (i, cell) in self.cells.iter_mut().enumerate() {
            cell.proven = if all { f64::INFINITY } else { proven.map_or(0.0, |p| p[i]) };
        }
    }

    pub(super) fn proven(&self) -> Option<[f64; CELLS]> {
        (self.used == CELLS).then(|| self.cells.map(|cell| cell.proven))
    }

    pub(super) const fn is_lifted(&self) -> bool {
        self.lifted
    }

    /// How long has to pass under a limit before it is known, in seconds.
    pub(super) const fn needed(&self) -> f64 {
        self.needed
    }

    pub(super) fn is_proven(&self) -> bool {
        self.cells.iter().any(|cell| cell.proven >= self.needed)
    }

    /// A request was admitted: cells whose limiters would have refused it are less likely.
    pub(super) fn admitted(&mut self, place: &Place, meter: &Meter, chance: f64) {
        let mut lifted = false;
        let further = place.share <= 0.0 || place.share > self.passed;
        self.passed = self.passed.max(place.share);
        for k in 0..self.used {
            let cell = &mut self.cells[k];
            if cell.score <= 0.0 {
                continue;
            }
            if k >= place.must {
                cell.score += (SLIPS / (1.0 - chance)).ln();
            } else if k >= place.may && further {
                let refuses = (1.0 / meter.width(k)).min(1.0 - SLIPS);
                cell.score += ((1.0 - refuses) / (1.0 - chance)).ln();
            }
            cell.score = cell.score.max(0.0);
            lifted |= cell.score > 0.0;
        }
        self.lifted = lifted;
    }

    /// A request was refused: cells whose limiters would have refused it are likelier. Whether any cell counts
    /// that could tell.
    pub(super) fn refused(&mut self, place: &Place, meter: &Meter, chance: f64, t: f64) -> bool {
        self.broken = true;
        self.passed = 0.0;
        let mut known = false;
        for k in place.may..self.used {
            let cell = &mut self.cells[k];
            if cell.proven < self.needed {
                continue;
            }
            known = true;
            let must = k >= place.must;
            let refuses = if must { 1.0 } else { 1.0 / meter.width(k) }.min(1.0 - SLIPS);
            if cell.score <= 0.0 {
                cell.since = t;
            }
            cell.score = (cell.score + (refuses / chance).ln()).max(0.0);
            self.lifted |= cell.score > 0.0;
        }
        self.refusals += u32::from(known);
        known
    }

    /// Nothing of the evidence stands.
    pub(super) fn acquit(&mut self) {
        self.cells.iter_mut().for_each(|cell| cell.score = 0.0);
        self.lifted = false;
    }

    /// Refusals that turned out to tell nothing.
    pub(super) const fn take_refusals(&mut self) -> u32 {
        std::mem::replace(&mut self.refusals, 0)
    }

    /// Notes where requests are admitted.
    pub(super) fn prove(&mut self, place: &Place, t: f64, window: f64) {
        let length = window.max(1.0);
        self.needed = (PROVEN.0 * window).max(PROVEN.1);
        if t >= self.window_end {
            if !self.broken && t < self.window_end + length {
                for cell in &mut self.cells[self.top.min(self.used)..self.used] {
                    cell.proven += length;
                }
            }
            self.window_end = t + length;
            (self.top, self.broken) = (CELLS, false);
        }
        self.top = self.top.min(place.may);
    }

    /// The highest score, and since when.
    pub(super) fn best(&self) -> (f64, Option<f64>) {
        let best = self.cells.iter().max_by(|a, b| a.score.total_cmp(&b.score));
        best.filter(|cell| cell.score > 0.0).map_or((0.0, None), |c| (c.score, Some(c.since)))
    }

    /// The highest and the lowest of the cells that are nearly as likely as the best.
    pub(super) fn likely(&self) -> (usize, usize) {
        let least = self.best().0 - NEARLY;
        let likely = |cell: &Cell| cell.score >= least;
        let top = self.cells.iter().position(likely).unwrap_or(0);
        (top, self.cells.iter().rposition(likely).unwrap_or(top))
    }
}

/// The evidence of a rise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rise {
    score: f64,
    since: Option<f64>,
    /// The next window that counts begins then.
    again_at: f64,
    seen_at: Option<f64>,
    share: f64,
}

impl Rise {
    /// More was admitted than is believed to be: of each window it tells once.
    pub(super) fn admitted(&mut self, share: f64, t: f64, window: f64) {
        if t > self.again_at + GAP_S + 2.0 * window {
            self.clear();
        }
        self.seen_at = Some(t);
        self.share = self.share.max(share);
        if t < self.again_at {
            return;
        }
        self.since.get_or_insert(t);
        self.score -= LUCKY.ln();
        self.again_at = t + window.max(1.0);
    }

    pub(super) const fn clear(&mut self) {
        (self.score, self.since, self.share) = (0.0, None, 0.0);
    }

    /// A request was refused at this share: what was admitted at larger ones was luck, or what a longer window had
    /// left.
    pub(super) fn refused(&mut self, share: f64) {
        if share < self.share * LUCKY_SHARE {
            self.clear();
        }
    }

    pub(super) const fn score(&self) -> (f64, Option<f64>) {
        (self.score, self.since)
    }

    /// Whether it has lasted: whoever has a longer window, or more tokens, than is believed admits more for a while.
    pub(super) fn has_lasted(&self, t: f64, window: f64) -> bool {
        self.since.is_some_and(|since| t - since >= LASTED_S.max(2.0 * window))
    }

    /// The most that was admitted, in relation to what is believed.
    pub(super) const fn share(&self) -> f64 {
        self.share
    }

    pub(super) fn seen_within(&self, seconds: f64, now: f64) -> bool {
        self.seen_at.is_some_and(|at| now - at <= seconds)
    }
}
