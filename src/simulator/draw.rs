//! Everything that chance decides: how long a request takes and what befalls it.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::settings::{Distribution, FaultSettings, LatencySettings};

/// What befalls an admitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Serve,
    Error(u16),
    Reset,
    Stall,
}

pub(super) fn chance(rng: &mut StdRng, ratio: f64) -> bool {
    ratio > 0.0 && rng.random::<f64>() < ratio
}

pub(super) fn fate(rng: &mut StdRng, faults: &FaultSettings) -> Fate {
    let FaultSettings { error_ratio, reset_after_ratio, stall_ratio, .. } = faults;
    if error_ratio + reset_after_ratio + stall_ratio <= 0.0 {
        return Fate::Serve;
    }
    let drawn: f64 = rng.random();
    if drawn < *error_ratio {
        let i = rng.random_range(0..faults.error_statuses.len());
        return Fate::Error(faults.error_statuses[i]);
    }
    if drawn < error_ratio + reset_after_ratio {
        return Fate::Reset;
    }
    if drawn < error_ratio + reset_after_ratio + stall_ratio {
        return Fate::Stall;
    }
    Fate::Serve
}

pub(super) fn latency(rng: &mut StdRng, settings: &LatencySettings) -> Duration {
    let (mean, min, max) = (settings.mean.0, settings.min.0, settings.max.0);
    match settings.distribution {
        Distribution::Constant => mean,
        Distribution::Uniform => min + max.saturating_sub(min).mul_f64(rng.random()),
        Distribution::Exponential => scaled(mean, -(1.0 - rng.random::<f64>()).ln(), max),
        Distribution::Lognormal => {
            // The mean of exp(σZ) is exp(σ²/2), which is divided out.
            let sigma = settings.sigma;
            scaled(mean, (sigma * normal(rng) - sigma * sigma / 2.0).exp(), max)
        }
    }
}

fn scaled(mean: Duration, factor: f64, max: Duration) -> Duration {
    let seconds = mean.as_secs_f64() * factor;
    Duration::try_from_secs_f64(seconds).unwrap_or(max).min(max)
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HumanDuration;
    use rand::SeedableRng;

    fn mean_ms(distribution: Distribution) -> f64 {
        let ms = |n| HumanDuration(Duration::from_millis(n));
        let settings = LatencySettings {
            distribution,
            mean: ms(40),
            min: ms(20),
            max: ms(if distribution == Distribution::Uniform { 60 } else { 10_000 }),
            sigma: 0.8,
        };
        let mut rng = StdRng::seed_from_u64(7);
        let sum: Duration = (0..20_000).map(|_| latency(&mut rng, &settings)).sum();
        sum.as_secs_f64() * 1_000.0 / 20_000.0
    }

    #[test]
    fn every_distribution_has_the_mean_it_says() {
        assert!((mean_ms(Distribution::Constant) - 40.0).abs() < 1e-9);
        for random in [Distribution::Uniform, Distribution::Exponential, Distribution::Lognormal] {
            let mean = mean_ms(random);
            assert!((mean - 40.0).abs() < 1.5, "{random:?}: {mean}");
        }
    }

    #[test]
    fn fates_come_in_their_ratios() {
        let faults = FaultSettings {
            error_ratio: 0.2,
            reset_after_ratio: 0.1,
            stall_ratio: 0.05,
            ..FaultSettings::default()
        };
        let mut rng = StdRng::seed_from_u64(7);
        let fates: Vec<Fate> = (0..20_000).map(|_| fate(&mut rng, &faults)).collect();
        let part = |f: fn(&Fate) -> bool| fates.iter().filter(|x| f(x)).count() as f64 / 20_000.0;
        assert!((part(|f| matches!(f, Fate::Error(_))) - 0.2).abs() < 0.015);
        assert!((part(|f| *f == Fate::Reset) - 0.1).abs() < 0.015);
        assert!((part(|f| *f == Fate::Stall) - 0.05).abs() < 0.015);
    }
}
