//! Numbers and durations as header fields write them. Pure, bounded, and strict about what is not
//! a number: a misread figure would move the sender, an ignored one would not.

use std::time::{Duration, UNIX_EPOCH};

use super::server_time::{ServerTime, http_date};

/// A field that says something which cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Longer values are not read: no dialect needs more for one figure.
const FIGURE_BYTES_MAX: usize = 64;
/// The largest integer of a structured field (RFC 9651 section 3.3.1); no quota is larger.
const COUNT_MAX: u64 = 999_999_999_999_999;
/// From here on a reset is a point in time in Unix seconds: as a wait it would be 31 years.
const EPOCH_SECONDS_MIN: u64 = 1_000_000_000;
/// From here on it is in milliseconds: as seconds it would lie beyond the year 5000.
const EPOCH_MILLIS_MIN: u64 = 100_000_000_000;
/// Beyond this (the year 5138 in milliseconds) it is no point in time that means anything.
const EPOCH_MILLIS_MAX: u64 = 100_000_000_000_000;
/// Nanoseconds of the units that durations such as `6m0s` are written in.
const UNITS: [(&str, f64); 8] = [
    ("ms", 1e6),
    ("us", 1e3),
    ("µs", 1e3),
    ("ns", 1.0),
    ("d", 86_400e9),
    ("h", 3_600e9),
    ("m", 60e9),
    ("s", 1e9),
];

/// A decimal number without sign or exponent: its whole part, saturating, and its nanos.
fn decimal(text: &str) -> Option<(u64, u32)> {
    if text.len() > FIGURE_BYTES_MAX {
        return None;
    }
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    // Nothing but digits, so only its size can make it fail.
    let whole = whole.parse().unwrap_or(u64::MAX);
    let fraction = fraction.unwrap_or("");
    let mut nanos = 0_u32;
    for place in 0..9 {
        let digit = fraction.as_bytes().get(place).map_or(0, |b| u32::from(b - b'0'));
        nanos = nanos * 10 + digit;
    }
    Some((whole, nanos))
}

/// Seconds with an optional fraction, saturating. What lies below a nanosecond is dropped.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (whole, nanos) = decimal(text)?;
    Some(Duration::new(whole, nanos))
}

/// A number of requests or units. `-1` is how some servers say that they do not know.
pub(super) fn count(text: &str) -> Result<Option<u64>, Unreadable> {
    if text == "-1" {
        return Ok(None);
    }
    match decimal(text) {
        Some((whole, _)) if whole <= COUNT_MAX => Ok(Some(whole)),
        _ => Err(Unreadable),
    }
}

/// The time to a reset, in whichever way it is written: delta seconds, a point in Unix seconds or
/// milliseconds, a duration with units, an HTTP or ISO 8601 date. `-1` means unknown.
pub(super) fn reset(text: &str, time: &ServerTime<'_>) -> Result<Option<Duration>, Unreadable> {
    if text == "-1" {
        return Ok(None);
    }
    if text.len() > FIGURE_BYTES_MAX {
        return Err(Unreadable);
    }
    if let Some((whole, nanos)) = decimal(text) {
        let since_epoch = match whole {
            ..EPOCH_SECONDS_MIN => return Ok(Some(Duration::new(whole, nanos))),
            EPOCH_SECONDS_MIN..EPOCH_MILLIS_MIN => Duration::new(whole, nanos),
            EPOCH_MILLIS_MIN..EPOCH_MILLIS_MAX => Duration::from_millis(whole),
            EPOCH_MILLIS_MAX.. => return Err(Unreadable),
        };
        return Ok(Some(time.until(UNIX_EPOCH + since_epoch)));
    }
    let date = http_date(text.as_bytes()).or_else(|| humantime::parse_rfc3339(text).ok());
    match date {
        Some(then) => Ok(Some(time.until(then))),
        None => with_units(text).map(Some).ok_or(Unreadable),
    }
}

/// A duration as Go prints it: `6m0s`, `1h2m3.5s`, `12ms`.
fn with_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, nanos) = decimal(rest.get(..digits)?)?;
        let (unit, scale) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        let ns = (whole as f64 + f64::from(nanos) / 1e9) * scale;
        total = total.checked_add(Duration::try_from_secs_f64(ns / 1e9).ok()?)?;
        rest = &rest[digits + unit.len()..];
    }
    (!text.is_empty() && total.as_secs() < EPOCH_SECONDS_MIN).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_700_000_000;

    fn read(text: &str) -> Result<Option<Duration>, Unreadable> {
        reset(text, &ServerTime::new(None, &|| NOW * 1_000_000_000))
    }

    #[test]
    fn resets_come_in_many_forms() {
        for (text, seconds) in [
            ("0", 0.0),
            ("30", 30.0),
            ("1.5", 1.5),
            ("1700000030", 30.0),
            ("1700000030.25", 30.25),
            ("1700000030500", 30.5),
            ("1600000000", 0.0),
            ("6m0s", 360.0),
            ("12ms", 0.012),
            ("1h2m3.5s", 3723.5),
            ("1d", 86_400.0),
            ("250µs", 0.000_25),
            ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
            ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
            ("Tue Nov 14 22:13:50 2023", 30.0),
            ("2023-11-14T22:13:50Z", 30.0),
        ] {
            assert_eq!(read(text), Ok(Some(Duration::from_secs_f64(seconds))), "{text}");
        }
    }

    #[test]
    fn what_is_unknown_is_not_an_error_and_garbage_is() {
        assert_eq!(read("-1"), Ok(None));
        assert_eq!(count("-1"), Ok(None));
        for text in [
            "",
            "-2",
            "+5",
            "1e3",
            "soon",
            "5 s",
            "6m0",
            "m",
            ".5",
            "5.",
            "0x10",
            "99999999999999999",
        ] {
            assert_eq!(read(text), Err(Unreadable), "{text:?}");
        }
        for text in ["", "-2", "many", "1,000", "9999999999999999"] {
            assert_eq!(count(text), Err(Unreadable), "{text:?}");
        }
        assert_eq!(count("12.7"), Ok(Some(12)));
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".{0,80}") {
            let _ = (read(&text), count(&text), seconds(&text));
        }

        #[test]
        fn nothing_made_of_their_own_letters_does_either(text in "[0-9.dhmsuµn:TZ -]{0,40}") {
            if let Ok(Some(wait)) = read(&text) {
                prop_assert!(wait < Duration::from_secs(400_000_000_000), "{wait:?}");
            }
            let _ = (count(&text), seconds(&text));
        }
    }
}
