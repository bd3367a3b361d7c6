//! Is there a limit behind the first, such as one per tenant outside of one per token? What the first one refuses is
//! taken out of the record; what is refused beyond that, another limit refuses, and it counts what everybody sends who
//! shares it.

mod inner;

pub(super) use self::inner::Inner;
use super::conclusion::{Finding, PairFinding, Reason};
use super::design;
use super::evidence;
use super::observations::{Attempt, Observations};
use super::posterior::Posterior;
use super::scope;
use crate::model::Kind;

/// What refusals cost that a limit leaves to nobody, as a logarithm.
const UNTOLD: f64 = -8.0;
/// So much more has to speak for a limit that one party has by itself.
const SMALLER: f64 = 3.0;
/// Odds, as a logarithm, at which it is decided whether a party shares it.
const DECIDED: f64 = 6.9;
/// Refusals, each after traffic had flowed, that nothing else explains: fewer may be chance.
const REFUSED_MIN: usize = 2;

/// A limit behind the first.
#[derive(Debug)]
pub(super) struct Outer {
    pub(super) posterior: Posterior,
    /// For each party whether it is counted.
    shares: Vec<bool>,
    /// Whether others share it with the first.
    pub(super) pairs: Vec<PairFinding>,
    /// The record without what the first limit refused.
    pub(super) residue: Observations,
}

impl Outer {
    /// What the record says of one; `None`: nothing was refused but by the first.
    pub(super) fn of(observations: &Observations, inner: &Inner) -> Option<Self> {
        if inner.apart().len() < 2 {
            return None;
        }
        let residue = inner.residue(observations);
        residue.attempts.iter().find(|attempt| attempt.is_refused())?;
        let mut outside: Vec<usize> = Vec::new();
        let mut best: Option<Self> = None;
        // The more share it the simpler it is.
        for shares in groups(&residue, inner) {
            if outside.iter().any(|party| shares[*party]) {
                continue;
            }
            if best.is_some() && untold(&residue, inner, &shares) < 0.0 {
                continue;
            }
            let Some(outer) = Self::shared_by(shares, &outside, &residue, inner) else { continue };
            let found = outer.miscounted();
            if found.is_empty() && outer.posterior.explains() {
                return Some(outer);
            }
            outside.extend(found);
            best.get_or_insert(outer);
        }
        best
    }

    fn shared_by(
        shares: Vec<bool>,
        outside: &[usize],
        residue: &Observations,
        inner: &Inner,
    ) -> Option<Self> {
        // Where those who do not share it have sent, theirs only blurs the picture.
        let theirs = residue.attempts.iter().filter(|a| outside.contains(&a.party));
        let since = theirs.map(|a| a.sent).fold(f64::NEG_INFINITY, f64::max);
        let posterior = Posterior::of(residue, |a| shares[a.party] && a.sent > since)?;
        let told = posterior.evidence + posterior.delays;
        if one_alone(residue, inner).is_some_and(|alone| alone > told + SMALLER) {
            return None;
        }
        let likeliest = posterior.members.first()?.kind;
        let pairs = (1..shares.len()).map(|other| {
            let shared = match inner.holders[other] {
                // Whoever has one limit together has what is behind it together.
                Some(0) => known(true, 1.0),
                _ if outside.contains(&other) => known(false, 1.0 - (-DECIDED).exp()),
                Some(holder) if shares[other] => {
                    shared(residue, inner, &shares, holder, &likeliest)
                }
                _ => undecided(),
            };
            scope::pair_of(&residue.parties, other, shared)
        });
        let pairs = pairs.collect();
        Some(Self { posterior, shares, pairs, residue: residue.clone() })
    }

    /// Parties that were counted and do not share it after all: without them there has been nothing to measure it by.
    pub(super) fn miscounted(&self) -> Vec<usize> {
        let apart = |party: &usize| {
            let pair = &self.pairs[party - 1].shared;
            self.shares[*party] && matches!(pair, Finding::Known { value: false, .. })
        };
        (1..self.shares.len()).filter(apart).collect()
    }

    /// Whether it is worth saying.
    pub(super) fn is_certain(&self) -> bool {
        let enough = self.posterior.trips >= REFUSED_MIN;
        enough && self.posterior.explains() && self.miscounted().is_empty()
    }

    /// Whether an attempt counts.
    pub(super) fn belongs(&self, attempt: &Attempt) -> bool {
        self.shares.get(attempt.party).copied().unwrap_or(false)
    }
}

