//! Traffic of others: when it comes, and how it fared.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::settings::Neighbour;
use crate::model::{Identity, Moment};

/// Tells this generator from the world's own.
const NEIGHBOURS: u64 = 0x6e65_6967_6862_6f75;

/// How many requests of others came, and how many were admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourCount {
    /// Requests that reached the server.
    pub arrived: u64,
    /// Those that its limits admitted.
    pub admitted: u64,
}

/// The others.
#[derive(Debug)]
pub(super) struct Neighbours {
    all: Vec<(Neighbour, Coming)>,
    rng: StdRng,
    pub(super) count: NeighbourCount,
}

/// What is to come of one of them.
#[derive(Debug)]
struct Coming {
    index: u64,
    drawn_ns: f64,
}

impl Neighbours {
    pub(super) fn new(seed: u64, all: Vec<Neighbour>) -> Self {
        let coming = |n| (n, Coming { index: 0, drawn_ns: 0.0 });
        Self {
            all: all.into_iter().map(coming).collect(),
            rng: StdRng::seed_from_u64(seed ^ NEIGHBOURS),
            count: NeighbourCount::default(),
        }
    }

    pub(super) fn identity(&self, index: usize) -> &Identity {
        &self.all[index].0.identity
    }

    /// When the next request of that neighbour comes, if another does.
    pub(super) fn next(&mut self, index: usize) -> Option<Moment> {
        let (neighbour, coming) = &mut self.all[index];
        let after = if neighbour.poisson {
            // 1 − u is in (0, 1], so the logarithm is finite.
            let gap = -(1.0 - self.rng.random::<f64>()).ln() / neighbour.rate.per_second();
            coming.drawn_ns += gap * 1e9;
            Duration::from_nanos(coming.drawn_ns as u64)
        } else {
            Duration::from_nanos(neighbour.rate.nanos_to(coming.index))
        };
        coming.index += 1;
        let at = neighbour.from + after;
        (at < neighbour.until).then_some(at)
    }
}
