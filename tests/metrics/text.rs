//! Sequences of events, and what a scrape says of them.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll::model::{
    CredentialId, Dialect, Event, GateChange, GateId, MessageId, MessageResult, Rate, SkipReason,
    StreamId, TokenEvent, Verdict,
};

use plimsoll::telemetry::Observer;

use crate::support::*;

/// Equal to a microsecond: Unix times in a float are no more exact than that.
fn close_to(samples: &BTreeMap<String, f64>, series: &str, expected: f64) {
    let found = value(samples, series);
    assert!((found - expected).abs() < 1e-6, "{series} is {found} and not {expected}");
}

/// Compares each listed sample.
fn all_close_to(samples: &BTreeMap<String, f64>, expected: &[(&str, f64)]) {
    for (series, expected) in expected {
        close_to(samples, series, *expected);
    }
}

/// The first attempt of a message is throttled, and its gate closes from 1.03 s to 31.03 s.
fn throttle(observer: &mut Observer) {
    let first = order(0, 1, 0, at(1_000));
    let mut refusal = answer(Verdict::Throttled, at(1_000));
    refusal.hints = vec![hint(Dialect::XRateLimit, 0)];
    refusal.malformed = vec![Dialect::IetfStructured];
    let until = at(31_030);
    feed(
        observer,
        at(1_030),
        &[
            Event::StreamAdded(stream(0, "s", "t")),
            gate_added(0, "api.example.com"),
            Event::Sent(first),
            ended(first, refusal),
            Event::Gate(GateId(0), closed(until, 1, false)),
            Event::RetryQueued { stream: StreamId(0), message: MessageId(1), not_before: until },
            Event::Skipped { stream: StreamId(0), reason: SkipReason::Gated, count: 2_400 },
        ],
    );
}

