//! How quotas and advice are put into headers, in every dialect.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::advice::ceil_seconds;
use super::settings::{QuotaHeaders, ResetForm, RetryAfterForm};
use crate::limiter::Quota;

/// A quota with the name of its limit.
pub(super) type Named<'a> = (&'a str, Quota);

/// What garbage looks like: each has been seen in the wild, or is what a parser trips over.
const GARBAGE: [&str; 8] =
    ["soon", "-1", "NaN", "", "99999999999999999999999", "1e999", "limit=;r=,\"", "0x1F; w=\u{e9}"];

/// Writes the quotas, the first of which is the one that single-valued dialects describe.
pub(super) fn quotas(
    headers: &mut HeaderMap,
    dialects: &[QuotaHeaders],
    quotas: &[Named<'_>],
    reset: ResetForm,
    unix_seconds: u64,
) {
    let Some((_, quota)) = quotas.first() else { return };
    let reset_in = ceil_seconds(quota.reset);
    let [limit, left] = [quota.limit, quota.remaining];
    for dialect in dialects {
        match dialect {
            QuotaHeaders::IetfStructured => structured(headers, quotas),
            QuotaHeaders::IetfDraft07 => {
                let line = format!("limit={limit}, remaining={left}, reset={reset_in}");
                text(headers, "ratelimit", &line);
                text(headers, "ratelimit-policy", &policy(quota));
            }
            QuotaHeaders::IetfDraft06 => {
                text(headers, "ratelimit-limit", &format!("{limit}, {}", policy(quota)));
                number(headers, "ratelimit-remaining", left);
                number(headers, "ratelimit-reset", reset_in);
            }
            QuotaHeaders::XRatelimit => {
                let reset = match reset {
                    ResetForm::Delta => reset_in,
                    ResetForm::Epoch => unix_seconds.saturating_add(reset_in),
                };
                number(headers, "x-ratelimit-limit", limit);
                number(headers, "x-ratelimit-remaining", left);
                number(headers, "x-ratelimit-reset", reset);
            }
            QuotaHeaders::Inin => {
                number(headers, "inin-ratelimit-count", limit.saturating_sub(left));
                number(headers, "inin-ratelimit-allowed", limit);
                number(headers, "inin-ratelimit-reset", reset_in);
            }
        }
    }
}

fn policy(quota: &Quota) -> String {
    format!("{};w={}", quota.limit, ceil_seconds(quota.window))
}

/// `RateLimit` and `RateLimit-Policy` of draft-11: one item for each limit.
fn structured(headers: &mut HeaderMap, quotas: &[Named<'_>]) {
    let mut policies = String::new();
    let mut limits = String::new();
    for (name, quota) in quotas {
        if !policies.is_empty() {
            policies.push_str(", ");
            limits.push_str(", ");
        }
        let window = ceil_seconds(quota.window);
        // Writing to a String cannot fail.
        let _ = write!(policies, "\"{name}\";q={}", quota.limit);
        let _ = write!(limits, "\"{name}\";r={}", quota.remaining);
        if window > 0 {
            let _ = write!(policies, ";w={window}");
            let _ = write!(limits, ";t={}", ceil_seconds(quota.reset));
        } else {
            policies.push_str(";qu=\"concurrent-requests\"");
        }
    }
    text(headers, "ratelimit-policy", &policies);
    text(headers, "ratelimit", &limits);
}

/// Writes Retry-After. The date form comes with a Date of its own, rounded such that the one minus
/// the other is never too short.
pub(super) fn retry_after(
    headers: &mut HeaderMap,
    form: RetryAfterForm,
    seconds: u64,
    unix: Duration,
) {
    match form {
        RetryAfterForm::Seconds => number(headers, "retry-after", seconds),
        RetryAfterForm::HttpDate => {
            let date = |s: u64| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(s));
            let now = unix.as_secs();
            let then = ceil_seconds(unix).saturating_add(seconds);
            // A date beyond the year 9999 cannot be written, so nothing is said instead.
            let last = Duration::from_secs(253_402_300_799);
            let (Some(now), Some(then)) = (date(now), date(then.min(last.as_secs()))) else {
                return;
            };
            text(headers, "date", &httpdate::fmt_http_date(now));
            text(headers, "retry-after", &httpdate::fmt_http_date(then));
        }
    }
}

/// Replaces what `quotas` and `retry_after` wrote by garbage, `seed` saying which.
pub(super) fn spoil(headers: &mut HeaderMap, seed: u128) {
    let limits = headers.keys().filter(|n| n.as_str().contains("ratelimit") || **n == RETRY_AFTER);
    let names: Vec<HeaderName> = limits.cloned().collect();
    for (i, name) in names.into_iter().enumerate() {
        let garbage = GARBAGE[(seed as usize).wrapping_add(i) % GARBAGE.len()];
        if let Ok(value) = HeaderValue::from_bytes(garbage.as_bytes()) {
            headers.insert(name, value);
        }
    }
    headers.remove(DATE);
}

fn number(headers: &mut HeaderMap, name: &'static str, value: u64) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
}

fn text(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        limit: 100,
        remaining: 58,
        reset: Duration::from_millis(29_001),
        window: Duration::from_secs(60),
    };

    fn written(dialect: QuotaHeaders, reset: ResetForm, all: &[Named<'_>]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        quotas(&mut headers, &[dialect], all, reset, 1_700_000_000);
        let line = |(n, v): (&HeaderName, &HeaderValue)| format!("{n}: {}", v.to_str().unwrap());
        headers.iter().map(line).collect()
    }

    fn one(dialect: QuotaHeaders) -> Vec<String> {
        written(dialect, ResetForm::Delta, &[("org", QUOTA)])
    }

    #[test]
    fn each_dialect_is_written_as_its_readers_expect() {
        assert_eq!(
            one(QuotaHeaders::IetfDraft07),
            ["ratelimit: limit=100, remaining=58, reset=30", "ratelimit-policy: 100;w=60"]
        );
        assert_eq!(
            one(QuotaHeaders::IetfDraft06),
            ["ratelimit-limit: 100, 100;w=60", "ratelimit-remaining: 58", "ratelimit-reset: 30"]
        );
        assert_eq!(
            one(QuotaHeaders::XRatelimit),
            ["x-ratelimit-limit: 100", "x-ratelimit-remaining: 58", "x-ratelimit-reset: 30"]
        );
        assert_eq!(
            one(QuotaHeaders::Inin),
            ["inin-ratelimit-count: 42", "inin-ratelimit-allowed: 100", "inin-ratelimit-reset: 30"]
        );
        let epoch = written(QuotaHeaders::XRatelimit, ResetForm::Epoch, &[("org", QUOTA)]);
        assert_eq!(epoch[2], "x-ratelimit-reset: 1700000030");
    }

    #[test]
    fn structured_fields_list_every_limit_and_are_valid() {
        let places = Quota { reset: Duration::ZERO, window: Duration::ZERO, ..QUOTA };
        let all = [("org", QUOTA), ("open", places)];
        let lines = written(QuotaHeaders::IetfStructured, ResetForm::Delta, &all);
        assert_eq!(
            lines,
            [
                "ratelimit-policy: \"org\";q=100;w=60, \"open\";q=100;qu=\"concurrent-requests\"",
                "ratelimit: \"org\";r=58;t=30, \"open\";r=58",
            ]
        );
        for line in lines {
            let (_, value) = line.split_once(": ").expect("a header");
            sfv::Parser::new(value).parse::<sfv::List>().expect("a structured list");
        }
    }

    #[test]
    fn a_date_is_never_too_early_against_the_date_of_its_answer() {
        let mut headers = HeaderMap::new();
        let unix = Duration::from_millis(784_111_777_001);
        retry_after(&mut headers, RetryAfterForm::HttpDate, 30, unix);
        assert_eq!(headers["date"], "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(headers["retry-after"], "Sun, 06 Nov 1994 08:50:08 GMT");
    }

    #[test]
    fn garbage_leaves_nothing_that_can_be_read() {
        let mut headers = HeaderMap::new();
        quotas(&mut headers, &[QuotaHeaders::Inin], &[("org", QUOTA)], ResetForm::Delta, 0);
        retry_after(&mut headers, RetryAfterForm::Seconds, 30, Duration::ZERO);
        let before = headers.clone();
        for seed in 0..GARBAGE.len() {
            spoil(&mut headers, seed as u128);
            assert_eq!(headers.len(), 4);
            assert!(headers.iter().all(|(name, value)| before[name] != *value));
            assert!(
                headers.values().all(|v| v.to_str().ok().is_none_or(|s| s.parse::<u32>().is_err()))
            );
        }
    }
}
