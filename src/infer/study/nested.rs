//! Is there a limit behind the first, such as one per tenant outside of one per token? What the first one refuses is
//! taken out of the record; what is refused beyond that, another limit refuses, and it counts what everybody sends who
//! shares it.

use super::conclusion::{Finding, PairFinding, Reason};
use super::design;
use super::evidence;
use super::observations::{Attempt, Observations};
use super::posterior::{Posterior, burst, stated_rate};
use super::scope;
use super::usage::Usage;
use crate::infer::Decision;
use crate::infer::families::Latency;
use crate::model::Kind;

/// A refusal is the first limit's own where no more than so much of it was left, as a share and in requests.
const NEAR: (f64, f64) = (0.03, 0.5);
/// Where its windows begin may be off by so much of their length.
const PHASE_OFF: f64 = 0.005;
/// What refusals cost that a limit leaves to nobody, as a logarithm.
const UNTOLD: f64 = -8.0;
/// So much more has to speak for a limit that one party has by itself.
const SMALLER: f64 = 3.0;
/// Odds, as a logarithm, at which it is decided whether a party shares it.
const DECIDED: f64 = 6.9;
/// So many times what one may send tells of what is behind.
const TOGETHER: f64 = 1.15;
/// Refusals, each after traffic had flowed, that nothing else explains: fewer may be chance.
const REFUSED_MIN: usize = 2;

/// The first limit, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    kind: Kind,
    latency: Latency,
    /// For each party whose limit it has: the first of them; `None`: not known.
    holders: Vec<Option<usize>>,
}

impl Inner {
    pub(super) fn new(
        observations: &Observations,
        kind: Kind,
        latency: Latency,
        pairs: &[PairFinding],
    ) -> Self {
        let parties = &observations.parties;
        let readings = scope::readings(parties, pairs);
        let shared = pairs.iter().map(|pair| match pair.shared {
            Finding::Known { value, .. } => Some(value),
            Finding::Unknown { .. } => None,
        });
        let shared: Vec<Option<bool>> = std::iter::once(Some(true)).chain(shared).collect();
        // Whom any reading of the scope takes for one holder may be one.
        let may_share = |a: usize, b: usize| readings.iter().any(|groups| groups[a] == groups[b]);
        let holder = |party: usize| match shared.get(party)? {
            Some(true) => Some(0),
            Some(false) => (1..=party)
                .find(|other| shared.get(*other) == Some(&Some(false)) && may_share(*other, party)),
            None => None,
        };
        let holders = (0..parties.len()).map(holder).collect();
        Self { kind, latency, holders }
    }

    /// One party for each holder of a limit of its own, the first party before all others.
    pub(super) fn apart(&self) -> Vec<usize> {
        let own = self.holders.iter().enumerate().filter(|(i, holder)| **holder == Some(*i));
        own.map(|(i, _)| i).collect()
    }

    /// What is known where nothing was refused but by this limit: how much everybody together was admitted.
    pub(super) fn together(&self, observations: &Observations) -> Option<String> {
        let apart = self.apart();
        let window = self.kind.window().as_secs_f64().max(1.0);
        let admitted = |a: &&Attempt| a.decision == Decision::Admitted;
        let attempts: Vec<&Attempt> = observations.attempts.iter().filter(admitted).collect();
        let (mut most, mut from) = (0, 0);
        for (i, attempt) in attempts.iter().enumerate() {
            while attempts[from].sent <= attempt.sent - window {
                from += 1;
            }
            most = most.max(i + 1 - from);
        }
        let alone =
            burst(&self.kind).max(stated_rate(&self.kind, self.latency.held(), 0.0) * window);
        let times = most as f64 / alone;
        (apart.len() > 1 && times > TOGETHER).then(|| {
            format!(
                "up to {most} requests of all parties together were admitted in {window:.4} s, \
                 {times:.1} times what one may send: a limit that they share is higher, or over a \
                 longer time"
            )
        })
    }

    fn belongs(&self, party: usize, holder: usize) -> bool {
        self.holders.get(party) == Some(&Some(holder))
    }

    /// Two parties, as if they shared it or not.
    pub(super) fn of_two(kind: Kind, latency: Latency, other: usize, shared: bool) -> Self {
        let mut holders = vec![None; other + 1];
        holders[0] = Some(0);
        holders[other] = Some(if shared { 0 } else { other });
        Self { kind, latency, holders }
    }

    /// What the limit leaves of a request that comes at `t`: the least and the most that it may, itself included.
    fn left(&self, usage: &mut Usage, t: f64) -> (f64, f64) {
        let slack = self.latency.jitter_max + PHASE_OFF * self.kind.window().as_secs_f64();
        let refill = match self.kind {
            Kind::TokenBucket { rate, .. } | Kind::Queue { rate, .. } => rate.per_second(),
            _ => 0.0,
        };
        let used = [slack, 0.0, -slack].map(|early| usage.before(t, early));
        let (low, high) = used
            .iter()
            .fold((f64::MAX, 0.0_f64), |(low, high), used| (low.min(*used), high.max(*used)));
        let limit = burst(&self.kind);
        let off = NEAR.0 * limit + NEAR.1 + refill * self.latency.jitter_max;
        (limit - high - 1.0 - off, limit - low - 1.0 + off)
    }

