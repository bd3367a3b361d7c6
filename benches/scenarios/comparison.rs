//! The same cases under other policies, so that the gain is visible.

use crate::figures::Summary;
use crate::lab::case::Case;
use crate::lab::engine::Adaptive;
use crate::lab::pool;
use crate::lab::run::{MEASURED, Outcome, run};
use crate::others::{Aimd, Backoff, Fixed};

/// A way to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Adaptive,
    Ceiling,
    TenAbove,
    Backoff,
    Aimd,
}

impl Policy {
    pub(crate) const ALL: [Self; 5] =
        [Self::Adaptive, Self::Ceiling, Self::TenAbove, Self::Backoff, Self::Aimd];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Ceiling => "fixed at the ceiling",
            Self::TenAbove => "fixed at 110 % of the cap",
            Self::Backoff => "backoff per request",
            Self::Aimd => "AIMD",
        }
    }

    fn run(self, case: &Case, seed: u64) -> Outcome {
        let (cap, ceiling) = (case.cap(), case.ceiling_rate());
        match self {
            Self::Adaptive => run(case, seed, MEASURED, &mut Adaptive::new(case, seed, |_, _| {})),
            Self::Ceiling => run(case, seed, MEASURED, &mut Fixed::new(ceiling)),
            Self::TenAbove => run(case, seed, MEASURED, &mut Fixed::new(cap * 1.1)),
            Self::Backoff => run(case, seed, MEASURED, &mut Backoff::new(ceiling, seed)),
            Self::Aimd => run(case, seed, MEASURED, &mut Aimd::new(cap, ceiling)),
        }
    }
}

/// One case under every policy.
pub(crate) struct Compared {
    pub(crate) case: Case,
    pub(crate) summaries: Vec<(Policy, Summary)>,
}

/// Runs every case under every policy.
pub(crate) fn compare(
    cases: &[Case],
    seeds: u64,
    done: impl Fn(usize, usize) + Sync,
) -> Vec<Compared> {
    let all: Vec<(&Case, Policy, u64)> = cases
        .iter()
        .flat_map(|case| Policy::ALL.into_iter().map(move |policy| (case, policy)))
        .flat_map(|(case, policy)| (1..=seeds).map(move |seed| (case, policy, seed)))
        .collect();
    let run = |(case, policy, seed): &(&Case, Policy, u64)| policy.run(case, *seed);
    let outcomes = pool::map(&all, run, |n| done(n, all.len()));
    let of_policies = outcomes.chunks(seeds as usize).map(Summary::of).collect::<Vec<_>>();
    let rows = cases.iter().zip(of_policies.chunks(Policy::ALL.len()));
    let compared = |(case, summaries): (&Case, &[Summary])| Compared {
        case: case.clone(),
        summaries: Policy::ALL.into_iter().zip(summaries.iter().cloned()).collect(),
    };
    rows.map(compared).collect()
}
