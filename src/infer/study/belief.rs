//! What a probe believes between two experiments, and whether that is enough.

use std::fmt;

use super::conclusion::{Figure, Finding, KindName, PairFinding};
use super::design::{self, Experiment, Piece, Prices};
use super::evidence::Pauses;
use super::nested::{Inner, Outer};
use super::observations::{Attempt, Observations};
use super::posterior::Posterior;
use super::scope;
use crate::model::Kind;

/// A kind is known with this probability.
const SURE: f64 = 0.985;
/// A rate whose interval is narrower than this, as a ratio, is known.
const RATE_KNOWN: f64 = 0.014;
/// Likewise a burst, or one within so many requests.
const BURST_KNOWN: (f64, f64) = (0.03, 2.0);

/// A rate that is known no closer than this, as a ratio, tells nothing of what is behind it.
const NUMBERED: f64 = 1.2;

/// Seconds of rest where nothing explains what was refused: a longer window would.
const UNEXPLAINED: f64 = 60.0;
/// Below the highest rate that the budget allows, so much.
const SLOWER: f64 = 0.8;
pub(super) const BELOW: &str = "whether anything is refused below the highest rate";

/// What is believed.
#[derive(Debug, Default)]
pub(super) struct Belief {
    posterior: Option<Posterior>,
}

impl Belief {
    /// Looks at everything that the first party has been through by itself.
    pub(super) fn update(&mut self, observations: &Observations) {
        // Once others have sent, what was refused may have been their doing.
        if observations.attempts.iter().any(|attempt| attempt.party != 0) {
            return;
        }
        let first = |attempt: &Attempt| attempt.party == 0;
        self.posterior = self.posterior.as_ref().and_then(|p| p.again(observations, first));
        // Before anything counts as known, everything is asked once more.
        if self.posterior.is_none() || (self.knows_numbers() && self.knows_kind()) {
            self.posterior = Posterior::of(observations, first);
        }
    }

    /// Looks at what a limit refuses that lies behind the first. Answers with whether others share it.
    pub(super) fn update_behind(
        &mut self,
        observations: &Observations,
        inner: &Inner,
    ) -> Vec<PairFinding> {
        let outer = Outer::of(observations, inner);
        let pairs = outer.as_ref().map(|outer| outer.pairs.clone()).unwrap_or_default();
        let outer = outer.filter(|outer| outer.miscounted().is_empty());
        self.posterior = outer.map(|outer| outer.posterior);
        pairs
    }

    /// The limit as far as others may have one each; `None`: it is not known what it is.
    pub(super) fn inner(&self, observations: &Observations) -> Option<Inner> {
        let posterior = self.posterior.as_ref().filter(|p| p.explains())?;
        let rate = posterior.rate(None)?;
        if rate.high > rate.low * NUMBERED {
            return None;
        }
        let (kind, latency) = (posterior.members.first()?.kind, posterior.latency);
        let pairs = scope::pairs(observations, posterior);
        Some(Inner::new(observations, kind, latency, &pairs))
    }

    /// Whether anything was refused.
    pub(super) const fn is_any(&self) -> bool {
        self.posterior.is_some()
    }

    /// Whether rate and burst are known.
    pub(super) fn knows_numbers(&self) -> bool {
        let Some(posterior) = self.posterior.as_ref().filter(|p| p.explains()) else {
            return false;
        };
        let (Some(rate), Some(burst)) = (posterior.rate(None), posterior.burst(None)) else {
            return false;
        };
        let spread = |f: Figure| f.high - f.low;
        spread(rate) < rate.value * RATE_KNOWN
            && spread(burst) < (burst.value * BURST_KNOWN.0).max(BURST_KNOWN.1)
    }

    /// Whether the kind is known.
    pub(super) fn knows_kind(&self) -> bool {
        self.kind().is_some()
    }

    fn kind(&self) -> Option<KindName> {
        let first = *self.posterior.as_ref()?.kinds().first()?;
        (first.probability > SURE).then_some(first.kind)
    }

    /// The experiment that tells most, if it begins at `start` (in seconds); `made` says how often one was made.
    pub(super) fn experiment(
        &self,
        prices: &Prices,
        start: f64,
        made: impl Fn(&str) -> usize,
    ) -> Option<Experiment> {
        design::best(self.posterior.as_ref()?, prices, start, made)
    }

    /// Whether the limit is believed to be just what the budget allows to send: whatever refuses at that rate looks so.
    pub(super) fn is_at(&self, rate_max: f64) -> bool {
        const NEAR: f64 = 0.9;
        let rate = self.posterior.as_ref().and_then(|posterior| posterior.rate(None));
        rate.is_some_and(|rate| rate.value > rate_max * NEAR)
    }

