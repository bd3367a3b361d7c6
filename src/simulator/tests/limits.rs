//! Every kind of limit refuses when it should, and says so in every dialect.

use std::time::Duration;

use serde_json::Value;

use super::super::{
    ChangeSettings, Distribution, ErrorShape, LimitKind, LimitSettings, LockoutKind, QuotaHeaders,
    Refusal, ResetForm, RetryAfter, RetryAfterForm, SimulatorSettings, StaticTokenSettings,
};
use super::{Running, header, slow_limit};
use crate::model::{Factor, HumanDuration};

fn with_limits(limits: Vec<LimitSettings>) -> SimulatorSettings {
    SimulatorSettings { limits, ..SimulatorSettings::default() }
}

fn secs(n: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(n))
}

fn ms(n: u64) -> HumanDuration {
    HumanDuration(Duration::from_millis(n))
}

/// Statuses of so many requests, one after the other.
async fn statuses(running: &Running, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(running.post().await.expect("an answer").status().as_u16());
    }
    statuses
}

#[tokio::test]
async fn each_kind_of_limit_refuses_at_its_count() {
    let plain = |kind| LimitSettings { name: "l".into(), kind, ..LimitSettings::default() };
    let windowed = |kind| LimitSettings { limit: Some(3), window: Some(secs(60)), ..plain(kind) };
    let slow = Some("1/h".parse().expect("a rate"));
    let bucket = LimitSettings { rate: slow, burst: Some(3), ..plain(LimitKind::TokenBucket) };
    for limit in [
        windowed(LimitKind::FixedWindow),
        windowed(LimitKind::OnDemandWindow),
        windowed(LimitKind::SlidingLog),
        windowed(LimitKind::SlidingCounter),
        bucket,
    ] {
        let kind = limit.kind;
        let running = Running::start(with_limits(vec![limit]));
        assert_eq!(statuses(&running, 5).await, [200, 200, 200, 429, 429], "{kind:?}");
        let stats = running.stop().await;
        assert_eq!((stats.limits["l"].admitted, stats.limits["l"].refused), (3, 2), "{kind:?}");
    }
}

#[tokio::test]
async fn a_queue_delays_and_then_refuses() {
    let queue = LimitSettings {
        name: "q".into(),
        kind: LimitKind::Queue,
        rate: Some("4/s".parse().expect("a rate")),
        depth: Some(2),
        ..LimitSettings::default()
    };
    let running = Running::start(with_limits(vec![queue]));
    let start = std::time::Instant::now();
    let all = futures_util::future::join_all((0..5).map(|_| running.post())).await;
    let accepted = all.iter().flatten().filter(|r| r.status() == 200).count();
    assert_eq!(accepted, 3);
    assert!(start.elapsed() >= Duration::from_millis(490), "two waited for their turn");
    running.stop().await;
}

