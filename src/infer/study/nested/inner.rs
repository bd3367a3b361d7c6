//! What the first limit does, followed request by request: what it may have refused, and what it cannot have.

use crate::infer::Decision;
use crate::infer::families::Latency;
use crate::infer::study::conclusion::PairFinding;
use crate::infer::study::observations::{Attempt, Observations};
use crate::infer::study::posterior::{burst, stated_rate};
use crate::infer::study::scope;
use crate::infer::study::usage::Usage;
use crate::model::Kind;

/// A refusal is the first limit's own where no more than so much of it was left, as a share and in requests.
const NEAR: (f64, f64) = (0.03, 0.5);
/// Where its windows begin may be off by so much of their length.
const PHASE_OFF: f64 = 0.005;
/// So many times what one may send tells of what is behind.
const TOGETHER: f64 = 1.15;

/// The first limit, as far as it is known.
#[derive(Clone, Debug)]
pub(in crate::infer::study) struct Inner {
    pub(super) kind: Kind,
    pub(super) latency: Latency,
    /// For each party whose limit it has: the first of them; `None`: not known.
    pub(super) holders: Vec<Option<usize>>,
}

impl Inner {
    pub(in crate::infer::study) fn new(
        observations: &Observations,
        kind: Kind,
        latency: Latency,
        pairs: &[PairFinding],
    ) -> Self {
        let parties = &observations.parties;
        let readings = scope::readings(parties, pairs);
        let others = scope::decided(pairs);
        let shared: Vec<Option<bool>> = std::iter::once(Some(true)).chain(others).collect();
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
    pub(in crate::infer::study) fn apart(&self) -> Vec<usize> {
        let own = self.holders.iter().enumerate().filter(|(i, holder)| **holder == Some(*i));
        own.map(|(i, _)| i).collect()
    }

    /// What is known where nothing was refused but by this limit: how much everybody together was admitted.
    pub(in crate::infer::study) fn together(&self, observations: &Observations) -> Option<String> {
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

    pub(super) fn belongs(&self, party: usize, holder: usize) -> bool {
        self.holders.get(party) == Some(&Some(holder))
    }

    /// Two parties, as if they shared it or not.
    pub(in crate::infer::study) fn of_two(
        kind: Kind,
        latency: Latency,
        other: usize,
        shared: bool,
    ) -> Self {
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
    pub(in crate::infer::study) fn residue(&self, observations: &Observations) -> Observations {
        let judged = self.judged(observations);
        let left = observations.attempts.iter().zip(judged).filter(|(attempt, judged)| {
            !attempt.is_refused() || matches!(judged, Judged::Behind | Judged::Meanwhile)
        });
        let attempts = left.map(|(attempt, _)| *attempt).collect();
        Observations { attempts, ..observations.clone() }
    }

    /// How likely a record is, as a logarithm and roughly, where another limit behind may refuse whatever it likes: what
    /// this one would not have admitted speaks against it, and what it would not have refused a little.
    pub(in crate::infer::study) fn ln_likelihood(&self, observations: &Observations) -> f64 {
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
    pub(in crate::infer::study) fn ln_likelihood_of_two(&self, observations: &Observations) -> f64 {
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