/// Whether a holder of a limit of its own is counted with the others who share one behind it. If it is not, that limit
/// is so much smaller as what the others sent when it refused.
fn shared(
    residue: &Observations,
    inner: &Inner,
    shares: &[bool],
    holder: usize,
    limit: &Kind,
) -> Finding<bool> {
    let of_holder = |party: usize| inner.belongs(party, holder);
    let group = |counted: bool| {
        let one = |party: usize| (shares[party] && (counted || !of_holder(party))).then_some(0);
        (0..shares.len()).map(one).collect::<Vec<_>>()
    };
    let as_if = |counted: bool, kind: Kind| {
        let holders = group(counted);
        let refused = if counted { 0.0 } else { untold(residue, inner, &told_of(&holders)) };
        Inner { kind, latency: inner.latency, holders }.ln_likelihood(residue) + refused
    };
    let others = share_of_others(residue, shares, limit, of_holder);
    let smaller = design::shrunk(limit, 1.0 / others.clamp(0.05, 1.0));
    let odds = as_if(true, *limit) - as_if(false, smaller);
    if odds.abs() > DECIDED {
        known(odds > 0.0, 1.0 / (1.0 + (-odds.abs()).exp()))
    } else {
        undecided()
    }
}

fn told_of(holders: &[Option<usize>]) -> Vec<bool> {
    holders.iter().map(Option::is_some).collect()
}

/// How much of what counted at refusals others had sent than this holder.
fn share_of_others(
    residue: &Observations,
    shares: &[bool],
    limit: &Kind,
    of_holder: impl Fn(usize) -> bool,
) -> f64 {
    let window = limit.window().as_secs_f64();
    let (mut all, mut others) = (0.0, 0.0);
    for (i, refused) in residue.attempts.iter().enumerate().filter(|(_, a)| a.is_refused()) {
        let before = residue.attempts[..i].iter().rev();
        let counted = before.take_while(|a| a.sent > refused.sent - window);
        let counted: Vec<usize> =
            counted.filter(|a| shares[a.party] && !a.is_refused()).map(|a| a.party).collect();
        // What is refused without it tells nothing of its share.
        if counted.iter().any(|party| of_holder(*party)) {
            all += counted.len() as f64;
            others += counted.iter().filter(|party| !of_holder(**party)).count() as f64;
        }
    }
    if all > 0.0 { others / all } else { 1.0 }
}

fn known(value: bool, confidence: f64) -> Finding<bool> {
    let evidence = if value {
        "refusals behind the first limit came where the requests of both count"
    } else {
        "refusals behind the first limit came as if it had sent nothing"
    };
    Finding::Known { value, confidence, evidence: evidence.to_owned() }
}

fn undecided() -> Finding<bool> {
    Finding::Unknown {
        reason: Reason::TooLittleData,
        detail: "what was refused behind the first limit is as likely if they share it as if not"
            .into(),
        experiment: "all parties together, and all but this one".into(),
    }
}

/// For each group that may share a limit behind the first: who belongs to it, the largest before others. A limit that
/// one holder of the first has by itself is none of them.
fn groups(residue: &Observations, inner: &Inner) -> Vec<Vec<bool>> {
    let mut groups: Vec<Vec<bool>> = Vec::new();
    for partition in scope::partitions(&residue.parties) {
        let group: Vec<bool> = partition.iter().map(|group| *group == 0).collect();
        let of_first = |party: usize| inner.belongs(party, 0);
        let whole = (0..group.len()).all(|party| !of_first(party) || group[party]);
        let others = (0..group.len()).any(|party| !of_first(party) && group[party]);
        if whole && others && !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.iter().filter(|g| **g).count()));
    groups
}

/// What the refusals of those cost who are not counted.
fn untold(residue: &Observations, inner: &Inner, shares: &[bool]) -> f64 {
    let attempts = residue.attempts.iter().filter(|a| !shares[a.party]).copied().collect();
    let others = Observations { attempts, ..Observations::default() };
    UNTOLD * evidence::epochs(&others, &inner.latency) as f64
}

/// How well the same refusals are explained if one holder has a limit of its own that differs from the first's: where
/// nearly all of them are of one.
fn one_alone(residue: &Observations, inner: &Inner) -> Option<f64> {
    const NEARLY_ALL: f64 = 0.8;
    let refused = |holder: usize| {
        residue.attempts.iter().filter(|a| a.is_refused() && inner.belongs(a.party, holder)).count()
    };
    let all: usize = inner.apart().into_iter().map(refused).sum();
    let most = inner.apart().into_iter().max_by_key(|holder| refused(*holder))?;
    if (refused(most) as f64) < all as f64 * NEARLY_ALL {
        return None;
    }
    let posterior = Posterior::of(residue, |a| inner.belongs(a.party, most))?;
    Some(posterior.evidence + posterior.delays)
}

#[cfg(test)]
mod tests;
