//! How much of a believed limit is used, and what limiters of a part of it would say: one bounded state for
//! all of them.

use crate::limiter::{Limiter, LimiterSettings};
use crate::model::{Kind, Moment, Rate};

/// Shares of the believed limit that a fallen one may lie between: cells, from the top down, each this much
/// of the one above it.
pub(super) const CELLS: usize = 17;
const STEP: f64 = 0.9;
/// Above this share, a refusal is what the believed limit itself may bring.
pub(super) const EXPLAINED: f64 = 0.93;
/// Above this share the believed limit admits nothing ...
const ABOVE: f64 = 1.07;
/// ... and that is as many requests more: small quotas are taken for one more or less.
const ABOVE_REQUESTS: f64 = 2.0;
/// A request comes out of turn, or falls into the window beside: cells overlap by so many, where that is little of the
/// limit.
const ASTRAY: f64 = 1.5;
const ASTRAY_FROM: f64 = 50.0;
/// Buckets that hold less are full or empty, and nothing between.
const ROOMY: f64 = 10.0;
/// Where only the times between refusals tell: how long a fallen limit may take to refuse, in seconds.
const BLIND: [f64; 2] = [1.5, 60.0];
/// Windows count up to so many times the limit.
const COUNTED: u64 = 4;

/// The upper end of a cell, and the lower of the one above it.
pub(super) fn edge(cell: usize) -> f64 {
    EXPLAINED * STEP.powi(i32::try_from(cell).unwrap_or(i32::MAX))
}

/// Where a request meets the limiters of all cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// What is used with it, of the believed limit; nothing, where that cannot be told.
    pub(super) share: f64,
    /// The believed limit may have refused it.
    pub(super) explained: bool,
    /// From this cell on (downwards), limiters of the cell may refuse it ...
    pub(super) may: usize,
    /// ... and from this one on, all of them do.
    pub(super) must: usize,
}

/// What is used of a limit.
#[derive(Clone, Debug)]
pub(super) enum Meter {
    /// Windows, by what counts in them.
    Counted { counter: Box<Limiter>, limit: f64 },
    /// Buckets: the tokens that are missing if the refill is this cell's edge of the believed one; before
    /// them those of [`ABOVE`] and of the believed one itself.
    Refilled { missing: [f64; CELLS + 3], at: f64, rate: f64, burst: f64 },
    /// What is used cannot be told from the times of sending; only how many are admitted between two
    /// refusals. By the rate that is believed, per second.
    Blind { rate: f64 },
}

impl Meter {
    pub(super) fn new(kind: &Kind, rate: f64) -> Self {
        let counted = |kind: Kind, limit: u64| Self::Counted {
            counter: Box::new(Limiter::new(&LimiterSettings::plain(kind))),
            limit: limit.max(1) as f64,
        };
        let most = |limit: u64| limit.max(1).saturating_mul(COUNTED);
        let refilled = |rate: Rate, burst: u64| Self::Refilled {
            missing: [0.0; CELLS + 3],
            at: 0.0,
            rate: rate.per_second(),
            burst: burst.max(1) as f64,
        };
        match *kind {
            Kind::FixedWindow { limit, window, phase } => {
                counted(Kind::FixedWindow { limit: most(limit), window, phase }, limit)
            }
            Kind::OnDemandWindow { limit, window } => {
                counted(Kind::OnDemandWindow { limit: most(limit), window }, limit)
            }
            Kind::SlidingLog { limit, window } => {
                counted(Kind::SlidingLog { limit: most(limit), window }, limit)
            }
            Kind::SlidingCounter { limit, window, phase } => {
                counted(Kind::SlidingCounter { limit: most(limit), window, phase }, limit)
            }
            Kind::TokenBucket { rate, burst } => refilled(rate, burst),
            Kind::Queue { rate, depth } => refilled(rate, depth.saturating_add(1)),
            Kind::Concurrency { .. } => Self::Blind { rate },
        }
    }

