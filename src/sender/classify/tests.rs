//! Tables: one line per way that a server says something.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sender::settings::BodyMatch;

fn ok() -> Success {
    Success { statuses: vec![200, 202], body: None }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (key, value) in lines {
        headers.append(
            HeaderName::from_bytes(key.as_bytes()).expect("a header name"),
            HeaderValue::from_str(value).expect("a header value"),
        );
    }
    headers
}

fn answer(status: u16, lines: &[(&str, &str)], body: &str, dialect: ThrottleDialect) -> Reading {
    let headers = headers(lines);
    let response = Response { status, headers: &headers, body: Ok(body.as_bytes()) };
    read(response, &ok(), dialect, &|| 1_700_000_000_000_000_000)
}

fn standard(status: u16, lines: &[(&str, &str)], body: &str) -> Reading {
    answer(status, lines, body, ThrottleDialect::Standard)
}

fn failed(may_have_arrived: bool) -> Verdict {
    Verdict::Failed(Failure { kind: FailureKind::ServerError, may_have_arrived })
}

#[test]
fn verdicts_by_status_and_head() {
    let retry = [("Retry-After", "5")];
    let left = [("X-RateLimit-Remaining", "1")];
    let none_left = [("X-RateLimit-Remaining", "0")];
    for (status, lines, verdict) in [
        (200, &[][..], Verdict::Accepted),
        (202, &retry, Verdict::Accepted),
        (200, &none_left, Verdict::Accepted),
        (204, &[], Verdict::Rejected),
        (302, &retry, Verdict::Rejected),
        (400, &retry, Verdict::Rejected),
        (401, &retry, Verdict::Unauthorized),
        (403, &[], Verdict::Rejected),
        (403, &left, Verdict::Rejected),
        (403, &none_left, Verdict::Throttled),
        (403, &retry, Verdict::Throttled),
        (404, &[], Verdict::Rejected),
        (409, &[], Verdict::Rejected),
        (429, &[], Verdict::Throttled),
        (500, &retry, failed(true)),
        (502, &[], failed(true)),
        (503, &[], failed(false)),
        (503, &retry, Verdict::Throttled),
        (503, &[("Retry-After", "later")], Verdict::Throttled),
        (504, &[], failed(true)),
    ] {
        assert_eq!(standard(status, lines, "").verdict, verdict, "{status} {lines:?}");
    }
}

#[test]
fn verdicts_by_body() {
    let outbound = json!({"code": "organization.outbound.usage.limit.exceeded"}).to_string();
    let message = json!({"code": "conversation.message.limit.exceeded"}).to_string();
    let active = json!({"code": "active.conversation"}).to_string();
    let throughput = json!({"error": {"code": 130429}}).to_string();
    let pair = json!({"error": {"code": 131056}}).to_string();
    let other = json!({"error": {"code": 131000}}).to_string();
    let secondary = json!({"message": "You have exceeded a secondary rate limit."}).to_string();
    let forbidden = json!({"message": "Must have admin rights."}).to_string();
    use ThrottleDialect::{Genesys, Standard};
    for (status, body, dialect, verdict) in [
        (409, &outbound, Genesys, Verdict::Throttled),
        (409, &outbound, Standard, Verdict::Rejected),
        (400, &outbound, Genesys, Verdict::Rejected),
        (400, &message, Genesys, Verdict::Throttled),
        (400, &active, Genesys, Verdict::Rejected),
        (400, &throughput, Standard, Verdict::Throttled),
        (400, &pair, Standard, Verdict::Throttled),
        (400, &other, Standard, Verdict::Rejected),
        (403, &secondary, Standard, Verdict::Throttled),
        (403, &forbidden, Standard, Verdict::Rejected),
        (404, &secondary, Standard, Verdict::Rejected),
        (500, &throughput, Standard, failed(true)),
    ] {
        assert_eq!(answer(status, &[], body, dialect).verdict, verdict, "{status} {body}");
    }
}

