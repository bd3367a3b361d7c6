//! The cheapest next experiment: of several that could be made, the one whose outcome tells most about what is
//! asked for what it costs (Lindley, "On a Measure of the Information Provided by an Experiment", 1956).
//!
//! An experiment begins after a rest: some pieces of even sending, the last of which goes on until something is
//! refused. Its outcome is how many were admitted. Every limiter that may be it predicts one; where those of
//! different kinds, rates or bursts predict different ones, the outcome tells them apart.

use std::time::Duration;

use super::conclusion::KindName;
use super::posterior::{Posterior, burst, stated_rate};
use crate::infer::families::Latency;
use crate::limiter::{Limiter, LimiterSettings};
use crate::model::{Kind, Moment};

/// A piece of even sending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    /// Seconds of silence before it.
    pub(super) wait: f64,
    /// Per second.
    pub(super) rate: f64,
    /// Requests.
    pub(super) count: u64,
}

/// An experiment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Experiment {
    pub(super) pieces: Vec<Piece>,
    pub(super) why: &'static str,
}

/// What one may cost, in requests and seconds: an experiment of that price costs 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prices {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// The highest rate, per second.
    pub(super) rate_max: f64,
    /// The most requests of one experiment.
    pub(super) count_max: u64,
    /// Seconds that a refusal costs, beside the rest that every experiment needs.
    pub(super) refusal: f64,
    pub(super) rest: f64,
}

/// Members that stand for all.
const SAMPLE: usize = 48;
/// Requests that are predicted one by one; more are taken together.
const STEPS: f64 = 400.0;

/// The experiment that tells most for its price; `None`: no experiment tells anything.
pub(super) fn best(
    posterior: &Posterior,
    prices: &Prices,
    start: f64,
    made: impl Fn(&str) -> usize,
) -> Option<Experiment> {
    let sample = posterior.sample(SAMPLE);
    let rate = posterior.rate(None)?.value;
    let most = posterior.burst(None)?.value;
    // What did not tell the last times is less likely to tell now than it seems.
    let worth = |experiment: &Experiment| {
        worth(experiment, &sample, posterior, prices, start) / (1.0 + made(experiment.why) as f64)
    };
    candidates(rate, most, posterior.window(None)?.value, prices)
        .into_iter()
        .map(|experiment| (worth(&experiment), experiment))
        .filter(|(worth, _)| *worth > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, experiment)| no_longer(experiment, &sample, posterior, start))
}

/// Ends an experiment where nobody who may be it would still admit: what comes after that tells nothing new.
fn no_longer(
    mut experiment: Experiment,
    sample: &[(Kind, f64)],
    posterior: &Posterior,
    start: f64,
) -> Experiment {
    const BEYOND: (f64, f64) = (1.3, 20.0);
    let (held, jitter) = (posterior.latency.held(), posterior.latency.jitter);
    let most = sample
        .iter()
        .map(|(kind, _)| {
            let predicted = predict(kind, &experiment, start, held, jitter);
            // Who is not refused may be found out by more than others admit: as many as it admits at once.
            if predicted.refused { predicted.admitted } else { predicted.admitted.min(burst(kind)) }
        })
        .fold(0.0, f64::max);
    let mut left = (most * BEYOND.0 + BEYOND.1) as u64;
    for piece in &mut experiment.pieces {
        piece.count = piece.count.min(left);
        left -= piece.count;
    }
    experiment.pieces.retain(|piece| piece.count > 0);
    experiment
}

