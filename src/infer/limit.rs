//! A member's limit: how much of its prior the record leaves.

use super::families::Bounds;
pub(super) use super::normal::ln_phi;
use super::normal::{self, LEAST, phi};

/// ln of the range that limits may lie in: the density of their prior over ln.
pub(super) const LIMIT_RANGE: f64 = 14.0;

/// A member's limit, given its bounds.
pub(super) struct Limit {
    /// The mean of the limits that the record allows.
    pub(super) value: f64,
    /// Logarithm of their prior mass.
    pub(super) weight: f64,
    /// The whole numbers among them that matter; or all of them together.
    pub(super) points: Vec<LimitPoint>,
}

/// One of the limits that the record allows, or all of them together.
pub(super) struct LimitPoint {
    pub(super) value: f64,
    pub(super) spread: f64,
    /// Logarithm of its prior mass.
    pub(super) weight: f64,
}

/// Which numbers a limit may be.
#[derive(Clone, Copy)]
enum Numbers {
    /// Whole ones; what is used is told from them by so much.
    Whole {
        half: f64,
    },
    Real,
}

impl Limit {
    /// A whole number of requests, of which whole numbers are used.
    pub(super) fn whole(bounds: &Bounds) -> Self {
        let top = (bounds.roof() - 1.0).min(bounds.floor * 20.0);
        Self::weigh(bounds, bounds.floor, top, Numbers::Whole { half: 0.5 }, |_| 1.0)
    }

    /// A whole number of requests, of which any part may be used: it is met from both sides, much closer than by a
    /// request, and how often tells nothing.
    pub(super) fn fractioned(bounds: &Bounds) -> Self {
        let once = Bounds { witnesses: 1.0, ..bounds.clone() };
        let top = bounds.roof().min(bounds.floor * 20.0);
        Self::weigh(&once, bounds.floor, top, Numbers::Whole { half: 0.0 }, |_| 1.0)
    }

    /// Any number of tokens; one second's worth of the refill is what vendors like, if that is a number.
    pub(super) fn real(bounds: &Bounds, rate: f64) -> Self {
        const LIKED: f64 = 0.3;
        let liked = rate.max(1.0);
        let width = 0.5 + 0.005 * liked;
        let prior = move |limit: f64| {
            if !rate.is_finite() {
                return 1.0;
            }
            let z = (limit - liked) / width;
            // Against the density of all others, which is 1 / limit over the range.
            (1.0 - LIKED) + LIKED * (-z * z / 2.0).exp() / width / 2.5 * limit * LIMIT_RANGE
        };
        Self::weigh(
            bounds,
            bounds.floor,
            bounds.roof().min(bounds.floor * 20.0),
            Numbers::Real,
            prior,
        )
    }

    /// The same, if it cannot be this one.
    pub(super) fn never(self) -> Self {
        Self { weight: -1e9, ..self }
    }

    fn weigh(
        bounds: &Bounds,
        a: f64,
        b: f64,
        numbers: Numbers,
        prior: impl Fn(f64) -> f64,
    ) -> Self {
        const STEPS: u32 = 32;
        let (whole, half) = match numbers {
            Numbers::Whole { half } => (true, half),
            Numbers::Real => (false, 0.0),
        };
        let likelihood = Likelihood::of(bounds, half);
        let wide = bounds.blur().max(likelihood.below);
        let (mut low, mut high) =
            ((a.min(b) - 3.0 * wide - half).max(0.5), a.max(b) + 3.0 * wide + half);
        if whole && high - low < f64::from(STEPS) - 2.0 {
            // Whole numbers, each in the middle of a step.
            low = low.floor() + 0.5;
            high = low + f64::from(STEPS);
        }
        let step = (high - low) / f64::from(STEPS);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        let mut weights = [0.0; STEPS as usize];
        for (i, weight) in weights.iter_mut().enumerate() {
            let limit = low + step * (i as f64 + 0.5);
            *weight = likelihood.ln(limit, prior(limit) * step / limit / LIMIT_RANGE);
        }
        let best = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (i, weight) in weights.iter().enumerate() {
            let limit = low + step * (i as f64 + 0.5);
            let w = (weight - best).exp();
            sum += w;
            first += w * limit;
            second += w * limit * limit;
        }
        let (value, weight) = (first / sum, best + sum.ln());
        let spread = (second / sum - value * value).max(0.0).sqrt();
        // Of few whole numbers, each is a limit of its own: there is nothing between them.
        let points = if whole && step == 1.0 && spread < 1.0 {
            let matter = weights.iter().enumerate().filter(|(_, w)| **w > weight - 4.0);
            matter
                .map(|(i, w)| LimitPoint { value: low + i as f64 + 0.5, spread: 0.05, weight: *w })
                .collect()
        } else {
            vec![LimitPoint { value, spread, weight }]
        };
        Self { value, weight, points }
    }
}