    /// How each attempt looks to this limit.
    fn judged(&self, observations: &Observations) -> Vec<Judged> {
        let mut states: Vec<(Usage, Option<Pause>)> =
            self.holders.iter().map(|_| (Usage::new(self.kind), None)).collect();
        // When each was admitted last: what one is refused by itself, its own limit refuses, however odd that looks.
        let mut latest = vec![f64::NEG_INFINITY; self.holders.len()];
        let several = self.apart().len() > 1;
        let company = (2.0 * self.kind.window().as_secs_f64()).max(1.0);
        let judge = |attempt: &Attempt| {
            let holder = self.holders.get(attempt.party).copied().flatten();
            let Some(holder) = holder else { return Judged::Nothing };
            let (usage, pause) = &mut states[holder];
            let answered = attempt.answered.unwrap_or(attempt.sent);
            if attempt.is_refused() {
                if let Some(pause) = pause {
                    pause.heard = pause.heard.max(answered);
                    return if pause.own { Judged::Own } else { Judged::Meanwhile };
                }
                let others = latest.iter().enumerate().filter(|(other, _)| *other != holder);
                let others = others.map(|(_, at)| *at).fold(f64::NEG_INFINITY, f64::max);
                let by_itself = several && attempt.sent - others > company;
                let own = by_itself || self.left(usage, attempt.sent).0 < 0.0;
                *pause = Some(Pause { own, heard: answered });
                return if own { Judged::Own } else { Judged::Behind };
            }
            if pause.is_some_and(|p| attempt.sent > p.heard)
                && attempt.decision == Decision::Admitted
            {
                *pause = None;
            }
            let beyond =
                attempt.decision == Decision::Admitted && self.left(usage, attempt.sent).1 < 0.0;
            latest[holder] = attempt.sent;
            let leaves = answered - self.latency.refusal;
            usage.count(attempt.sent, leaves.max(attempt.sent));
            if beyond { Judged::Beyond } else { Judged::Nothing }
        };
        observations.attempts.iter().map(judge).collect()
    }

    /// The record without what this limit refuses, and what is refused in the same pause.
    pub(super) fn residue(&self, observations: &Observations) -> Observations {
        let judged = self.judged(observations);
        let left = observations.attempts.iter().zip(judged).filter(|(attempt, judged)| {
            !attempt.is_refused() || matches!(judged, Judged::Behind | Judged::Meanwhile)
        });
        let attempts = left.map(|(attempt, _)| *attempt).collect();
        Observations { attempts, ..observations.clone() }
    }

    /// How likely a record is, as a logarithm and roughly, where another limit behind may refuse whatever it likes: what
    /// this one would not have admitted speaks against it, and what it would not have refused a little.
    pub(super) fn ln_likelihood(&self, observations: &Observations) -> f64 {
        const BEYOND: f64 = -4.0;
        const BEHIND: f64 = -3.0;
        const MOST: usize = 20;
        let judged = self.judged(observations);
        let count = |what| judged.iter().filter(|judged| **judged == what).count().min(MOST) as f64;
        BEYOND * count(Judged::Beyond) + BEHIND * count(Judged::Behind)
    }

    /// The same of two parties. A limit that was taken for a little another is contradicted in whole stretches at once: each of
    /// them speaks no louder than a refusal that nothing explains. What is refused while a third party sends is
    /// anybody's.
    pub(super) fn ln_likelihood_of_two(&self, observations: &Observations) -> f64 {
        const STRETCH: f64 = -8.0;
        const BEHIND: f64 = -6.0;
        let company = (2.0 * self.kind.window().as_secs_f64()).max(1.0);
        let (mut third, mut beyond) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let mut sum = 0.0;
        for (attempt, judged) in observations.attempts.iter().zip(self.judged(observations)) {
            let since = |at: f64| attempt.sent - at;
            match judged {
                Judged::Beyond => {
                    sum += if since(beyond) > company { STRETCH } else { 0.0 };
                    beyond = attempt.sent;
                }
                Judged::Behind if since(third) > company => sum += BEHIND,
                _ => {}
            }
            if self.holders.get(attempt.party).copied().flatten().is_none() {
                third = attempt.sent;
            }
        }
        sum
    }
}

/// A pause of one holder: whether the limit's own refusal began it, and when its latest refusal was heard.
#[derive(Clone, Copy, Debug)]
struct Pause {
    own: bool,
    heard: f64,
}

/// How an attempt looks to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// Nothing about it is remarkable, or whose limit it was is not known.
    Nothing,
    /// It was admitted, and would not have been.
    Beyond,
    /// It was refused, as it may have been, or in the pause that such a refusal began.
    Own,
    /// It was refused, and would not have been: a pause begins.
    Behind,
    /// It was refused in such a pause.
    Meanwhile,
}

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
