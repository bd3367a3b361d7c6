//! Who shares a limit: which partition of the parties explains who was refused when.

use std::collections::BTreeSet;

use super::belief;
use super::conclusion::{Finding, PairFinding, Reason, ScopeFinding};
use super::evidence::{self, Pauses, Reading};
use super::nested::Inner;
use super::observations::{Attempt, Observations};
use super::posterior::{Posterior, burst};
use crate::infer::families::{self, Bounds, Latency};
use crate::infer::grid::ln_sum_of;
use crate::infer::limit::ln_phi;
use crate::infer::record::Excerpt;
use crate::model::{Factor, Identity, Kind};

/// Odds, as a logarithm, at which a pair is decided: one in a thousand.
const DECIDED: f64 = 6.9;
/// Where a record is less likely than this, as a logarithm, whether they share the limit or not, there is another one;
/// and where it is less likely than that, there may be.
const NESTED: (f64, f64) = (-12.0, -3.0);
/// The same where there is another one: that explains nearly everything, or nothing is said.
const NESTED_LEAST: f64 = -4.0;
/// How far a limit may be off its estimate, as a share, and in requests; but of a few, no more than such a share.
const OFF: (f64, f64) = (0.03, 1.0);
const OFF_FEW: f64 = 0.05;
/// Limiters that stand for all that are believed: where windows begin long after the record by which they are known,
/// no two say the same.
const LIMITERS: usize = 64;
/// Parties that are told apart; the busiest.
const PARTIES_MAX: usize = 12;

/// Scopes that vendors have, the commoner first.
fn scopes() -> Vec<BTreeSet<Factor>> {
    use Factor::{Address, Client, Route, Tenant, Token, User};
    let single = [Tenant, Client, User, Token, Address, Route].map(|f| BTreeSet::from([f]));
    let pairs = [(Tenant, Client), (Tenant, Route), (Client, Route), (User, Route), (Token, Route)]
        .map(|(a, b)| BTreeSet::from([a, b]));
    let more = [(Client, User), (Tenant, User), (Client, Address), (Token, Address)]
        .map(|(a, b)| BTreeSet::from([a, b]));
    single.into_iter().chain([BTreeSet::new()]).chain(pairs).chain(more).collect()
}

/// For each party, the number of the group it belongs to under a scope.
fn partition(parties: &[Identity], scope: &BTreeSet<Factor>) -> Vec<usize> {
    let alike = |a: &Identity, b: &Identity| scope.iter().all(|f| a.value(*f) == b.value(*f));
    parties
        .iter()
        .map(|party| parties.iter().position(|other| alike(party, other)).unwrap_or_default())
        .collect()
}

/// The ways in which scopes divide the parties; of each, for every party the number of its group.
pub(super) fn partitions(parties: &[Identity]) -> Vec<Vec<usize>> {
    let mut partitions: Vec<Vec<usize>> = Vec::new();
    for scope in scopes() {
        let partition = partition(parties, &scope);
        if !partitions.contains(&partition) {
            partitions.push(partition);
        }
    }
    partitions
}

/// Those of them that agree with every pair that is decided.
pub(super) fn readings(parties: &[Identity], pairs: &[PairFinding]) -> Vec<Vec<usize>> {
    let decided = decided(pairs);
    let mut readings = partitions(parties);
    readings.retain(|partition| agrees(partition, &decided));
    readings
}

/// For each other party whether it shares the limit of the first; `None`: not decided.
pub(super) fn decided(pairs: &[PairFinding]) -> Vec<Option<bool>> {
    let shared = pairs.iter().map(|pair| match pair.shared {
        Finding::Known { value, .. } => Some(value),
        Finding::Unknown { .. } => None,
    });
    shared.collect()
}

fn agrees(partition: &[usize], decided: &[Option<bool>]) -> bool {
    let shares = partition.iter().skip(1).map(|group| *group == 0);
    shares.zip(decided).all(|(shares, seen)| seen.is_none_or(|seen| seen == shares))
}

/// The part of the record that tells most of the limit, and what it tells.
pub(super) struct Base {
    pub(super) posterior: Posterior,
    /// The parties that it is of.
    parties: Vec<bool>,
    /// When it ends, in seconds.
    until: f64,
}

impl Base {
    /// The record until it ends.
    pub(super) fn record(&self, observations: &Observations) -> Observations {
        before(observations, self.until)
    }

    /// Whether an attempt belongs to it.
    pub(super) fn holds(&self, attempt: &Attempt) -> bool {
        attempt.sent < self.until && self.parties.get(attempt.party).copied().unwrap_or(false)
    }
}

/// Refusals by itself after which the first party needs no others to be measured.
const ALONE: usize = 2;

/// What the first party has been through before any other sent anything, if that was enough.
fn alone(observations: &Observations) -> Option<Base> {
    let other = observations.attempts.iter().find(|a| a.party != 0)?;
    let until = other.sent;
    // What came after that is no part of it: how long its answers took, neither.
    let posterior = Posterior::of(&before(observations, until), |_| true)?;
    let parties = (0..observations.parties.len()).map(|party| party == 0).collect();
    (posterior.trips >= ALONE || posterior.delays > 0.0).then_some(Base {
        posterior,
        parties,
        until,
    })
}