/// Experiments that could be made about a limit of about this rate and burst.
fn candidates(rate: f64, burst: f64, window: f64, prices: &Prices) -> Vec<Experiment> {
    let mut all = Vec::new();
    let until_refused = |wait: f64, rate: f64| {
        let rate = rate.min(prices.rate_max);
        Piece { wait, rate, count: prices.count_max }
    };
    for factor in [1.03, 1.1, 1.25, 1.5, 2.0, 4.0, 10.0] {
        let pieces = vec![until_refused(0.0, rate * factor)];
        all.push(Experiment { pieces, why: "how many are admitted from rest, at this rate" });
    }
    for (from, to, windows) in [(0.94, 1.07, 3.0), (0.7, 1.4, 4.0)] {
        let pieces = climb(rate * from, (rate * to).min(prices.rate_max), window * windows);
        all.push(Experiment { pieces, why: "at which rate a slow climb is refused" });
    }
    let fast = (burst / window.max(0.05) * 10.0).max(rate * 4.0).min(prices.rate_max);
    for share in [0.5, 0.85] {
        let first = Piece { wait: 0.0, rate: fast, count: (burst * share).floor().max(1.0) as u64 };
        for gap in [0.2, 0.4, 0.6, 0.8, 0.97, 1.1, 1.5] {
            let pieces = vec![first, until_refused(gap * window, fast)];
            all.push(Experiment { pieces, why: "how much comes back in a pause" });
        }
        let second =
            Piece { wait: window * 0.5, rate: fast, count: (burst * (1.0 - share)) as u64 };
        if second.count > 0 {
            let third = until_refused(window * 0.55, fast);
            let pieces = vec![first, second, third];
            all.push(Experiment { pieces, why: "whether a window slides" });
        }
    }
    all.retain(|e| e.pieces.iter().map(|p| p.count).sum::<u64>() > 0);
    all
}

/// From one rate to another, in so many seconds.
fn climb(from: f64, to: f64, seconds: f64) -> Vec<Piece> {
    const PIECES: u32 = 24;
    let each = seconds / f64::from(PIECES);
    let rate = |i: u32| from + (to - from) * f64::from(i) / f64::from(PIECES - 1);
    (0..PIECES)
        .map(|i| Piece {
            wait: 0.0,
            rate: rate(i),
            count: (rate(i) * each).round().max(1.0) as u64,
        })
        .collect()
}

/// What an experiment does to one limiter.
#[derive(Clone, Copy, Debug)]
struct Predicted {
    admitted: f64,
    /// How exactly that is known.
    blur: f64,
    refused: bool,
    seconds: f64,
}

/// Information about what is asked, in nats, for the price.
fn worth(
    experiment: &Experiment,
    sample: &[(Kind, f64)],
    posterior: &Posterior,
    prices: &Prices,
    start: f64,
) -> f64 {
    let jitter = posterior.latency.jitter;
    let predicted: Vec<Predicted> = sample
        .iter()
        .map(|(kind, _)| predict(kind, experiment, start, posterior.latency.held(), jitter))
        .collect();
    let classes: Vec<Class> =
        sample.iter().map(|(kind, _)| Class::of(kind, posterior.latency.held())).collect();
    let alike = |i: usize, j: usize| {
        let (a, b) = (&predicted[i], &predicted[j]);
        if a.refused != b.refused {
            return 0.0;
        }
        let (d, blur) = (a.admitted - b.admitted, a.blur.hypot(b.blur));
        (-(d / blur).powi(2) / 2.0).exp()
    };
    // Entropy of the outcome, less what is left of it where the answer is known.
    let mut information = 0.0;
    for (i, (_, weight)) in sample.iter().enumerate() {
        let (mut all, mut within, mut mass) = (0.0, 0.0, 0.0);
        for (j, (_, other)) in sample.iter().enumerate() {
            let same = other * alike(i, j);
            all += same;
            let kin = classes[i].near(&classes[j]);
            within += same * kin;
            mass += other * kin;
        }
        information += weight * ((within / mass).ln() - all.ln());
    }
    let mean = |of: &dyn Fn(&Predicted) -> f64| -> f64 {
        sample.iter().zip(&predicted).map(|((_, w), p)| w * of(p)).sum()
    };
    let requests = mean(&|p| p.admitted);
    let refused = mean(&|p| f64::from(u8::from(p.refused)));
    let seconds = mean(&|p| p.seconds) + refused * prices.refusal + prices.rest;
    if information < 1e-3 {
        return 0.0;
    }
    information / (requests / prices.requests + seconds / prices.seconds + 0.02)
}