    /// An experiment that puts what is believed to the test, one after the other: its outcome is predicted, but limits
    /// that are not thought of would have another.
    pub(super) fn test(&self, prices: &Prices, nth: usize, most: u64) -> Option<Experiment> {
        const FASTER: [f64; 4] = [4.0, 1.25, 2.0, 1.08];
        if self.is_at(prices.rate_max) {
            let (rate, count) = (prices.rate_max * SLOWER, most + most / 3 + 20);
            let piece = Piece { wait: 0.0, rate, count };
            return Some(Experiment { pieces: vec![piece], why: BELOW });
        }
        let rate = self.posterior.as_ref()?.rate(None)?.value * FASTER[nth % FASTER.len()];
        let count = (self.burst()? * 2.0 + 20.0) as u64;
        let piece = Piece {
            wait: 0.0,
            rate: rate.min(prices.rate_max),
            count: count.min(prices.count_max),
        };
        Some(Experiment { pieces: vec![piece], why: "whether as many are admitted as predicted" })
    }

    /// Where nothing explains what was seen, no prediction tells which experiment would.
    pub(super) fn unexplained(&self, rate_max: f64, nth: usize, most: u64) -> Option<Experiment> {
        self.posterior.as_ref().filter(|posterior| !posterior.explains())?;
        let why = "how much is admitted from rest, which nothing explains";
        Some(Experiment { pieces: vec![more_than_ever(rate_max, nth, most)], why })
    }

    /// Whether it is known if a party shares the limit of the first.
    pub(super) fn decides(&self, observations: &Observations, other: usize) -> bool {
        let Some(posterior) = &self.posterior else { return false };
        let pair = scope::pair(observations, posterior, other);
        matches!(pair.shared, Finding::Known { .. })
    }

    /// How many requests are admitted from rest at a high rate, and that rate.
    pub(super) fn quota(&self, rate_max: f64, start: f64) -> Option<(f64, f64)> {
        let posterior = self.posterior.as_ref()?;
        let rate = (posterior.rate(None)?.value * 4.0).min(rate_max);
        let kind = posterior.members.first()?.kind;
        Some((design::admitted_from_rest(&kind, rate, start, &posterior.latency), rate))
    }

    /// Requests at once, about.
    pub(super) fn burst(&self) -> Option<f64> {
        Some(self.posterior.as_ref()?.burst(None)?.value)
    }

    /// Rate per second and window in seconds, about.
    pub(super) fn rate_and_window(&self) -> Option<(f64, f64)> {
        let posterior = self.posterior.as_ref()?;
        Some((posterior.rate(None)?.value, posterior.window(None)?.value))
    }

    /// How often to ask whether a pause is over, in seconds, where it is the limit's own: so that its end is known to
    /// within a part of the window.
    pub(super) fn ask_every(&self) -> Option<f64> {
        let posterior = self.posterior.as_ref().filter(|p| p.reading.pauses == Pauses::Limit)?;
        Some((posterior.window(None)?.value / 12.0).max(0.25))
    }

    /// Seconds of silence after which nearly every limiter that it may be has forgotten everything.
    pub(super) fn rest(&self) -> f64 {
        let Some(posterior) = &self.posterior else { return 0.0 };
        let mut times: Vec<(f64, f64)> =
            posterior.members.iter().map(|m| (to_forget(&m.kind), m.weight)).collect();
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |q: f64| {
            let mut sum = 0.0;
            let found = times.iter().find(|(_, w)| {
                sum += w;
                sum >= q
            });
            found.or(times.last()).map_or(0.0, |t| t.0)
        };
        let jitter = posterior.latency.jitter_max + 0.005;
        let known = at(0.95).min(at(0.6) * 3.0 + 1.0) + jitter;
        if posterior.explains() { known } else { known.max(UNEXPLAINED) }
    }
}

/// As many requests as ever were admitted (`most`), and more, at one of several rates.
pub(super) fn more_than_ever(rate_max: f64, nth: usize, most: u64) -> Piece {
    const SLOWER: [f64; 4] = [1.0, 0.6, 0.8, 0.4];
    let (rate, count) = (rate_max * SLOWER[nth % SLOWER.len()], most + most / 3 + 20);
    Piece { wait: 0.0, rate, count }
}

/// Seconds of silence after which a limiter has forgotten everything.
pub(super) fn to_forget(kind: &Kind) -> f64 {
    let window = kind.window().as_secs_f64();
    match kind {
        Kind::SlidingCounter { .. } => 2.0 * window,
        _ => window,
    }
}

impl fmt::Display for Belief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(posterior) = &self.posterior else { return Ok(()) };
        let (Some(rate), Some(first)) = (posterior.rate(None), posterior.kinds().first().copied())
        else {
            return Ok(());
        };
        let percent = first.probability * 100.0;
        let words = first.kind.words();
        write!(
            f,
            "{words} ({percent:.0} %), {:.4}/s ({:.4} to {:.4})",
            rate.value, rate.low, rate.high
        )
    }
}
