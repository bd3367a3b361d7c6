//! Rates as exact rationals, so that a schedule computed from one never drifts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Events per span of time, kept as the rational that a person wrote: `97.3/s`, `300/min`.
///
/// The period `1/rate` is seldom a whole number of nanoseconds, and a truncated one drifts; so
/// the time of slot *i* is always computed from `i` and never by adding periods.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    events: u64,
    per_ns: u64,
}

impl Rate {
    /// The lowest rate that configuration may ask for: one event a day.
    pub const MIN_EVENTS_PER_DAY: u64 = 1;
    /// The highest, in events per second: above what any one process sends.
    pub const MAX_PER_SECOND: u64 = 10_000_000;

    /// `events` in every `per`. `None` when either is zero or the rate is out of bounds.
    #[must_use]
    pub fn new(events: u64, per: Duration) -> Option<Self> {
        let per_ns = u64::try_from(per.as_nanos()).ok()?;
        if events == 0 || per_ns == 0 {
            return None;
        }
        let common = gcd(events, per_ns);
        let rate = Self { events: events / common, per_ns: per_ns / common };
        let per_second = rate.per_second();
        let slowest = Self::MIN_EVENTS_PER_DAY as f64 / 86_400.0;
        (per_second >= slowest * 0.999_999 && per_second <= Self::MAX_PER_SECOND as f64)
            .then_some(rate)
    }

    /// `events` per second. `None` when zero or above [`Self::MAX_PER_SECOND`].
    #[must_use]
    pub fn per_sec(events: u64) -> Option<Self> {
        Self::new(events, Duration::from_secs(1))
    }

    /// The nearest rational to a floating-point number of events per second, to a millionth.
    #[must_use]
    pub fn from_per_second(value: f64) -> Option<Self> {
        if !value.is_finite() || value <= 0.0 || value > Self::MAX_PER_SECOND as f64 {
            return None;
        }
        Self::new((value * 1e6).round() as u64, Duration::from_secs(1_000_000))
    }

    /// The nearest rate there is to a number of events per second, to a millionth: what is too slow, too
    /// fast or no number at all is bounded instead of refused.
    #[must_use]
    pub fn nearest(per_second: f64) -> Self {
        // Twelve in a million seconds is the slowest above one a day.
        let events =
            (per_second * 1e6).round().max(12.0).min(Self::MAX_PER_SECOND as f64 * 1e6) as u64;
        let per_ns = 1_000_000 * NANOS_PER_SECOND;
        let common = gcd(events, per_ns);
        Self { events: events / common, per_ns: per_ns / common }
    }

    /// The rational itself, in lowest terms: so many events in so many nanoseconds.
    #[must_use]
    pub const fn fraction(self) -> (u64, u64) {
        (self.events, self.per_ns)
    }

    /// Events per second, for display and statistics.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.events as f64 * NANOS_PER_SECOND as f64 / self.per_ns as f64
    }

    /// Nanoseconds from the start to event number `index`, rounded down.
    #[must_use]
    pub fn nanos_to(self, index: u64) -> u64 {
        let ns = u128::from(index) * u128::from(self.per_ns) / u128::from(self.events);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// How many events fall in `[0, ns]`, the one at zero included.
    #[must_use]
    pub fn events_through(self, ns: u64) -> u64 {
        // Event i is at floor(i·per/events) ≤ ns  ⇔  i·per < (ns + 1)·events.
        let bound = (u128::from(ns) + 1) * u128::from(self.events);
        let count = bound.div_ceil(u128::from(self.per_ns));
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// The mean time between two events, rounded to a nanosecond. For display and for bounds only.
    #[must_use]
    pub fn period(self) -> Duration {
        Duration::from_nanos(self.nanos_to(1))
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Why a text is not a [`Rate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a rate; allowed: a positive number per s, min, h or d, such as 80/s, 97.3/s or 300/min, from 1/d to 10000000/s"
)]
pub struct ParseRateError;

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let (number, unit) = text.split_once('/').ok_or(ParseRateError)?;
        let seconds: u64 = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3_600,
            "d" | "day" => 86_400,
            _ => return Err(ParseRateError),
        };
        let (events, scale) = decimal(number.trim()).ok_or(ParseRateError)?;
        let per = Duration::from_secs(seconds.checked_mul(scale).ok_or(ParseRateError)?);
        Self::new(events, per).ok_or(ParseRateError)
    }
}

/// Reads `12.34` as `(1234, 100)`; at most six decimals.
fn decimal(text: &str) -> Option<(u64, u64)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    Some((whole.checked_mul(scale)?.checked_add(part)?, scale))
}

impl fmt::Display for Rate {
    /// In the largest unit, of s, min, h and d, that gives at least one event: `80/s`, `0.5/min`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.per_second();
        let (value, unit) = match per_second {
            v if v >= 1.0 => (v, "s"),
            v if v * 60.0 >= 1.0 => (v * 60.0, "min"),
            v if v * 3_600.0 >= 1.0 => (v * 3_600.0, "h"),
            v => (v * 86_400.0, "d"),
        };
        let rounded = (value * 1e6).round() / 1e6;
        write!(f, "{rounded}/{unit}")
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_rates_in_these_forms() {
        for (text, per_second) in [
            ("80/s", 80.0),
            ("97.3/s", 97.3),
            ("300/min", 5.0),
            ("300 / minute", 5.0),
            ("0.5/s", 0.5),
            ("1/d", 1.0 / 86_400.0),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert!((rate.per_second() - per_second).abs() < 1e-12, "{text} gave {rate}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "80",
            "80/",
            "/s",
            "0/s",
            "-1/s",
            "1e3/s",
            "80/week",
            "80/s/s",
            "1.0000001/s",
            "0.5/d",
            "99999999/s",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(ParseRateError), "{text:?}");
        }
    }

    #[test]
    fn any_number_has_a_nearest_rate() {
        assert_eq!(Rate::nearest(97.3), "97.3/s".parse().expect("a rate"));
        assert_eq!(Rate::nearest(1e12), Rate::per_sec(Rate::MAX_PER_SECOND).expect("the fastest"));
        for slow in [0.0, -1.0, f64::NAN, 1e-9] {
            let rate = Rate::nearest(slow).per_second() * 86_400.0;
            assert!((1.0..1.1).contains(&rate), "{slow} gave {rate} a day");
        }
    }

    #[test]
    fn a_day_at_a_third_of_a_nanosecond_stays_exact() {
        let rate: Rate = "3/s".parse().expect("a rate");
        assert_eq!(rate.nanos_to(3 * 86_400), 86_400 * NANOS_PER_SECOND);
    }

    proptest! {
        #[test]
        fn counting_inverts_placing(events in 1_u64..100_000, per in 1_u64..100_000, index in 0_u64..1_000_000) {
            let Some(rate) = Rate::new(events, Duration::from_millis(per)) else { return Ok(()) };
            let at = rate.nanos_to(index);
            prop_assert!(rate.events_through(at) > index);
            if at > 0 {
                prop_assert!(rate.events_through(at - 1) <= index);
            }
        }

        #[test]
        fn what_is_displayed_parses_to_the_same_rate(events in 1_u64..1_000_000, per in prop::sample::select(vec![1_u64, 60, 3600])) {
            let rate = Rate::new(events, Duration::from_secs(per)).expect("in bounds");
            let back: Rate = rate.to_string().parse().expect("display is parsable");
            prop_assert!((back.per_second() / rate.per_second() - 1.0).abs() < 1e-6);
        }
    }
}