#[test]
fn a_success_must_say_so_where_asked() {
    let success = Success {
        statuses: vec![200],
        body: Some(BodyMatch { pointer: "/ok".into(), equals: Some(json!(true)) }),
    };
    let none = HeaderMap::new();
    for (body, verdict) in [
        (r#"{"ok":true}"#, Verdict::Accepted),
        (r#"{"ok":false}"#, Verdict::Rejected),
        ("", Verdict::Rejected),
    ] {
        let response = Response { status: 200, headers: &none, body: Ok(body.as_bytes()) };
        let reading = read(response, &success, ThrottleDialect::Standard, &|| 0);
        assert_eq!(reading.verdict, verdict, "{body}");
    }
}

#[test]
fn a_refusal_in_the_head_stands_without_its_body() {
    let lines = headers(&[("Retry-After", "30")]);
    for (status, verdict) in [
        (429, Verdict::Throttled),
        (401, Verdict::Unauthorized),
        (407, Verdict::Failed(Failure { kind: FailureKind::Connect, may_have_arrived: false })),
        (502, failed(true)),
        (200, Verdict::Failed(Failure { kind: FailureKind::Timeout, may_have_arrived: true })),
    ] {
        let response = Response { status, headers: &lines, body: Err(FailureKind::Timeout) };
        let reading = read(response, &ok(), ThrottleDialect::Standard, &|| 0);
        assert_eq!(reading.verdict, verdict, "{status}");
        assert_eq!(reading.advice.wait(), Some(Duration::from_secs(30)), "{status}");
    }
}

#[test]
fn advice_comes_from_the_best_source() {
    use AdviceSource::{Body, QuotaReset, RetryAfterDate, RetryAfterSeconds};
    let quota = [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "7")];
    let with_quota = |more: &[(&'static str, &'static str)]| [&quota, more].concat();
    let body = r#"{"retry_after": 1.5}"#;
    let date = ("Date", "Tue, 14 Nov 2023 22:00:00 GMT");
    for (lines, body, seconds, source) in [
        (with_quota(&[("Retry-After", "30")]), body, 30.0, RetryAfterSeconds),
        (with_quota(&[("Retry-After", "x")]), body, 1.5, Body),
        (with_quota(&[]), body, 1.5, Body),
        (with_quota(&[]), "{}", 7.0, QuotaReset),
        (vec![date, ("Retry-After", "Tue, 14 Nov 2023 22:00:09 GMT")], "", 9.0, RetryAfterDate),
    ] {
        let advice = standard(429, &lines, body).advice;
        assert_eq!(advice, Advice::Wait(Duration::from_secs_f64(seconds), source), "{lines:?}");
    }
    assert_eq!(standard(429, &[], "").advice, Advice::Absent);
    assert_eq!(standard(429, &[("X-RateLimit-Remaining", "0")], "").advice, Advice::Absent);
    let garbage = standard(429, &[("Retry-After", "-1")], "<html>");
    assert_eq!(garbage.advice, Advice::Unreadable);
    assert_eq!(garbage.malformed, [Dialect::RetryAfter]);
}

#[test]
fn only_refusals_and_failures_give_advice() {
    assert_eq!(standard(202, &[("Retry-After", "5")], "").advice, Advice::Absent);
    let reading = standard(502, &[("Retry-After", "5")], r#"{"retry_after": 60}"#);
    assert_eq!(reading.advice.wait(), Some(Duration::from_secs(5)));
}

#[test]
fn a_genesys_refusal_tells_everything() {
    let body = json!({
        "message": "Rate limit exceeded the maximum [300] requests within [60] seconds",
        "code": "too.many.requests",
        "status": 429,
        "limit": {"key": "token.rate.per.minute", "namespace": "platform.api", "value": "300"},
    });
    let lines = [
        ("inin-ratelimit-count", "301"),
        ("inin-ratelimit-allowed", "300"),
        ("inin-ratelimit-reset", "17"),
        ("ININ-Correlation-Id", "c0ffee"),
    ];
    let reading = answer(429, &lines, &body.to_string(), ThrottleDialect::Genesys);
    assert_eq!(reading.advice, Advice::Wait(Duration::from_secs(17), AdviceSource::QuotaReset));
    assert_eq!(reading.hints.len(), 2);
    assert_eq!(reading.hints[1].limit, Some(300));
    assert_eq!(reading.correlation_id.as_deref(), Some("c0ffee"));
    let named = reading.named_limit.expect("a named limit");
    assert_eq!(&*named.key, "token.rate.per.minute");
}

#[test]
fn the_bucket_of_the_head_is_named_where_the_body_names_none() {
    let lines = [("X-RateLimit-Bucket", "b1"), ("X-RateLimit-Scope", "user")];
    assert_eq!(&*standard(429, &lines, "{}").named_limit.expect("a bucket").key, "b1");
    assert_eq!(standard(200, &lines, "{}").named_limit, None);
}

proptest! {
    #[test]
    fn no_response_makes_it_panic(
        status in 100_u16..1000,
        retry in prop::collection::vec(any::<u8>(), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..200),
        genesys in any::<bool>(),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&retry) {
            headers.insert("retry-after", value);
        }
        let response = Response { status, headers: &headers, body: Ok(&body) };
        let dialect = if genesys { ThrottleDialect::Genesys } else { ThrottleDialect::Standard };
        let reading = read(response, &ok(), dialect, &|| 0);
        prop_assert_eq!(reading.verdict == Verdict::Accepted, status == 200 || status == 202);
    }
}