/// What is asked: which kind, and how much.
struct Class {
    kind: KindName,
    rate: f64,
    burst: f64,
}

impl Class {
    fn of(kind: &Kind, held: f64) -> Self {
        Self {
            kind: KindName::of(kind),
            rate: stated_rate(kind, held, f64::NAN).ln(),
            burst: burst(kind),
        }
    }

    /// How far two are the same answer.
    fn near(&self, other: &Self) -> f64 {
        if self.kind != other.kind {
            return 0.0;
        }
        let rate = (self.rate - other.rate) / 0.006;
        let burst = (self.burst - other.burst) / (self.burst * 0.01).max(0.5);
        (-(rate * rate + burst * burst) / 2.0).exp()
    }
}

fn moment(seconds: f64) -> Moment {
    Moment::ZERO + Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// How many requests a limiter admits from rest at a rate, before the first refusal.
pub(super) fn admitted_from_rest(kind: &Kind, rate: f64, start: f64, latency: &Latency) -> f64 {
    let count = (burst(kind) * 20.0 + 100.0) as u64;
    let pieces = vec![Piece { wait: 0.0, rate, count }];
    let experiment = Experiment { pieces, why: "" };
    predict(kind, &experiment, start, latency.held(), latency.jitter).admitted
}

fn predict(kind: &Kind, experiment: &Experiment, start: f64, held: f64, jitter: f64) -> Predicted {
    let likely = burst(kind) * 2.5;
    let total: f64 = experiment.pieces.iter().map(|p| p.count as f64).sum();
    let together = (total.min(likely) / STEPS).ceil().max(1.0);
    let mut limiter = Limiter::new(&LimiterSettings::plain(shrunk(kind, together)));
    let (mut t, mut admitted) = (start, 0.0);
    let places = match kind {
        Kind::Concurrency { limit } => Some(*limit as f64),
        _ => None,
    };
    for piece in &experiment.pieces {
        t += piece.wait;
        let steps = (piece.count as f64 / together).round();
        let gap = together / piece.rate;
        let mut sent = 0.0;
        while sent < steps {
            let passes = match places {
                Some(limit) => (sent * together).min(piece.rate * held) < limit,
                None => limiter.decide(moment(t)).is_admitted(),
            };
            if !passes {
                let blur = 0.4 + together * 0.3 + piece.rate * jitter * 1.5;
                return Predicted { admitted, blur, refused: true, seconds: t - start };
            }
            admitted += together;
            sent += 1.0;
            t += gap;
            // It is not found wanting by this experiment.
            if sent > 8.0 * STEPS {
                break;
            }
        }
    }
    Predicted { admitted, blur: together * 0.3 + 0.3, refused: false, seconds: t - start }
}

/// The same limiter for requests that come so many at once.
pub(super) fn shrunk(kind: &Kind, together: f64) -> Kind {
    let less = |limit: u64| (limit as f64 / together).round().max(1.0) as u64;
    match *kind {
        Kind::FixedWindow { limit, window, phase } => {
            Kind::FixedWindow { limit: less(limit), window, phase }
        }
        Kind::OnDemandWindow { limit, window } => {
            Kind::OnDemandWindow { limit: less(limit), window }
        }
        Kind::SlidingLog { limit, window } => Kind::SlidingLog { limit: less(limit), window },
        Kind::SlidingCounter { limit, window, phase } => {
            Kind::SlidingCounter { limit: less(limit), window, phase }
        }
        Kind::TokenBucket { rate, burst } => {
            let slower = crate::model::Rate::nearest(rate.per_second() / together);
            Kind::TokenBucket { rate: slower, burst: less(burst) }
        }
        Kind::Queue { rate, depth } => {
            let slower = crate::model::Rate::nearest(rate.per_second() / together);
            Kind::Queue { rate: slower, depth: less(depth) }
        }
        Kind::Concurrency { limit } => Kind::Concurrency { limit },
    }
}
