//! A threshold: a figure of the run, a comparison, a value. `response_p99<500ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::model::{HumanDuration, Outcome, Rate};

/// What a threshold is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Attempts that ended so, in relation to all that ended.
    OutcomeRatio(Outcome),
    /// Attempts that ended so.
    Outcomes(Outcome),
    /// Slots that were skipped, in relation to all that came due.
    SkippedRatio,
    /// Messages that were delivered, in relation to all that ended.
    DeliveredRatio,
    /// Accepted attempts a second.
    Goodput,
    /// Attempts a second.
    SentRate,
    /// How long so great a share of them took at most; 1.0: the longest.
    Quantile(Quantity, f64),
}

/// A duration that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Slot due → attempt ended.
    Response,
    /// Request handed to the HTTP client → attempt ended.
    Service,
    /// Slot due → request handed to the HTTP client.
    Lateness,
    /// First slot of a message due → delivered.
    Delivery,
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share of one.
    Ratio,
    /// Whole numbers.
    Count,
    /// A second's worth.
    PerSecond,
    /// Seconds.
    Seconds,
}

/// How a figure must stand to the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Below it.
    Less,
    /// Below it, or it.
    AtMost,
    /// Above it.
    Greater,
    /// Above it, or it.
    AtLeast,
}

/// A figure of the run that must be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The figure.
    pub measure: Measure,
    /// How it must stand ...
    pub comparison: Comparison,
    /// ... to this, in the figure's unit.
    pub value: f64,
    /// As it was written.
    text: String,
}

/// A text that is no threshold, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseThresholdError(String);

const QUANTITIES: [(&str, Quantity); 4] = [
    ("response", Quantity::Response),
    ("service", Quantity::Service),
    ("lateness", Quantity::Lateness),
    ("delivery", Quantity::Delivery),
];

impl Quantity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        QUANTITIES.iter().find(|(_, quantity)| *quantity == self).map_or("", |(name, _)| name)
    }
}

impl Measure {
    fn parse(name: &str) -> Option<Self> {
        let outcome = |name: &str| Outcome::ALL.iter().copied().find(|o| o.as_str() == name);
        match name {
            "goodput" => return Some(Self::Goodput),
            "sent_rate" => return Some(Self::SentRate),
            "skipped_ratio" => return Some(Self::SkippedRatio),
            "delivered_ratio" => return Some(Self::DeliveredRatio),
            _ => {}
        }
        if let Some(outcome) = outcome(name) {
            return Some(Self::Outcomes(outcome));
        }
        if let Some(outcome) = name.strip_suffix("_ratio").and_then(outcome) {
            return Some(Self::OutcomeRatio(outcome));
        }
        let (quantity, which) = name.rsplit_once('_')?;
        let (_, quantity) = QUANTITIES.iter().find(|(known, _)| *known == quantity)?;
        let share = match which.strip_prefix('p') {
            None if which == "max" => 1.0,
            percent => {
                let percent = percent?;
                let plain = percent.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                percent.parse::<f64>().ok().filter(|p| plain && (0.0..=100.0).contains(p))? / 100.0
            }
        };
        Some(Self::Quantile(*quantity, share))
    }

    /// What it is counted in.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::OutcomeRatio(_) | Self::SkippedRatio | Self::DeliveredRatio => Unit::Ratio,
            Self::Outcomes(_) => Unit::Count,
            Self::Goodput | Self::SentRate => Unit::PerSecond,
            Self::Quantile(..) => Unit::Seconds,
        }
    }
}

impl Unit {
    fn parse(self, text: &str) -> Option<f64> {
        let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        match self {
            Self::Ratio => match text.strip_suffix('%') {
                Some(percent) => number(percent.trim()).map(|percent| percent / 100.0),
                None => number(text),
            }
            .filter(|ratio| *ratio <= 1.0),
            Self::Count => text.parse::<u32>().ok().map(f64::from),
            Self::PerSecond => text.parse::<Rate>().ok().map(Rate::per_second),
            Self::Seconds => text.parse::<HumanDuration>().ok().map(|d| d.0.as_secs_f64()),
        }
    }

