//! What is believed after a record: every limiter that may be it, with its weight.

mod readings;

use self::readings::Readings;
use super::conclusion::{Figure, KindName, KindShare};
use super::evidence::{self, Pauses, Reading};
use super::observations::{Attempt, Observations};
use super::queueing::queueing;
use crate::infer::families::Latency;
use crate::infer::fit::{Member, Sure};
use crate::model::Kind;

/// The limiters that may be it.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    /// With weights that add up to 1, the likeliest first.
    pub(super) members: Vec<Member>,
    pub(super) latency: Latency,
    /// What its pauses are best taken for, and by how much, as a logarithm of the odds; and whether refused requests count.
    pub(super) reading: Reading,
    surely: f64,
    /// Logarithm of how much likelier the record is if refused requests count; `None`: not asked.
    pub(super) refused_count: Option<f64>,
    /// Logarithm of the evidence for all of them together.
    pub(super) evidence: f64,
    /// Logarithm of how much likelier a queue makes the delays; 0 where it is none.
    pub(super) delays: f64,
    /// Places where refusals began or still held.
    pub(super) trips: usize,
}

/// A record of one limit has, as a rule, at least this evidence, less so much for each trip.
const CONTRADICTED: (f64, f64) = (-22.0, 1.5);
/// The same where its delays say that it is a queue.
const QUEUE_CONTRADICTED: (f64, f64) = (-25.0, 3.0);
/// No rate, no quota and no window is known closer than this, as a ratio: clocks differ, and servers count in
/// milliseconds.
const CLOSEST: f64 = 7e-4;
/// Members lighter than this, in relation to the heaviest, are left out.
const LIGHTEST: f64 = 1e-6;

/// A kind this likely is beyond doubt, until a record becomes less likely than this by each place where refusals began.
const SURE: f64 = 0.999;
const AGAIN: (f64, f64) = (4.0, 1.5);
/// What pauses are best taken for is beyond doubt with such odds, as a logarithm.
const SURELY: f64 = 30.0;

/// What is not asked.
#[derive(Debug, Default)]
struct Given {
    sure: Option<Sure>,
    pauses: Option<Pauses>,
    refused_count: Option<bool>,
    /// Round numbers are no likelier than others.
    flat: bool,
}

impl Posterior {
    /// What the attempts of a group of parties tell; `None`: nothing was refused.
    pub(super) fn of(
        observations: &Observations,
        belongs: impl Fn(&Attempt) -> bool,
    ) -> Option<Self> {
        Self::fitted(observations, belongs, &Given::default())
    }

    /// The same once more of them have been made: what was sure is not asked again. `None`: it is not so sure now.
    pub(super) fn again(
        &self,
        observations: &Observations,
        belongs: impl Fn(&Attempt) -> bool,
    ) -> Option<Self> {
        let sure = Some(self.sure()?);
        let given = Given { sure, flat: false, ..self.given() };
        let next = Self::fitted(observations, belongs, &given)?;
        let more = next.trips.saturating_sub(self.trips) as f64;
        let kept = next.evidence > self.evidence - AGAIN.0 - AGAIN.1 * more;
        let refused_count = self.refused_count;
        (kept && next.explains() && next.sure().is_some()).then_some(Self { refused_count, ..next })
    }

    /// What the same attempts would tell if round numbers were no likelier than others.
    pub(super) fn without_prior(
        &self,
        observations: &Observations,
        belongs: impl Fn(&Attempt) -> bool,
    ) -> Option<Self> {
        let given = Given { flat: true, ..self.given() };
        Self::fitted(observations, belongs, &given)
    }

    /// The kind and the length of its windows, if they are beyond doubt.
    fn sure(&self) -> Option<Sure> {
        let first = self.kinds().first().copied().filter(|k| k.probability > SURE)?;
        if !self.explains() {
            return None;
        }
        let kind = self.of_kind(Some(first.kind)).next()?.kind;
        let window = self.window(Some(first.kind))?;
        Some(Sure { kind, lengths: (window.low, window.high) })
    }

    /// How its record is read.
    fn given(&self) -> Given {
        let pauses = (self.surely > SURELY).then_some(self.reading.pauses);
        let refused_count = Some(self.reading.refused_count);
        Given { sure: None, pauses, refused_count, flat: false }
    }