/// The record until then.
fn before(observations: &Observations, until: f64) -> Observations {
    let attempts = observations.attempts.iter().filter(|a| a.sent < until).copied().collect();
    Observations { attempts, ..observations.clone() }
}

/// Finds it: the first party by itself, or else of the partitions that scopes make, the one that explains the record
/// best.
pub(super) fn base(observations: &Observations) -> Option<Base> {
    if let Some(alone) = alone(observations) {
        return Some(alone);
    }
    let partitions = partitions(&observations.parties);
    let explained = partitions.iter().filter_map(|partition| {
        let mut groups: Vec<usize> = partition.clone();
        groups.sort_unstable();
        groups.dedup();
        let mut evidence = 0.0;
        let mut most: Option<(u64, Base)> = None;
        for group in groups.into_iter().take(PARTIES_MAX) {
            let belongs: Vec<bool> = partition.iter().map(|g| *g == group).collect();
            let inside = |a: &Attempt| belongs.get(a.party).copied().unwrap_or(false);
            let refused = observations.attempts.iter().filter(|a| inside(a) && a.is_refused());
            let refused = refused.count() as u64;
            let Some(posterior) = Posterior::of(observations, inside) else { continue };
            evidence += posterior.evidence + posterior.delays;
            // The first party is the one that is measured by itself.
            let weight = if group == 0 { u64::MAX } else { refused };
            if most.as_ref().is_none_or(|(best, _)| weight > *best) {
                most = Some((weight, Base { posterior, parties: belongs, until: f64::INFINITY }));
            }
        }
        most.map(|(_, base)| (evidence, base))
    });
    explained.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, base)| base)
}

/// For each other party whether it shares the limit of the first, given what that is believed to be.
pub(super) fn pairs(observations: &Observations, posterior: &Posterior) -> Vec<PairFinding> {
    let parties = observations.parties.len().min(PARTIES_MAX);
    (1..parties).map(|other| pair(observations, posterior, other)).collect()
}

/// Whether one party shares the limit of the first.
pub(super) fn pair(
    observations: &Observations,
    posterior: &Posterior,
    other: usize,
) -> PairFinding {
    let latency = &posterior.latency;
    let sample = posterior.sample(LIMITERS);
    let likeliest = posterior.members.first().map(|m| m.kind);
    let Some(kind) = likeliest.filter(|_| !sample.is_empty()) else {
        return pair_of(&observations.parties, other, undecided());
    };
    let since = observations.attempts.iter().find(|a| a.party != 0).map_or(0.0, |a| a.sent);
    let alone = by_themselves(observations, &kind, latency, other);
    let observations = alone.as_ref().unwrap_or(observations);
    let record = |belongs: &dyn Fn(&Attempt) -> bool| {
        let reading = Reading { pauses: Pauses::Lockout, ..posterior.reading };
        evidence::excerpt(observations, latency, reading, belongs)
    };
    let both = record(&|a| a.party == 0 || a.party == other);
    let (first, second) = (record(&|a| a.party == 0), record(&|a| a.party == other));
    // What is believed already holds what the first has been through by itself.
    let known = record(&|a| a.party == 0 && a.sent < since);
    let ln = |record: &Excerpt, kind: &Kind| ln_likelihood(record, latency, kind);
    let together = ln_mean(&sample, |kind| ln(&both, kind) - ln(&known, kind));
    let apart = ln_mean(&sample, |kind| ln(&first, kind) + ln(&second, kind) - ln(&known, kind));
    let odds = together - apart;
    let likelier = together.max(apart);
    let explained = likelier > NESTED.1 || (likelier > NESTED.0 && odds.abs() > DECIDED);
    let odds = if explained {
        odds
    } else {
        // Neither explains it: another limit behind it may have refused as well.
        let nested = |shared| Inner::of_two(kind, *latency, other, shared);
        let ln = |shared| nested(shared).ln_likelihood_of_two(observations);
        let (shared, not) = (ln(true), ln(false));
        // Where that leaves refusals unexplained too, what is believed of the limit is wrong.
        if shared.max(not) > NESTED_LEAST { shared - not } else { 0.0 }
    };
    let shared = if odds.abs() > DECIDED {
        let confidence = 1.0 / (1.0 + (-odds.abs()).exp());
        let evidence = if odds > 0.0 {
            "refusals came where the requests of both together reach the limit"
        } else {
            "each was admitted as if the other had sent nothing"
        };
        Finding::Known { value: odds > 0.0, confidence, evidence: evidence.to_owned() }
    } else {
        undecided()
    };
    pair_of(&observations.parties, other, shared)
}

fn undecided() -> Finding<bool> {
    Finding::Unknown {
        reason: Reason::TooLittleData,
        detail: "what was admitted and refused is as likely if they share it as if not".into(),
        experiment: "from rest, most of a quota by one and then by the other".into(),
    }
}

