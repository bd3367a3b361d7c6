//! Tables of every dialect as its users write it, and arbitrary bytes in every field.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000_000_000_000;

fn read(lines: &[(&str, &str)]) -> Hints {
    let mut headers = HeaderMap::new();
    for (key, value) in lines {
        headers.append(
            HeaderName::from_bytes(key.as_bytes()).expect("a header name"),
            HeaderValue::from_str(value).expect("a header value"),
        );
    }
    Hints::read(&Fields::scan(&headers), &ServerTime::new(None, &|| NOW))
}

/// The only quota of a response in which everything could be read.
fn one(lines: &[(&str, &str)]) -> QuotaHint {
    let hints = read(lines);
    assert_eq!(hints.malformed, [], "{lines:?}");
    let [quota] = hints.quotas.as_slice() else { panic!("{lines:?} gave {hints:?}") };
    quota.clone()
}

fn quota(dialect: Dialect, limit: u64, remaining: u64, reset_s: f64) -> QuotaHint {
    QuotaHint {
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs_f64(reset_s)),
        ..blank(dialect)
    }
}

fn windowed(seconds: u64, hint: QuotaHint) -> QuotaHint {
    QuotaHint { window: Some(Duration::from_secs(seconds)), ..hint }
}

fn named(policy: &str, hint: QuotaHint) -> QuotaHint {
    QuotaHint { policy: Some(policy.into()), ..hint }
}