    fn fitted(
        observations: &Observations,
        belongs: impl Fn(&Attempt) -> bool,
        given: &Given,
    ) -> Option<Self> {
        let queue = queueing(observations.attempts.iter().filter(|a| belongs(a)));
        let plainly = queue.as_ref().is_some_and(|queue| queue.plainly);
        let queue = queue.and_then(|queue| {
            let (served, latency) = (Some(queue.served), queue.latency);
            let readings = Readings { observations, belongs: &belongs, latency, given, served };
            Some(Self { delays: queue.told, ..readings.likeliest()? })
        });
        let queue = queue.filter(Self::explains);
        if plainly && queue.is_some() {
            return queue;
        }
        let latency = evidence::latency(observations);
        let readings = Readings { observations, belongs: &belongs, latency, given, served: None };
        let other = readings.likeliest();
        // Where delays tell little, refusals have to agree with them.
        let worse = |queue: &Self| other.as_ref().is_some_and(|o| o.evidence > queue.evidence);
        queue.filter(|queue| !worse(queue)).or(other)
    }

    fn from(
        mut members: Vec<Member>,
        latency: Latency,
        reading: Reading,
        trips: usize,
    ) -> Option<Self> {
        let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
        if !best.is_finite() {
            return None;
        }
        members.iter_mut().for_each(|m| m.weight = (m.weight - best).exp());
        members.retain(|m| m.weight > LIGHTEST);
        let total: f64 = members.iter().map(|m| m.weight).sum();
        members.iter_mut().for_each(|m| m.weight /= total);
        members.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let evidence = best + total.ln();
        let (surely, delays, refused_count) = (0.0, 0.0, None);
        Some(Self { members, latency, reading, surely, refused_count, evidence, delays, trips })
    }

    /// Whether any limiter explains the record.
    pub(super) fn explains(&self) -> bool {
        // Delays that a queue predicts are evidence of their own: then little less is asked of what it refuses.
        let (least, each) = if self.delays > 0.0 { QUEUE_CONTRADICTED } else { CONTRADICTED };
        // The larger the limit, the more numbers there are that it might have been; and times at which its windows begin.
        let numbers = self.members.first().map_or(0.0, |m| {
            let of_limits = burst(&m.kind).max(1.0).ln();
            let phased = matches!(m.kind, Kind::FixedWindow { .. } | Kind::SlidingCounter { .. });
            if phased { 2.0 * of_limits } else { of_limits }
        });
        self.evidence > least - each * self.trips as f64 - numbers
    }

    /// Where windows begin, in seconds, with the weight of each.
    pub(super) fn phases(&self) -> Vec<(f64, f64)> {
        let phase = |m: &Member| match m.kind {
            Kind::FixedWindow { phase, .. } | Kind::SlidingCounter { phase, .. } => {
                Some((phase.as_secs_f64(), m.weight))
            }
            _ => None,
        };
        self.members.iter().filter_map(phase).collect()
    }

    /// Every kind with its probability, the likeliest first.
    pub(super) fn kinds(&self) -> Vec<KindShare> {
        let mut shares: Vec<KindShare> = Vec::new();
        for member in &self.members {
            let kind = KindName::of(&member.kind);
            match shares.iter_mut().find(|share| share.kind == kind) {
                Some(share) => share.probability += member.weight,
                None => shares.push(KindShare { kind, probability: member.weight }),
            }
        }
        shares.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        shares
    }

