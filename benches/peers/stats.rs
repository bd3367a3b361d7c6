//! What a list of arrivals says about whoever sent them: pure arithmetic.

/// How late requests came, in milliseconds, against a schedule of evenly spaced slots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lateness {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// Lateness of arrival `i` (nanoseconds, in order) behind `start + i / rate`, where `start` is such that the earliest
/// is not late at all: the schedule is exact, so every delay on the way shows and nothing can arrive too soon. A slot
/// that was left out makes all that follow a period late; nobody gains by leaving some out.
pub(crate) fn lateness(arrivals_ns: &[u64], rate: f64) -> Option<Lateness> {
    let first = *arrivals_ns.first()?;
    let period_ns = 1e9 / rate;
    let behind = |(i, at): (usize, &u64)| (at - first) as f64 - i as f64 * period_ns;
    let mut late_ns: Vec<f64> = arrivals_ns.iter().enumerate().map(behind).collect();
    late_ns.sort_by(f64::total_cmp);
    let start = late_ns[0];
    let at = |q| (quantile(&late_ns, q) - start) / 1e6;
    Some(Lateness { p50_ms: at(0.5), p99_ms: at(0.99), p999_ms: at(0.999), max_ms: at(1.0) })
}

/// The nearest-rank quantile of a sorted list that is not empty.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Arrivals per second, by least squares over all of them. `None` for fewer than two.
pub(crate) fn fitted_rate(arrivals_ns: &[u64]) -> Option<f64> {
    let first = *arrivals_ns.first()?;
    let n = arrivals_ns.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = arrivals_ns.iter().map(|at| (at - first) as f64).sum::<f64>() / n;
    let covariance: f64 = arrivals_ns
        .iter()
        .enumerate()
        .map(|(i, at)| (i as f64 - middle) * ((at - first) as f64 - mean))
        .sum();
    let variance = n * (n * n - 1.0) / 12.0;
    (covariance > 0.0).then(|| 1e9 * variance / covariance)
}

/// The median of some numbers; NaN for none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}