/// Logarithm of the mean over limiters, each with its weight, of something whose logarithm this is.
fn ln_mean(sample: &[(Kind, f64)], ln: impl Fn(&Kind) -> f64) -> f64 {
    let all: Vec<f64> = sample.iter().map(|(kind, weight)| ln(kind) + weight.ln()).collect();
    ln_sum_of(all.iter().copied())
}

/// The record without what happened while others than the two sent: who shares the limit with one of them uses it up as
/// well. It is divided where everything had been forgotten and nobody was being refused. `None`: then nothing would be
/// left of the other, as where everybody sends all the time.
fn by_themselves(
    observations: &Observations,
    kind: &Kind,
    latency: &Latency,
    other: usize,
) -> Option<Observations> {
    const MOSTLY: f64 = 0.9;
    let forgotten = belief::to_forget(kind).max(latency.held()) * MOSTLY;
    let is_new = |before: &Attempt, next: &Attempt| {
        !before.is_refused() && next.sent - before.sent > forgotten.max(latency.rtt)
    };
    let stretches = observations.attempts.chunk_by(|before, next| !is_new(before, next));
    let theirs = |stretch: &&[Attempt]| stretch.iter().all(|a| a.party == 0 || a.party == other);
    let attempts: Vec<Attempt> = stretches.filter(theirs).flatten().copied().collect();
    let tells = attempts.iter().any(|a| a.party == other);
    tells.then(|| Observations { attempts, ..observations.clone() })
}

/// The first party and another, with what was found.
pub(super) fn pair_of(parties: &[Identity], other: usize, shared: Finding<bool>) -> PairFinding {
    let (first, second) = (&parties[0], &parties[other]);
    let differ_in = Factor::ALL.into_iter().filter(|f| first.value(*f) != second.value(*f));
    PairFinding { parties: (name(first), name(second)), differ_in: differ_in.collect(), shared }
}

/// How a reader knows a party.
fn name(identity: &Identity) -> String {
    let known = Factor::ALL.iter().map(|f| identity.value(*f)).find(|value| !value.is_empty());
    known.map_or_else(|| "all".to_owned(), ToString::to_string)
}

/// Logarithm of how likely a record is under one limiter.
fn ln_likelihood(record: &Excerpt, latency: &Latency, kind: &Kind) -> f64 {
    let seconds = |d: std::time::Duration| d.as_secs_f64();
    let bounds: Bounds = match *kind {
        Kind::FixedWindow { window, phase, .. } => {
            families::fixed(record, latency, seconds(window), (seconds(phase), 0.0))
        }
        Kind::OnDemandWindow { window, .. } => {
            families::on_demand(record, latency, seconds(window), 0.0)
        }
        Kind::SlidingLog { window, .. } => families::sliding(record, latency, seconds(window)),
        Kind::SlidingCounter { window, phase, .. } => {
            families::counter(record, latency, seconds(window), seconds(phase))
        }
        Kind::TokenBucket { rate, .. } | Kind::Queue { rate, .. } => {
            families::bucket(record, latency, rate.per_second())
        }
        Kind::Concurrency { .. } => families::concurrent(record, latency),
    };
    let limit = burst(kind);
    let off = limit * OFF.0 + OFF.1.min(limit * OFF_FEW);
    // Of whole numbers, none is between what was used and one more.
    let parts =
        matches!(kind, Kind::SlidingCounter { .. } | Kind::TokenBucket { .. } | Kind::Queue { .. });
    let half = if parts { 0.0 } else { 0.5 };
    let used = ln_phi((limit - bounds.floor + 0.5) / bounds.below().hypot(off));
    let refused =
        bounds.roofs.iter().map(|(roof, blur)| ln_phi((roof - limit - half) / blur.hypot(off)));
    used + refused.sum::<f64>()
}

/// The scope that the pairs leave, and those that the parties cannot tell from it.
pub(super) fn scope(parties: &[Identity], pairs: &[PairFinding]) -> Finding<ScopeFinding> {
    let decided = decided(pairs);
    if decided.iter().all(Option::is_none) {
        return Finding::Unknown {
            reason: if parties.len() < 2 { Reason::NotIdentifiable } else { Reason::TooLittleData },
            detail: "no two parties were compared".into(),
            experiment: "a probe with a second credential that differs in one factor, such as the \
                         token of the same user"
                .into(),
        };
    }
    let fits = |scope: &BTreeSet<Factor>| agrees(&partition(parties, scope), &decided);
    let mut left = scopes().into_iter().filter(fits).map(|s| s.into_iter().collect::<Vec<_>>());
    let Some(factors) = left.next() else {
        return Finding::Unknown {
            reason: Reason::SeveralLayers,
            detail: "no single scope explains which parties share the limit".into(),
            experiment: "a probe with pairs of credentials that differ in one factor each".into(),
        };
    };
    let confidence = pairs.iter().filter_map(|pair| match pair.shared {
        Finding::Known { confidence, .. } => Some(confidence),
        Finding::Unknown { .. } => None,
    });
    let (shared, all) = (decided.iter().filter(|d| **d == Some(true)).count(), decided.len());
    Finding::Known {
        value: ScopeFinding { factors, alike: left.collect() },
        confidence: confidence.product(),
        evidence: format!("{shared} of {all} other parties share the limit of the first"),
    }
}