    /// Of the members, those of a kind; all, if it is not given.
    pub(super) fn of_kind(&self, kind: Option<KindName>) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |m| kind.is_none_or(|kind| KindName::of(&m.kind) == kind))
    }

    /// The rate that the limit says, per second.
    pub(super) fn rate(&self, kind: Option<KindName>) -> Option<Figure> {
        figure(self.of_kind(kind).map(|m| {
            let rate = stated_rate(&m.kind, self.latency.held(), m.rate);
            (rate, (m.spread / m.rate).max(CLOSEST) * rate, m.weight)
        }))
    }

    /// Requests at once after a rest.
    pub(super) fn burst(&self, kind: Option<KindName>) -> Option<Figure> {
        figure(self.of_kind(kind).map(|m| {
            let burst = burst(&m.kind);
            (burst, (burst * CLOSEST).max(0.25), m.weight)
        }))
    }

    /// Length of the window, in seconds.
    pub(super) fn window(&self, kind: Option<KindName>) -> Option<Figure> {
        figure(self.of_kind(kind).map(|m| {
            let window = m.kind.window().as_secs_f64();
            (window, window * (m.spread / m.rate).max(CLOSEST) / 2.0, m.weight)
        }))
    }

    /// About so many members that stand for all, each for the same share.
    pub(super) fn sample(&self, about: usize) -> Vec<(Kind, f64)> {
        let mut sample: Vec<(Kind, f64)> = Vec::new();
        let each = 1.0 / about as f64;
        let (mut passed, mut next) = (0.0, each / 2.0);
        for member in &self.members {
            passed += member.weight;
            let mut times = 0.0;
            while next < passed {
                next += each;
                times += each;
            }
            if times > 0.0 {
                sample.push((member.kind, times));
            }
        }
        sample
    }
}

/// What the limit of a member says, without what jitter makes of it.
pub(super) fn stated_rate(kind: &Kind, held: f64, lasting: f64) -> f64 {
    match *kind {
        Kind::FixedWindow { limit, window, .. }
        | Kind::OnDemandWindow { limit, window }
        | Kind::SlidingLog { limit, window }
        | Kind::SlidingCounter { limit, window, .. } => limit as f64 / window.as_secs_f64(),
        Kind::TokenBucket { rate, .. } | Kind::Queue { rate, .. } => rate.per_second(),
        Kind::Concurrency { limit } if held > 0.0 => limit as f64 / held,
        Kind::Concurrency { .. } => lasting,
    }
}

/// Requests that a member admits at once after a rest.
pub(super) fn burst(kind: &Kind) -> f64 {
    match *kind {
        Kind::FixedWindow { limit, .. }
        | Kind::OnDemandWindow { limit, .. }
        | Kind::SlidingLog { limit, .. }
        | Kind::SlidingCounter { limit, .. }
        | Kind::Concurrency { limit } => limit as f64,
        Kind::TokenBucket { burst, .. } => burst as f64,
        Kind::Queue { depth, .. } => depth as f64 + 1.0,
    }
}

/// The median and the middle 95 % of a mixture of (value, standard deviation, weight).
pub(super) fn figure(parts: impl Iterator<Item = (f64, f64, f64)>) -> Option<Figure> {
    let mut points: Vec<(f64, f64)> = parts
        .flat_map(|(value, spread, weight)| {
            // Three points with the mean and the spread of a normal distribution.
            [(-1.73, 1.0 / 6.0), (0.0, 2.0 / 3.0), (1.73, 1.0 / 6.0)]
                .map(|(z, share)| (value + z * spread, weight * share))
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = points.iter().map(|p| p.1).sum();
    let at = |q: f64| {
        let mut sum = 0.0;
        points.iter().find(|(_, w)| {
            sum += w / total;
            sum >= q
        })
    };
    let last = points.last()?.0;
    Some(Figure {
        value: at(0.5).map_or(last, |p| p.0),
        low: at(0.025).map_or(last, |p| p.0),
        high: at(0.975).map_or(last, |p| p.0),
    })
}

impl KindName {
    /// The name of a kind.
    #[must_use]
    pub const fn of(kind: &Kind) -> Self {
        match kind {
            Kind::FixedWindow { .. } => Self::FixedWindow,
            Kind::OnDemandWindow { .. } => Self::OnDemandWindow,
            Kind::SlidingLog { .. } => Self::SlidingLog,
            Kind::SlidingCounter { .. } => Self::SlidingCounter,
            Kind::TokenBucket { .. } => Self::TokenBucket,
            Kind::Queue { .. } => Self::Queue,
            Kind::Concurrency { .. } => Self::Concurrency,
        }
    }

    /// The same in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed window",
            Self::OnDemandWindow => "window on demand",
            Self::SlidingLog => "sliding log",
            Self::SlidingCounter => "sliding counter",
            Self::TokenBucket => "token bucket",
            Self::Queue => "queue",
            Self::Concurrency => "concurrency limit",
        }
    }
}
