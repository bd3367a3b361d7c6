//! The times of access logs.

use std::fmt;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Seconds since 1970, with or without a fraction.
    UnixSeconds,
    UnixMilliseconds,
    UnixMicroseconds,
    /// `24/Nov/2026:14:03:05 +0100`.
    Clf,
    /// `2026-11-24T14:03:05.123Z`.
    Iso,
}

impl Form {
    /// Of two, the higher one is the more exact.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Clf => 0,
            Self::Iso => 1,
            Self::UnixSeconds => 2,
            Self::UnixMilliseconds => 3,
            Self::UnixMicroseconds => 4,
        }
    }

    /// Nanoseconds since 1970, and how exactly in seconds.
    pub(super) fn read(self, text: &str) -> Option<(i64, f64)> {
        match self {
            Self::UnixSeconds => decimal(text),
            Self::UnixMilliseconds => Some((whole(text)?.checked_mul(1_000_000)?, 1e-3)),
            Self::UnixMicroseconds => Some((whole(text)?.checked_mul(1_000)?, 1e-6)),
            Self::Clf => {
                let at = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
                Some((nanoseconds(at.to_timestamp().ok()?)?, 1.0))
            }
            Self::Iso => {
                let at = text.parse::<jiff::Timestamp>().ok()?;
                let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
                let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
                Some((nanoseconds(at)?, exactness(digits)))
            }
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnixSeconds => "number of seconds since 1970",
            Self::UnixMilliseconds => "number of milliseconds since 1970",
            Self::UnixMicroseconds => "number of microseconds since 1970",
            Self::Clf => "time such as 24/Nov/2026:14:03:05 +0100",
            Self::Iso => "time such as 2026-11-24T14:03:05.123Z",
        })
    }
}

fn nanoseconds(at: jiff::Timestamp) -> Option<i64> {
    i64::try_from(at.as_nanosecond()).ok()
}

fn whole(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn exactness(digits: usize) -> f64 {
    10f64.powi(-i32::try_from(digits.min(9)).unwrap_or(9))
}

/// A decimal number of seconds, to the nanosecond: a float would be a quarter of a microsecond off.
fn decimal(text: &str) -> Option<(i64, f64)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len().min(9);
    let fraction = fraction.get(..digits)?;
    let padded = format!("{fraction:0<9}");
    let ns = whole(seconds)?.checked_mul(1_000_000_000)?.checked_add(whole(&padded)?)?;
    Some((ns, exactness(digits)))
}