    const fn wanted(self) -> &'static str {
        match self {
            Self::Ratio => "a share from 0 to 1, such as 0.002 or 0.2%",
            Self::Count => "a whole number",
            Self::PerSecond => "a rate, such as 95/s",
            Self::Seconds => "a duration, such as 500ms",
        }
    }

    /// A figure, for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.4}"),
            Self::Count => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.1}/s"),
            Self::Seconds => show_seconds(value),
        }
    }
}

fn show_seconds(value: f64) -> String {
    match Duration::try_from_secs_f64(value) {
        Ok(length) if length < Duration::from_secs(1) => format!("{:.1}ms", value * 1e3),
        _ => format!("{value:.2}s"),
    }
}

impl Comparison {
    /// Whether a figure stands so to a value.
    #[must_use]
    pub fn holds(self, figure: f64, value: f64) -> bool {
        match self {
            Self::Less => figure < value,
            Self::AtMost => figure <= value,
            Self::Greater => figure > value,
            Self::AtLeast => figure >= value,
        }
    }
}

impl FromStr for Threshold {
    type Err = ParseThresholdError;

    fn from_str(text: &str) -> Result<Self, ParseThresholdError> {
        let wrong = |what: &str| ParseThresholdError(what.to_owned());
        let at = text.find(['<', '>']).ok_or_else(|| wrong("no comparison"))?;
        let (name, rest) = text.split_at(at);
        let (comparison, value) = match (&rest[..1], rest[1..].strip_prefix('=')) {
            ("<", Some(value)) => (Comparison::AtMost, value),
            ("<", None) => (Comparison::Less, &rest[1..]),
            (_, Some(value)) => (Comparison::AtLeast, value),
            (_, None) => (Comparison::Greater, &rest[1..]),
        };
        let measure = Measure::parse(name.trim()).ok_or_else(|| wrong("no such figure"))?;
        let unit = measure.unit();
        let value = unit.parse(value.trim());
        let value = value.ok_or_else(|| wrong(&format!("its value is not {}", unit.wanted())))?;
        Ok(Self { measure, comparison, value, text: text.trim().to_owned() })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_says_figure_comparison_and_value() {
        use Comparison::{AtLeast, AtMost, Greater, Less};
        for (text, measure, comparison, value) in [
            ("throttled_ratio<0.002", Measure::OutcomeRatio(Outcome::Throttled), Less, 0.002),
            ("failed_ratio <= 1%", Measure::OutcomeRatio(Outcome::Failed), AtMost, 0.01),
            ("response_p99<500ms", Measure::Quantile(Quantity::Response, 0.99), Less, 0.5),
            ("delivery_p99.9<2s", Measure::Quantile(Quantity::Delivery, 99.9 / 100.0), Less, 2.0),
            ("lateness_max<=5ms", Measure::Quantile(Quantity::Lateness, 1.0), AtMost, 0.005),
            ("goodput>95/s", Measure::Goodput, Greater, 95.0),
            ("sent_rate>=300/min", Measure::SentRate, AtLeast, 5.0),
            ("failed<1", Measure::Outcomes(Outcome::Failed), Less, 1.0),
            ("skipped_ratio<=0", Measure::SkippedRatio, AtMost, 0.0),
        ] {
            let threshold: Threshold = text.parse().expect(text);
            assert_eq!((threshold.measure, threshold.comparison), (measure, comparison), "{text}");
            assert!((threshold.value - value).abs() < 1e-12, "{text}: {threshold:?}");
            assert_eq!(threshold.to_string(), text);
        }
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "no comparison"),
            ("goodput", "no comparison"),
            ("goodput=95/s", "no comparison"),
            ("speed>1/s", "no such figure"),
            ("response_p101<1s", "no such figure"),
            ("response_p-1<1s", "no such figure"),
            ("response_pinf<1s", "no such figure"),
            ("response<1s", "no such figure"),
            ("response_p99<500", "a duration"),
            ("goodput>95", "a rate"),
            ("throttled_ratio<2", "a share"),
            ("throttled_ratio<nan", "a share"),
            ("failed<1.5", "a whole number"),
            ("goodput>>95/s", "a rate"),
        ] {
            let error = text.parse::<Threshold>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