#[tokio::test]
async fn a_concurrency_limit_frees_its_places() {
    let limit = LimitSettings {
        name: "open".into(),
        kind: LimitKind::Concurrency,
        limit: Some(2),
        ..LimitSettings::default()
    };
    let mut settings = with_limits(vec![limit]);
    settings.latency.distribution = Distribution::Constant;
    settings.latency.mean = ms(300);
    let running = Running::start(settings);
    for _ in 0..2 {
        let all = futures_util::future::join_all((0..4).map(|_| running.post())).await;
        let accepted = all.iter().flatten().filter(|r| r.status() == 200).count();
        assert_eq!(accepted, 2);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_place_is_freed_when_the_client_hangs_up() {
    let limit = LimitSettings {
        name: "open".into(),
        kind: LimitKind::Concurrency,
        limit: Some(1),
        ..LimitSettings::default()
    };
    let mut settings = with_limits(vec![limit]);
    settings.latency.mean = secs(20);
    let running = Running::start(settings);
    let impatient = tokio::time::timeout(Duration::from_millis(200), running.post()).await;
    assert!(impatient.is_err(), "it takes 20 s");
    // Refused at once while the place is taken; held up by the latency once it is free.
    let freed = async {
        while running.post().await.is_ok_and(|r| r.status() == 429) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(1_000), freed).await.is_err());
    let stats = running.stats.snapshot();
    assert_eq!(stats.limits["open"].admitted, 2, "the place was not freed");
    running.stop().await;
}

#[tokio::test]
async fn a_limit_is_counted_for_each_holder_of_its_scope() {
    let mut limit = slow_limit("org", 2);
    limit.scope = vec![Factor::Tenant];
    let token = |value: &str, tenant: &str| StaticTokenSettings {
        value: value.into(),
        client: "c".into(),
        tenant: tenant.into(),
        user: String::new(),
    };
    let mut settings = with_limits(vec![limit]);
    settings.tokens = vec![token("a1", "acme"), token("a2", "acme"), token("g", "globex")];
    let running = Running::start(settings);
    let mut seen = Vec::new();
    for token in ["a1", "a2", "a1", "a2", "g"] {
        seen.push(running.post_json("/messages", token, Value::Null).await.0);
    }
    assert_eq!(seen, [200, 200, 429, 429, 200]);
    running.stop().await;
}

#[tokio::test]
async fn a_lockout_can_be_extended_by_impatience() {
    let limit = LimitSettings {
        name: "l".into(),
        kind: LimitKind::TokenBucket,
        rate: Some("10/s".parse().expect("a rate")),
        lockout_kind: LockoutKind::Extended,
        lockout: Some(secs(1)),
        ..LimitSettings::default()
    };
    let running = Running::start(with_limits(vec![limit]));
    while running.post().await.expect("an answer").status() == 200 {}
    // Neither the bucket nor a fixed lockout would refuse the last of these.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(statuses(&running, 1).await, [429]);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_limit_changes_when_its_time_has_come() {
    let mut limit = slow_limit("l", 100);
    let after = ms(300);
    let (rate, burst, depth) = (None, None, None);
    limit.changes = vec![ChangeSettings { after, limit: Some(1), rate, burst, depth }];
    let running = Running::start(with_limits(vec![limit]));
    assert_eq!(statuses(&running, 2).await, [200, 200]);
    tokio::time::sleep(Duration::from_millis(310)).await;
    assert_eq!(statuses(&running, 1).await, [429]);
    running.stop().await;
}

#[tokio::test]
async fn a_refusal_names_its_limit_in_the_words_of_genesys() {
    let mut limit = slow_limit("org", 1);
    limit.key = "org.rate".into();
    limit.namespace = "conversation".into();
    let mut settings = with_limits(vec![limit]);
    settings.quota_headers = vec![QuotaHeaders::Inin, QuotaHeaders::XRatelimit];
    let running = Running::start(settings);
    let first = running.post().await.expect("an answer");
    assert_eq!(header(&first, "inin-ratelimit-count"), Some("1"));
    assert_eq!(header(&first, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(header(&first, "retry-after"), None);
    let refused = running.post().await.expect("an answer");
    assert_eq!(header(&refused, "retry-after"), Some("60"));
    assert_eq!(header(&refused, "inin-ratelimit-allowed"), Some("1"));
    let body: Value = serde_json::from_str(&refused.text().await.expect("text")).expect("JSON");
    assert_eq!(body["code"], "too.many.requests.retry.after");
    assert_eq!(
        body["message"],
        "Rate limit exceeded the maximum. Retry the request in [60] seconds"
    );
    assert_eq!(body["limit"]["key"], "org.rate");
    assert_eq!(body["limit"]["namespace"], "conversation");
    assert_eq!(body["limit"]["value"], "1");
    running.stop().await;
}

#[tokio::test]
async fn a_refusal_comes_as_problem_details_and_a_date_too() {
    let mut settings = with_limits(vec![slow_limit("org", 1), slow_limit("other", 9)]);
    settings.error_body = ErrorShape::ProblemJson;
    settings.retry_after = RetryAfter::Fixed(secs(30));
    settings.retry_after_form = RetryAfterForm::HttpDate;
    settings.quota_headers = vec![QuotaHeaders::IetfStructured, QuotaHeaders::XRatelimit];
    settings.x_ratelimit_reset = ResetForm::Epoch;
    let running = Running::start(settings);
    assert_eq!(statuses(&running, 1).await, [200]);
    let refused = running.post().await.expect("an answer");
    let structured = "\"org\";r=0;t=60, \"other\";r=8;t=60";
    assert_eq!(header(&refused, "ratelimit"), Some(structured));
    let date = |name| httpdate::parse_http_date(header(&refused, name).expect(name)).expect(name);
    let wait = date("retry-after").duration_since(date("date")).expect("later");
    assert!((30..=31).contains(&wait.as_secs()), "{wait:?}");
    let reset: u64 =
        header(&refused, "x-ratelimit-reset").expect("there").parse().expect("a number");
    let now = date("date").duration_since(std::time::UNIX_EPOCH).expect("after").as_secs();
    assert!((59..=61).contains(&(reset - now)), "{reset} at {now}");
    let body: Value = serde_json::from_str(&refused.text().await.expect("text")).expect("JSON");
    assert_eq!(body["violated-policies"], serde_json::json!(["org"]));
    running.stop().await;
}

#[tokio::test]
async fn a_limit_can_refuse_without_a_429() {
    for (refusal, status, code) in [
        (Refusal::ServiceUnavailable, 503, "service.unavailable"),
        (Refusal::OutboundUsage, 409, "organization.outbound.usage.limit.exceeded"),
        (Refusal::ConversationLimit, 400, "conversation.message.limit.exceeded"),
    ] {
        let mut limit = slow_limit("l", 1);
        limit.refusal = refusal;
        let running = Running::start(with_limits(vec![limit]));
        assert_eq!(statuses(&running, 1).await, [200]);
        let refused = running.post().await.expect("an answer");
        assert_eq!(refused.status(), status);
        assert_eq!(header(&refused, "retry-after"), Some("60"));
        let body: Value = serde_json::from_str(&refused.text().await.expect("text")).expect("JSON");
        assert_eq!(body["code"], code);
        running.stop().await;
    }
}

#[tokio::test]
async fn without_advice_the_message_gives_the_quota() {
    let mut settings = with_limits(vec![slow_limit("l", 1)]);
    settings.retry_after = RetryAfter::None;
    let running = Running::start(settings);
    assert_eq!(statuses(&running, 1).await, [200]);
    let refused = running.post().await.expect("an answer");
    assert_eq!(header(&refused, "retry-after"), None);
    let text = refused.text().await.expect("text");
    assert!(text.contains("maximum [1] requests within [60] seconds"), "{text}");
    running.stop().await;
}
