//! What headers, refusals and the declared-limits API say, beside what was measured.

use super::conclusion::{DeclaredFinding, Figure};
use super::observations::{Named, Observations};
use super::posterior::Posterior;

/// A limit is a whole number of requests: half of one is rounding.
const ROUNDING: f64 = 0.5;
/// What a key calls its period, in seconds.
const PERIODS: [(&str, f64); 4] =
    [("per.second", 1.0), ("per.minute", 60.0), ("per.hour", 3_600.0), ("per.day", 86_400.0)];

/// What was measured, as far as it can be compared.
struct Measured {
    burst: Option<Figure>,
    rate: Option<Figure>,
}

impl Measured {
    /// Whether a number of requests agrees: with what is admitted from rest, or, if it is one of a period, with what
    /// is admitted in that time.
    fn agrees(&self, limit: f64, period: Option<f64>) -> Option<bool> {
        let in_period = period.zip(self.rate).map(|(period, rate)| Figure {
            value: rate.value * period,
            low: rate.low * period,
            high: rate.high * period,
        });
        let figures = [self.burst, in_period];
        let mut figures = figures.iter().flatten().peekable();
        figures.peek()?;
        Some(figures.any(|f| f.low - ROUNDING <= limit && limit <= f.high + ROUNDING))
    }

    fn words(&self, period: Option<f64>) -> String {
        let show = |f: Figure, times: f64, what: &str| {
            let [value, low, high] = [f.value, f.low, f.high].map(|v| decimals(v * times));
            format!("{value} {what} ({low} to {high})")
        };
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.burst.map(|f| show(f, 1.0, "requests from rest")));
        let in_period = period.zip(self.rate);
        parts.extend(in_period.map(|(p, f)| show(f, p, &format!("in {p:.0} s for long"))));
        if parts.is_empty() { "nothing was measured".to_owned() } else { parts.join(", ") }
    }
}

/// At most one digit after the point.
fn decimals(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The period that a key names, in seconds.
fn period(key: &str) -> Option<f64> {
    let key = key.to_ascii_lowercase().replace(['_', '-'], ".");
    PERIODS.iter().find(|(words, _)| key.ends_with(words)).map(|(_, seconds)| *seconds)
}

/// Everything that is said.
pub(super) fn declared(
    observations: &Observations,
    posterior: Option<&Posterior>,
) -> Vec<DeclaredFinding> {
    let measured = Measured {
        burst: posterior.and_then(|p| p.burst(None)),
        rate: posterior.and_then(|p| p.rate(None)),
    };
    let mut all = Vec::new();
    let limits: std::collections::BTreeSet<u64> =
        observations.attempts.iter().filter_map(|a| Some(a.quota?.limit)).collect();
    for limit in limits {
        all.push(DeclaredFinding {
            source: "quota hints".into(),
            says: format!("{limit} requests in a quota"),
            named: None,
            agrees: measured.agrees(limit as f64, None),
            measured: measured.words(None),
        });
    }
    let finding = |source: &str, named: &Named, more: &str| {
        let period = period(&named.key);
        let value = named.value.as_ref().and_then(|v| v.trim().parse::<f64>().ok());
        let of = named.value.as_ref().map_or(String::new(), |v| format!(" of {v}"));
        DeclaredFinding {
            source: source.into(),
            says: format!("{}{of}{more}", named.key),
            named: Some(named.clone()),
            agrees: value.and_then(|value| measured.agrees(value, period)),
            measured: measured.words(period),
        }
    };
    for (named, times) in &observations.named {
        all.push(finding("named limit", named, &format!(" ({times} refusals)")));
    }
    for named in &observations.declared {
        all.push(finding("declared-limits API", named, ""));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, low: f64, high: f64) -> Option<Figure> {
        Some(Figure { value, low, high })
    }

    #[test]
    fn what_lies_outside_the_interval_by_more_than_rounding_disagrees() {
        let measured = Measured { burst: figure(39.0, 38.6, 39.4), rate: None };
        for (limit, agrees) in [(39.0, true), (40.0, false), (38.0, false), (100.0, false)] {
            assert_eq!(measured.agrees(limit, None), Some(agrees), "{limit}");
        }
        let wide = Measured { burst: figure(39.0, 38.6, 39.6), rate: None };
        assert_eq!(wide.agrees(40.0, None), Some(true));
        assert_eq!(measured.words(None), "39 requests from rest (38.6 to 39.4)");
    }

    #[test]
    fn a_key_that_names_a_period_is_compared_with_the_rate_as_well() {
        let measured = Measured { burst: figure(5.0, 4.6, 5.4), rate: figure(5.0, 4.99, 5.01) };
        assert_eq!(period("token.rate.per.minute"), Some(60.0));
        assert_eq!(period("request.bytes.max"), None);
        assert_eq!(measured.agrees(300.0, Some(60.0)), Some(true));
        assert_eq!(measured.agrees(300.0, None), Some(false));
        assert_eq!(measured.agrees(3_000.0, Some(60.0)), Some(false));
    }

    #[test]
    fn nothing_measured_cannot_be_compared() {
        let nothing = Measured { burst: None, rate: None };
        assert_eq!(nothing.agrees(300.0, Some(60.0)), None);
        assert_eq!(nothing.words(Some(60.0)), "nothing was measured");
    }
}