#[test]
fn x_ratelimit_resets_as_delta_epoch_or_date() {
    for (reset, seconds) in [
        ("30", 30.0),
        ("0.5", 0.5),
        ("1700000030", 30.0),
        ("1700000030.125", 30.125),
        ("1700000030000", 30.0),
        ("6m0s", 360.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
    ] {
        let hint = one(&[
            ("X-RateLimit-Limit", "100"),
            ("X-RateLimit-Remaining", "0"),
            ("X-RateLimit-Reset", reset),
        ]);
        assert_eq!(hint, quota(Dialect::XRateLimit, 100, 0, seconds), "{reset}");
    }
}

#[test]
fn discord_names_a_bucket_and_a_scope() {
    let lines = [
        ("X-RateLimit-Limit", "5"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "1700000001.470"),
        ("X-RateLimit-Reset-After", "1.25"),
        ("X-RateLimit-Bucket", "abcd1234"),
        ("X-RateLimit-Scope", "shared"),
    ];
    let hints = read(&lines);
    assert_eq!(hints.quotas, [named("abcd1234", quota(Dialect::XRateLimit, 5, 0, 1.25))]);
    let limit = hints.named_limit.expect("a bucket");
    assert_eq!((&*limit.key, limit.namespace.as_deref()), ("abcd1234", Some("shared")));
    let global = read(&[("X-RateLimit-Global", "true"), ("X-RateLimit-Scope", "global")]);
    assert_eq!(&*global.named_limit.expect("the global limit").key, "global");
}

#[test]
fn openai_counts_requests_and_tokens_apart() {
    let hints = read(&[
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-remaining-tokens", "-1"),
        ("x-ratelimit-reset-requests", "12ms"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ]);
    assert_eq!(hints.malformed, []);
    assert_eq!(hints.quotas[0], named("requests", quota(Dialect::XRateLimit, 60, 59, 0.012)));
    let tokens = named("tokens", quota(Dialect::XRateLimit, 150_000, 0, 360.0));
    assert_eq!(hints.quotas[1], QuotaHint { remaining: None, ..tokens });
}

#[test]
fn vendors_variants_of_x_ratelimit() {
    let twitter = one(&[
        ("x-rate-limit-limit", "900"),
        ("x-rate-limit-remaining", "899"),
        ("x-rate-limit-reset", "1700000900"),
    ]);
    assert_eq!(twitter, quota(Dialect::XRateLimit, 900, 899, 900.0));
    let github = one(&[
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1700003600"),
        ("x-ratelimit-used", "5000"),
        ("x-ratelimit-resource", "core"),
    ]);
    assert_eq!(github, named("core", quota(Dialect::XRateLimit, 5000, 0, 3600.0)));
    let kong = one(&[("X-RateLimit-Limit-Minute", "10"), ("X-RateLimit-Remaining-Minute", "3")]);
    let expected = named("minute", quota(Dialect::XRateLimit, 10, 3, 0.0));
    assert_eq!(kong, windowed(60, QuotaHint { reset: None, ..expected }));
    let gateway = one(&[("X-RateLimit-Limit", "100, 100;window=60")]);
    assert_eq!(gateway.limit, Some(100));
}

#[test]
fn genesys_counts_up() {
    let hint = one(&[
        ("inin-ratelimit-count", "298"),
        ("inin-ratelimit-allowed", "300"),
        ("inin-ratelimit-reset", "62"),
    ]);
    assert_eq!(hint, quota(Dialect::Inin, 300, 2, 62.0));
    let over = one(&[("inin-ratelimit-count", "312"), ("inin-ratelimit-allowed", "300")]);
    assert_eq!(over.remaining, Some(0));
    assert_eq!(read(&[("inin-ratelimit-count", "5")]), Hints::default());
}

#[test]
fn the_current_draft_joins_by_name() {
    let hints = read(&[
        ("RateLimit-Policy", r#""burst";q=100;w=60;qu=requests;pk=:cHsdsRa894==:"#),
        ("RateLimit-Policy", r#""daily";q=1000;w=86400, "bytes";q=65535;qu="content-bytes";w=10"#),
        ("RateLimit", r#""daily";r=999;t=7200"#),
        ("RateLimit", r#""burst";r=50;t=30, "other";r=1"#),
    ]);
    assert_eq!(hints.malformed, []);
    let structured = Dialect::IetfStructured;
    assert_eq!(
        hints.quotas,
        [
            windowed(60, named("burst", quota(structured, 100, 50, 30.0))),
            windowed(86_400, named("daily", quota(structured, 1000, 999, 7200.0))),
            QuotaHint {
                remaining: None,
                reset: None,
                ..windowed(10, named("bytes content-bytes", quota(structured, 65_535, 0, 0.0)))
            },
            QuotaHint { limit: None, reset: None, ..named("other", quota(structured, 0, 1, 0.0)) },
        ]
    );
}

#[test]
fn partitions_are_told_apart_but_not_shown() {
    let hints = read(&[
        ("RateLimit-Policy", r#""p";q=10;w=1;pk=:YQ==:, "p";q=20;w=1;pk=:Yg==:"#),
        ("RateLimit", r#""p";r=19;t=1;pk=:Yg==:"#),
    ]);
    let left: Vec<_> = hints.quotas.iter().map(|q| (q.limit, q.remaining)).collect();
    assert_eq!(left, [(Some(10), None), (Some(20), Some(19))]);
    assert!(hints.quotas.iter().all(|q| q.policy.as_deref() == Some("p")));
}

#[test]
fn draft_07_is_a_dictionary() {
    let hint = one(&[
        ("RateLimit", "limit=100, remaining=50, reset=30"),
        ("RateLimit-Policy", "100;w=60"),
    ]);
    assert_eq!(hint, windowed(60, quota(Dialect::IetfDraft07, 100, 50, 30.0)));
    let two = read(&[
        ("RateLimit", "limit=10, remaining=5, reset=1"),
        ("RateLimit-Policy", "10;w=1;burst=1000, 5000;w=3600"),
    ]);
    assert_eq!(two.quotas[0], windowed(1, quota(Dialect::IetfDraft07, 10, 5, 1.0)));
    assert_eq!((two.quotas[1].limit, two.quotas[1].remaining), (Some(5000), None));
    assert_eq!(two.quotas.len(), 2);
}

#[test]
fn older_drafts_use_three_fields() {
    let lines = [("RateLimit-Remaining", "50"), ("RateLimit-Reset", "30")];
    let with = |more: &[(&'static str, &'static str)]| read(&[&lines, more].concat()).quotas;
    let expected = windowed(60, quota(Dialect::IetfDraft06, 100, 50, 30.0));
    assert_eq!(with(&[("RateLimit-Limit", "100, 100;w=60")]), [expected]);
    let policy = with(&[("RateLimit-Limit", "100"), ("RateLimit-Policy", "100;w=60")]);
    assert_eq!(policy, with(&[("RateLimit-Limit", "100, 100;w=60")]));
    let two = with(&[("RateLimit-Limit", "10, 10;w=1, 1000;w=3600")]);
    assert_eq!(two[0], windowed(1, quota(Dialect::IetfDraft06, 10, 50, 30.0)));
    assert_eq!(two[1].limit, Some(1000));
}

#[test]
fn what_cannot_be_read_is_counted_and_left_out() {
    for (lines, dialect) in [
        (&[("RateLimit", r#""burst";r=-1;t=30"#)][..], Dialect::IetfStructured),
        (&[("RateLimit", r#""burst";t=30"#)], Dialect::IetfStructured),
        (&[("RateLimit", r#""burst;r=1"#)], Dialect::IetfStructured),
        (&[("RateLimit", "")], Dialect::IetfStructured),
        (&[("RateLimit", "50")], Dialect::IetfStructured),
        (&[("RateLimit-Policy", r#""burst";w=60"#)], Dialect::IetfStructured),
        (&[("RateLimit-Policy", "100;w=-60")], Dialect::IetfDraft07),
        (&[("RateLimit", "limit=ten, remaining=50")], Dialect::IetfDraft07),
        (&[("RateLimit", "limit=10, remaining=")], Dialect::IetfDraft07),
        (&[("RateLimit-Limit", "many")], Dialect::IetfDraft06),
        (&[("RateLimit-Remaining", "-7")], Dialect::IetfDraft06),
        (&[("X-RateLimit-Limit", "unlimited")], Dialect::XRateLimit),
        (&[("X-RateLimit-Reset", "tomorrow")], Dialect::XRateLimit),
        (&[("X-RateLimit-Remaining", ""), ("X-RateLimit-Limit", "?")], Dialect::XRateLimit),
        (&[("inin-ratelimit-allowed", "3e2")], Dialect::Inin),
    ] {
        let hints = read(lines);
        assert_eq!(hints.malformed, [dialect], "{lines:?}");
        assert_eq!(hints.quotas, [], "{lines:?}");
    }
}

#[test]
fn an_unreadable_figure_does_not_spoil_the_others() {
    let hints = read(&[("X-RateLimit-Limit", "100"), ("X-RateLimit-Reset", "soon")]);
    assert_eq!(hints.quotas, [QuotaHint { limit: Some(100), ..blank(Dialect::XRateLimit) }]);
    assert_eq!(hints.malformed, [Dialect::XRateLimit]);
}

#[test]
fn long_fields_and_many_members_are_bounded() {
    let long = "x".repeat(3000);
    assert_eq!(read(&[("RateLimit", &long)]).malformed, [Dialect::IetfStructured]);
    let many: Vec<String> = (0..100).map(|i| format!("\"p{i}\";r=1")).collect();
    assert_eq!(read(&[("RateLimit", &many.join(", "))]).quotas.len(), QUOTAS_MAX);
    let name = format!("\"{}\";r=1", "n".repeat(200));
    let hint = one(&[("RateLimit", &name)]);
    assert_eq!(hint.policy.map(|p| p.len()), Some(NAME_CHARS_MAX));
}

#[test]
fn the_servers_request_id_is_kept() {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("generic"));
    headers.insert("inin-correlation-id", HeaderValue::from_static("0a1b2c"));
    assert_eq!(Fields::scan(&headers).correlation_id().as_deref(), Some("0a1b2c"));
}

const NAMES: [&str; 19] = [
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-bucket",
    "x-ratelimit-scope",
    "x-ratelimit-limit-minute",
    "x-ratelimit-",
    "x-rate-limit-reset",
    "inin-ratelimit-count",
    "inin-ratelimit-allowed",
    "inin-ratelimit-reset",
    "x-request-id",
    "date",
];

fn headers(value: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec((prop::sample::select(&NAMES[..]), value), 0..60).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (key, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(key, value);
            }
        }
        headers
    })
}

fn check_bounds(headers: &HeaderMap) -> Result<(), TestCaseError> {
    let fields = Fields::scan(headers);
    let hints = Hints::read(&fields, &ServerTime::new(fields.date, &|| NOW));
    prop_assert!(hints.quotas.len() <= QUOTAS_MAX);
    prop_assert!(hints.malformed.len() <= Dialect::ALL.len());
    for quota in &hints.quotas {
        prop_assert!(quota.policy.as_ref().is_none_or(|p| p.chars().count() <= NAME_CHARS_MAX));
        prop_assert!(quota.limit.is_none_or(|n| n < 1_000_000_000_000_000));
        prop_assert!(quota.remaining.is_none_or(|n| n < 1_000_000_000_000_000));
        prop_assert!(quota.reset.is_none_or(|d| d.as_secs() < 1_000_000_000_000_000));
    }
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_stay_within_bounds(
        headers in headers(prop::collection::vec(any::<u8>(), 0..200))
    ) {
        check_bounds(&headers)?;
    }

    #[test]
    fn nearly_right_values_stay_within_bounds(
        headers in headers("[\"a-c,;=: .rtqwpk0-9-]{0,60}".prop_map(String::into_bytes))
    ) {
        check_bounds(&headers)?;
    }

    #[test]
    fn what_the_current_draft_writes_is_read_back(
        q in 0_u64..1_000_000, r in 0_u64..1_000_000, t in 0_u64..1_000_000, w in 1_u64..1_000_000,
        policy in "[a-z][a-z0-9_-]{0,20}",
    ) {
        let hint = one(&[
            ("RateLimit-Policy", &format!("\"{policy}\";q={q};w={w}")),
            ("RateLimit", &format!("\"{policy}\";r={r};t={t}")),
        ]);
        let expected = quota(Dialect::IetfStructured, q, r, t as f64);
        prop_assert_eq!(hint, windowed(w, named(&policy, expected)));
    }
}