#[test]
fn a_throttle_shows_in_gate_advice_hints_and_skips() {
    let (telemetry, mut observer) = plain();
    throttle(&mut observer);
    all_close_to(
        &scrape(&telemetry),
        &[
            (r#"plimsoll_gate_state{gate="api.example.com"}"#, 2.0),
            (r#"plimsoll_gate_backoff_level{gate="api.example.com"}"#, 1.0),
            (
                r#"plimsoll_gate_closed_until_timestamp_seconds{gate="api.example.com"}"#,
                EPOCH_S as f64 + 31.03,
            ),
            (r#"plimsoll_slots_skipped_total{stream="s",target="t",reason="gated"}"#, 2_400.0),
            (r#"plimsoll_slots_scheduled_total{stream="s",target="t"}"#, 2_401.0),
            (r#"plimsoll_quota_remaining{stream="s",target="t",dialect="x_ratelimit"}"#, 0.0),
            (r#"plimsoll_quota_limit{stream="s",target="t",dialect="x_ratelimit"}"#, 100.0),
            (r#"plimsoll_quota_hints_total{target="t",dialect="x_ratelimit",result="ok"}"#, 1.0),
            (
                r#"plimsoll_quota_hints_total{target="t",dialect="ietf_structured",result="malformed"}"#,
                1.0,
            ),
            (r#"plimsoll_throttle_advice_total{target="t",source="retry_after_seconds"}"#, 1.0),
            (r#"plimsoll_retry_after_asked_seconds_bucket{target="t",le="10"}"#, 0.0),
            (r#"plimsoll_retry_after_asked_seconds_bucket{target="t",le="30"}"#, 1.0),
            (r#"plimsoll_responses_total{target="t",code="429"}"#, 1.0),
        ],
    );
}

#[test]
fn a_message_that_is_delivered_at_the_second_attempt() {
    let (telemetry, mut observer) = plain();
    throttle(&mut observer);
    let second = order(0, 1, 1, at(31_500));
    let accepted = answer(Verdict::Accepted, at(31_500));
    let done = accepted.done_at;
    let opened = GateChange::Opened { held: Duration::from_secs(30) };
    feed(
        &mut observer,
        done,
        &[
            Event::Gate(GateId(0), GateChange::HalfOpen),
            Event::Sent(second),
            ended(second, accepted),
            Event::Gate(GateId(0), opened),
            message_ended(&second, MessageResult::Delivered, done),
        ],
    );
    all_close_to(
        &scrape(&telemetry),
        &[
            (r#"plimsoll_gate_state{gate="api.example.com"}"#, 0.0),
            (r#"plimsoll_gate_epochs_total{gate="api.example.com"}"#, 1.0),
            (r#"plimsoll_gate_backoff_level{gate="api.example.com"}"#, 0.0),
            // Closed at 1.03 s, open at 31.530 12 s.
            (r#"plimsoll_gate_held_seconds_total{gate="api.example.com"}"#, 30.500_12),
            (r#"plimsoll_attempts_total{stream="s",target="t",outcome="throttled"}"#, 1.0),
            (r#"plimsoll_attempts_total{stream="s",target="t",outcome="accepted"}"#, 1.0),
            (r#"plimsoll_attempts_in_flight{stream="s",target="t"}"#, 0.0),
            (r#"plimsoll_resends_total{stream="s",target="t"}"#, 1.0),
            (r#"plimsoll_messages_started_total{stream="s",target="t"}"#, 1.0),
            (r#"plimsoll_messages_ended_total{stream="s",target="t",result="delivered"}"#, 1.0),
            (r#"plimsoll_retries_queued_total{stream="s",target="t"}"#, 1.0),
            (r#"plimsoll_send_lateness_seconds_bucket{target="t",le="0.0001"}"#, 0.0),
            (r#"plimsoll_send_lateness_seconds_bucket{target="t",le="0.00025"}"#, 2.0),
            (r#"plimsoll_service_duration_seconds_count{target="t",outcome="accepted"}"#, 1.0),
            (r#"plimsoll_service_duration_seconds_sum{target="t",outcome="accepted"}"#, 0.03),
            (r#"plimsoll_response_duration_seconds_sum{target="t",outcome="accepted"}"#, 0.03012),
        ],
    );
}

#[test]
fn failures_rates_tokens_and_the_loop() {
    let (telemetry, mut observer) = plain();
    observer.credentials(wall(), at(0), [(CredentialId(0), "cred".into())]);
    let expires = at(3_600_000);
    feed(
        &mut observer,
        at(0),
        &[
            Event::Token(CredentialId(0), TokenEvent::Fetching),
            Event::Token(
                CredentialId(0),
                TokenEvent::Unavailable { throttled: true, retry_at: at(10) },
            ),
            Event::Token(CredentialId(0), TokenEvent::Fetching),
            Event::Token(CredentialId(0), TokenEvent::Granted { expires_at: Some(expires) }),
            Event::StreamAdded(stream(0, "s", "t")),
        ],
    );
    feed(&mut observer, at(1), &single(0, 1, TIMEOUT, at(1)));
    let rate = Rate::per_sec(40).expect("a rate");
    feed(&mut observer, at(2), &[Event::StreamRateChanged(StreamId(0), rate), Event::DrainStarted]);
    observer.scheduled_rate(wall(), at(2), StreamId(0), 12.5);
    observer.heartbeat(wall(), at(5_000), Some(at(4_999)));
    observer.heartbeat(wall(), at(6_000), None);
    telemetry.config_reloaded(EPOCH_S as f64, true);
    telemetry.config_reloaded(EPOCH_S as f64 + 9.0, false);
    let now = scrape(&telemetry);
    for (series, expected) in [
        (r#"plimsoll_token_fetches_total{credential="cred",result="granted"}"#, 1.0),
        (r#"plimsoll_token_fetches_total{credential="cred",result="throttled"}"#, 1.0),
        (r#"plimsoll_token_expiry_timestamp_seconds{credential="cred"}"#, EPOCH_S as f64 + 3_600.0),
        (r#"plimsoll_auxiliary_requests_total{kind="token"}"#, 2.0),
        (r#"plimsoll_errors_total{target="t",kind="timeout"}"#, 1.0),
        (r#"plimsoll_stream_configured_rate{stream="s",target="t"}"#, 40.0),
        (r#"plimsoll_stream_scheduled_rate{stream="s",target="t"}"#, 12.5),
        ("plimsoll_draining", 1.0),
        ("plimsoll_send_loop_heartbeat_timestamp_seconds", EPOCH_S as f64 + 6.0),
        ("plimsoll_send_loop_wakeups_total", 2.0),
        ("plimsoll_send_loop_wake_lag_seconds_count", 1.0),
        (r#"plimsoll_send_loop_wake_lag_seconds_bucket{le="0.001"}"#, 1.0),
        ("plimsoll_config_last_reload_successful", 0.0),
        ("plimsoll_config_last_reload_success_timestamp_seconds", EPOCH_S as f64),
        (r#"plimsoll_config_reloads_total{result="failure"}"#, 1.0),
        (r#"plimsoll_build_info{version="1.2.3",revision="abc",rustc="1.95.0"}"#, 1.0),
        ("plimsoll_spans_queue_capacity", 0.0),
    ] {
        close_to(&now, series, expected);
    }
    assert_eq!(telemetry.heartbeat_unix_s(), EPOCH_S as f64 + 6.0);
}

#[test]
fn a_long_pause_is_counted_once_and_shows_until_the_operator_ends_it() {
    let (telemetry, mut observer) = plain();
    let gate = |change| Event::Gate(GateId(0), change);
    let extended = GateChange::Extended { until: at(9_000_000), long: true };
    feed(
        &mut observer,
        at(0),
        &[gate_added(0, "d"), gate(closed(at(30_000), 1, false)), gate(extended), gate(extended)],
    );
    let during = scrape(&telemetry);
    assert_eq!(value(&during, r#"plimsoll_gate_long{gate="d"}"#), 1.0);
    assert_eq!(value(&during, r#"plimsoll_gate_long_pauses_total{gate="d"}"#), 1.0);
    assert_eq!(value(&during, r#"plimsoll_gate_extensions_total{gate="d"}"#), 2.0);
    feed(
        &mut observer,
        at(60_000),
        &[gate(GateChange::OpenedByOperator), gate(GateChange::Violated)],
    );
    let after = scrape(&telemetry);
    assert_eq!(value(&after, r#"plimsoll_gate_long{gate="d"}"#), 0.0);
    assert_eq!(value(&after, r#"plimsoll_gate_state{gate="d"}"#), 1.0);
    assert_eq!(value(&after, r#"plimsoll_gate_violations_total{gate="d"}"#), 1.0);
    assert_eq!(value(&after, r#"plimsoll_gate_held_seconds_total{gate="d"}"#), 60.0);
}

#[test]
fn a_client_gets_the_format_it_asks_for() {
    let (telemetry, _observer) = plain();
    assert!(telemetry.render(None).content_type.starts_with("text/plain; version=0.0.4"));
    let open = telemetry.render(Some(OPEN_METRICS));
    assert!(open.content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.body.ends_with("# EOF\n"));
}