    /// Where a request of `t` (in seconds, in order) stands.
    pub(super) fn place(&mut self, t: f64) -> Place {
        match self {
            Self::Counted { counter, limit } => {
                let quota = counter.quota(moment(t));
                let share = ((quota.limit - quota.remaining + 1) as f64 - 1e-9) / *limit;
                let explained = share > EXPLAINED;
                let cells = 0..CELLS;
                let astray = if *limit >= ASTRAY_FROM { ASTRAY / *limit } else { 0.0 };
                Place {
                    share,
                    explained,
                    may: cells.clone().find(|k| share > edge(k + 1) - astray).unwrap_or(CELLS),
                    must: cells.clone().find(|k| share > edge(*k) + astray).unwrap_or(CELLS),
                }
            }
            Self::Refilled { missing, at, rate, burst } => {
                let dt = (t - *at).max(0.0);
                *at = at.max(t);
                for (i, missing) in missing.iter_mut().enumerate() {
                    *missing = (*missing - share_of(i) * *rate * dt).max(0.0);
                }
                let full = |i: usize, burst: f64| missing[i] + 1.0 > burst + 1e-9;
                // A vendor that lowers the refill may lower what the bucket holds with it, or not.
                let lower = |cell: usize| full(cell + 2, (edge(cell) * *burst).max(1.0));
                let explained = if *burst < ROOMY { full(1, *burst) } else { lower(0) };
                Place {
                    share: if full(0, ABOVE * *burst) {
                        ABOVE
                    } else {
                        (missing[1] + 1.0) / *burst
                    },
                    explained,
                    may: (0..CELLS).find(|k| lower(k + 1)).unwrap_or(CELLS),
                    must: (0..CELLS).find(|k| full(k + 2, *burst)).unwrap_or(CELLS),
                }
            }
            Self::Blind { .. } => Place { share: 0.0, explained: false, may: 0, must: BLIND.len() },
        }
    }

    /// A request of `t` was admitted. [`Self::place`] was asked about it before.
    pub(super) fn count(&mut self, t: f64) {
        match self {
            Self::Counted { counter, .. } => {
                counter.decide(moment(t));
            }
            Self::Refilled { missing, burst, .. } => {
                for (i, missing) in missing.iter_mut().enumerate() {
                    let most = if i == 0 { ABOVE * *burst } else { *burst };
                    *missing = (*missing + 1.0).min(most);
                }
            }
            Self::Blind { .. } => {}
        }
    }

    /// How many cells there are.
    pub(super) const fn cells(&self) -> usize {
        match self {
            Self::Counted { .. } | Self::Refilled { .. } => CELLS,
            Self::Blind { .. } => BLIND.len(),
        }
    }

    /// An admission above this share is what the believed limit does not bring.
    pub(super) fn above(&self) -> f64 {
        ABOVE.max(1.0 + ABOVE_REQUESTS * self.grain() - 1e-6)
    }

    /// A request, as a share of the limit: what is used is known to this.
    pub(super) fn grain(&self) -> f64 {
        match self {
            Self::Counted { limit, .. } => 1.0 / limit,
            Self::Refilled { .. } | Self::Blind { .. } => 0.0,
        }
    }

    /// How many requests a limiter of a cell admits while it may refuse them.
    pub(super) fn width(&self, cell: usize) -> f64 {
        match self {
            Self::Counted { limit, .. } => (0.1 * limit).max(1.0),
            Self::Refilled { burst, .. } => burst.max(1.0),
            Self::Blind { rate } => (BLIND[cell.min(BLIND.len() - 1)] * rate).max(1.0),
        }
    }
}

fn share_of(index: usize) -> f64 {
    match index {
        0 => ABOVE,
        1 => 1.0,
        _ => edge(index - 2),
    }
}

fn moment(t: f64) -> Moment {
    Moment::from_nanos((t.max(0.0) * 1e9).round() as u64)
}