/// How likely a record is under a member, for one limit after the other.
pub(super) struct Likelihood<'a> {
    bounds: &'a Bounds,
    roofs: Vec<Roof>,
    below: f64,
    witnesses: i32,
    half: f64,
}

impl<'a> Likelihood<'a> {
    /// Limits are told from what is used by `half` a request; by nothing, where any part of one may be used.
    pub(super) fn of(bounds: &'a Bounds, half: f64) -> Self {
        let witnesses = bounds.witnesses.clamp(1.0, 1e6).round() as i32;
        Self { bounds, roofs: Roof::all(bounds), below: bounds.below(), witnesses, half }
    }

    /// Its logarithm, if the limit is this, and that of a factor.
    pub(super) fn ln(&self, limit: f64, factor: f64) -> f64 {
        let z = (limit - self.bounds.floor + self.half) / self.below;
        let (ln, admitted) = match z {
            z if z < -6.0 => (ln_phi(z) * f64::from(self.witnesses), 1.0),
            z if z > 6.0 => (0.0, 1.0),
            z => (0.0, phi(z).powi(self.witnesses)),
        };
        let steady = self.bounds.steady.as_ref().map_or(0.0, |s| s.ln_admitted(limit));
        let below = ln_below(limit + self.half, &self.roofs, self.bounds.oddly, admitted * factor);
        self.bounds.luck + ln + steady + below
    }
}

/// A roof, prepared for many limits: where it is, and the reciprocals of its blur and of the blur of the odd ones.
struct Roof {
    at: f64,
    sharp: f64,
    oddly_sharp: f64,
}

impl Roof {
    /// How many times its blur what is off oddly is off, and by how many requests more.
    const FARTHER: (f64, f64) = (4.0, 0.5);

    fn all(bounds: &Bounds) -> Vec<Self> {
        let prepared = |&(at, blur): &(f64, f64)| Self {
            at,
            sharp: 1.0 / blur,
            oddly_sharp: 1.0 / (Self::FARTHER.0 * blur + Self::FARTHER.1),
        };
        bounds.roofs.iter().map(prepared).collect()
    }
}

/// Logarithm of the probability that a limit is below all of these roofs, times another. With `oddly` of them, a roof is
/// off by far more.
fn ln_below(limit: f64, roofs: &[Roof], oddly: f64, mut product: f64) -> f64 {
    let table = normal::table();
    // Logarithms cost more than all the rest: of many factors, as few as the range of a number allows.
    let mut ln = 0.0;
    for roof in roofs {
        let above = roof.at - limit;
        let z = above * roof.sharp;
        if z > 5.0 {
            continue;
        }
        if oddly > 0.0 {
            let odd = table.phi(above * roof.oddly_sharp);
            product *= (1.0 - oddly) * table.phi(z).max(LEAST) + oddly * odd;
        } else if z < -6.0 {
            ln += ln_phi(z);
            continue;
        } else {
            product *= table.phi(z);
        }
        if product < 1e-200 {
            ln += f64::ln(product);
            product = 1.0;
        }
    }
    ln + product.ln()
}
