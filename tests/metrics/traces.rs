//! Which spans are kept, what they say, and that none is lost without being counted.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use plimsoll::model::{
    BreakerChange, BreakerId, Event, GateChange, GateId, MessageId, MessageResult, NamedLimit,
    StreamId, Verdict,
};
use plimsoll::telemetry::{Observer, Sampling, SpanDrop, Telemetry, TracingSettings};

use crate::support::*;

/// Keeps what is exported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl Memory {
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.0.lock().expect("not poisoned").clone()
    }

    /// Trace and span ids, as text.
    pub(crate) fn ids(&self) -> HashSet<(String, String)> {
        let of = |s: &SpanData| {
            (s.span_context.trace_id().to_string(), s.span_context.span_id().to_string())
        };
        self.spans().iter().map(of).collect()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("not poisoned").extend(batch);
        Ok(())
    }
}

/// Refuses everything.
#[derive(Debug)]
struct Failing;

impl SpanExporter for Failing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no".to_owned()))
    }
}

/// Blocks in each export until it is let go.
#[derive(Clone, Debug, Default)]
struct Hanging(Arc<(Mutex<bool>, Condvar)>);

impl Hanging {
    fn let_go(&self) {
        *self.0.0.lock().expect("not poisoned") = true;
        self.0.1.notify_all();
    }
}

impl SpanExporter for Hanging {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let (free, changed) = &*self.0;
        let mut free = free.lock().expect("not poisoned");
        while !*free {
            free = changed.wait(free).expect("not poisoned");
        }
        Ok(())
    }
}

fn traced(settings: &TracingSettings) -> (Telemetry, Observer, Memory) {
    let memory = Memory::default();
    let (telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, settings, memory.clone()).expect("starts");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    (telemetry, observer, memory)
}

fn settings(ratio: f64) -> TracingSettings {
    TracingSettings { sampling: Sampling::ratio(ratio), ..Default::default() }
}

fn flush(telemetry: &Telemetry) {
    assert!(telemetry.shutdown(Duration::from_secs(5)), "nothing is lost");
}

#[test]
fn the_decision_is_made_at_the_end() {
    // Half of all trace ids: those whose lower half has its highest bit clear.
    let (sampled, unsampled) = (1_u128, 1_u128 << 63 | 1);
    for (name, message, verdict, expected) in [
        ("accepted, sampled", sampled, Verdict::Accepted, 2),
        ("accepted, not sampled", unsampled, Verdict::Accepted, 0),
        ("rejected, sampled", sampled, Verdict::Rejected, 2),
        ("rejected, not sampled", unsampled, Verdict::Rejected, 0),
        ("throttled, not sampled", unsampled, Verdict::Throttled, 2),
        ("failed, not sampled", unsampled, TIMEOUT, 2),
    ] {
        let (telemetry, mut observer, memory) = traced(&settings(0.5));
        assert_eq!(observer.would_sample(MessageId(message)), message == sampled);
        feed(&mut observer, at(1), &single(0, message, verdict, at(1)));
        flush(&telemetry);
        assert_eq!(memory.spans().len(), expected, "{name}");
        assert_eq!(telemetry.span_totals().exported, expected as u64, "{name}");
    }
}

const MESSAGE: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;

/// A message that is throttled and then delivered: its root span, and those of its two attempts.
fn throttled_then_delivered() -> [SpanData; 3] {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let (first, mut second) = (order(0, MESSAGE, 0, at(1_000)), order(0, MESSAGE, 1, at(31_500)));
    second.first_due = at(1_000);
    let mut refusal = answer(Verdict::Throttled, at(1_000));
    refusal.headers_at = Some(at(1_025));
    refusal.correlation_id = Some("corr-1".into());
    refusal.named_limit = Some(Box::new(NamedLimit {
        key: "token.rate.per.minute".into(),
        namespace: Some("platform.api".into()),
        value: Some("300".into()),
    }));
    let accepted = answer(Verdict::Accepted, at(31_500));
    let done = accepted.done_at;
    feed(&mut observer, at(1_030), &[Event::Sent(first), ended(first, refusal)]);
    let end = message_ended(&second, MessageResult::Delivered, done);
    feed(&mut observer, done, &[Event::Sent(second), ended(second, accepted), end]);
    flush(&telemetry);
    memory.spans().try_into().expect("three spans")
}

#[test]
fn one_throttled_attempt_keeps_the_whole_message() {
    let spans = throttled_then_delivered();
    for span in &spans {
        assert_eq!(span.span_context.trace_id().to_string(), format!("{MESSAGE:032x}"));
        assert!(span.span_context.is_sampled());
    }
    let [root, refused, taken] = spans;
    assert_eq!(root.name, "plimsoll.message");
    assert_eq!(root.status, Status::Unset);
    let length = root.end_time.duration_since(root.start_time).expect("forward");
    assert_eq!(length.as_micros(), 30_530_120);
    for attempt in [&refused, &taken] {
        assert_eq!(attempt.name, "POST /messages/{id}");
        assert_eq!(attempt.span_kind, SpanKind::Client);
        assert_eq!(attempt.parent_span_id, root.span_context.span_id());
    }
    let ordered = order(0, MESSAGE, 0, at(0)).span.to_string();
    assert_eq!(refused.span_context.span_id().to_string(), ordered, "what traceparent said");
    assert_eq!(refused.status, Status::error("throttled"));
    assert_eq!(refused.events.events[0].name, "headers");
    assert_eq!(taken.status, Status::Unset);
}

#[test]
fn attempts_are_described_by_the_http_conventions_and_our_own() {
    let attributes = |span: &SpanData| -> BTreeMap<String, String> {
        span.attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
    };
    let [_, refused, taken] = throttled_then_delivered();
    let of = attributes(&refused);
    for (key, expected) in [
        ("http.request.method", "POST"),
        ("server.address", "api.example.com"),
        ("server.port", "8443"),
        ("url.template", "/messages/{id}"),
        ("http.response.status_code", "429"),
        ("error.type", "429"),
        ("http.response.header.retry-after", "[\"30\"]"),
        ("plimsoll.stream", "s"),
        ("plimsoll.target", "t"),
        ("plimsoll.message.sequence", "7"),
        ("plimsoll.outcome", "throttled"),
        ("plimsoll.lateness_s", "0.00012"),
        ("plimsoll.gate.resume", "false"),
        ("plimsoll.advice.wait_s", "30"),
        ("plimsoll.advice.source", "retry_after_seconds"),
        ("plimsoll.limit.key", "token.rate.per.minute"),
        ("plimsoll.limit.namespace", "platform.api"),
        ("plimsoll.limit.value", "300"),
        ("plimsoll.correlation_id", "corr-1"),
    ] {
        assert_eq!(of.get(key).map(String::as_str), Some(expected), "{key}");
    }
    assert!(!of.contains_key("http.request.resend_count"));
    let of = attributes(&taken);
    assert_eq!(of["http.request.resend_count"], "1");
    assert_eq!(of["http.response.status_code"], "202");
    assert!(!of.contains_key("error.type"));
}

#[test]
fn a_failure_without_a_status_is_named_by_its_kind() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    feed(&mut observer, at(1), &single(0, 9, TIMEOUT, at(1)));
    flush(&telemetry);
    let spans = memory.spans();
    assert_eq!(spans[0].status, Status::error("attempts_exhausted"));
    let error = spans[1].attributes.iter().find(|kv| kv.key.as_str() == "error.type");
    assert_eq!(error.map(|kv| kv.value.to_string()).as_deref(), Some("timeout"));
}

#[test]
fn a_time_of_silence_is_one_span() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let gate = |change| Event::Gate(GateId(0), change);
    let opened = GateChange::Opened { held: Duration::from_secs(60) };
    feed(&mut observer, at(0), &[gate_added(0, "d"), gate(closed(at(30_000), 1, false))]);
    feed(&mut observer, at(30_000), &[gate(GateChange::HalfOpen)]);
    feed(&mut observer, at(30_100), &[gate(closed(at(60_000), 2, false))]);
    feed(&mut observer, at(60_000), &[gate(GateChange::HalfOpen), gate(opened)]);
    flush(&telemetry);
    let spans = memory.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "plimsoll.gate");
    let events: Vec<_> = spans[0].events.iter().map(|e| e.name.to_string()).collect();
    assert_eq!(events, ["closed", "half_open", "closed", "half_open", "opened"]);
    let length = spans[0].end_time.duration_since(spans[0].start_time).expect("forward");
    assert_eq!(length.as_secs(), 60);
}

#[test]
fn a_change_of_a_limit_is_a_span_and_named_in_the_silence_that_it_brought() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let gate = |change| Event::Gate(GateId(0), change);
    let opened = GateChange::Opened { held: Duration::from_secs(60) };
    feed(&mut observer, at(0), &[gate_added(0, "d"), gate(closed(at(30_000), 1, false))]);
    feed(&mut observer, at(12_000), &[moved(0, 100.0, 60.0), gate(opened)]);
    flush(&telemetry);
    let spans = memory.spans();
    let change = spans.iter().find(|s| s.name == "plimsoll.limit_change").expect("a span");
    let length = change.end_time.duration_since(change.start_time).expect("forward");
    assert_eq!(length.as_secs(), 10);
    let of = |key: &str| {
        let found = change.attributes.iter().find(|kv| kv.key.as_str() == key);
        found.map(|kv| kv.value.to_string()).unwrap_or_default()
    };
    assert_eq!(of("plimsoll.gate"), "d");
    assert_eq!(of("plimsoll.limit.direction"), "fell");
    assert_eq!((of("plimsoll.limit.from"), of("plimsoll.limit.to")), ("100".into(), "60".into()));
    let silence = spans.iter().find(|s| s.name == "plimsoll.gate").expect("a span");
    let events: Vec<_> = silence.events.iter().map(|e| e.name.to_string()).collect();
    assert_eq!(events, ["closed", "limit_moved", "opened"]);
}

#[test]
fn a_silence_that_outlives_the_process_is_told_all_the_same() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let closed = Event::Gate(GateId(0), closed(at(30_000), 1, false));
    feed(&mut observer, at(0), &[gate_added(0, "d"), closed]);
    observer.finish(wall(), at(10_000));
    flush(&telemetry);
    let spans = memory.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].name, "plimsoll.gate");
    let length = spans[0].end_time.duration_since(spans[0].start_time).expect("forward");
    assert_eq!(length.as_secs(), 10);
}

#[test]
fn a_time_without_an_api_is_one_span_too_and_not_the_gates() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let breaker = |change| Event::Breaker(BreakerId(0), change);
    let opened = |until, failures| breaker(BreakerChange::Opened { until: at(until), failures });
    let closed = breaker(BreakerChange::Closed { held: Duration::from_secs(4) });
    let added = Event::BreakerAdded(BreakerId(0), "d".into());
    // The gate of the same number is closed meanwhile.
    let gate = Event::Gate(GateId(0), self::closed(at(30_000), 1, false));
    feed(&mut observer, at(0), &[added, gate_added(0, "d"), gate, opened(1_000, 20)]);
    let trial = breaker(BreakerChange::HalfOpen);
    feed(&mut observer, at(1_000), &[trial.clone(), opened(3_000, 21), trial]);
    feed(&mut observer, at(4_000), &[closed]);
    observer.finish(wall(), at(5_000));
    flush(&telemetry);
    let spans = memory.spans();
    let [span, silence] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&*span.name, &*silence.name), ("plimsoll.breaker", "plimsoll.gate"));
    assert_ne!(span.span_context.trace_id(), silence.span_context.trace_id());
    let events: Vec<_> = span.events.iter().map(|e| e.name.to_string()).collect();
    assert_eq!(events, ["opened", "half_open", "opened", "half_open", "closed"]);
    let told = |key: &str| {
        let found = span.attributes.iter().find(|kv| kv.key.as_str() == key);
        found.map(|kv| kv.value.to_string())
    };
    assert_eq!(told("plimsoll.breaker.domain").as_deref(), Some("d"));
    assert_eq!(told("plimsoll.breaker.held_s").as_deref(), Some("4"));
    assert_eq!(span.status, Status::error("held back"));
}

#[test]
fn what_held_streams_back_that_a_reload_took_away_is_told() {
    let (telemetry, mut observer, memory) = traced(&settings(0.0));
    let opened = BreakerChange::Opened { until: at(1_000), failures: 20 };
    let (gate, breaker) = (GateId(0), BreakerId(0));
    let held = [
        gate_added(0, "d"),
        Event::BreakerAdded(breaker, "d".into()),
        Event::Gate(gate, closed(at(30_000), 1, false)),
        Event::Breaker(breaker, opened),
    ];
    feed(&mut observer, at(0), &held);
    feed(&mut observer, at(7_000), &[Event::GateRemoved(gate), Event::BreakerRemoved(breaker)]);
    observer.finish(wall(), at(90_000));
    flush(&telemetry);
    let spans = memory.spans();
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["plimsoll.gate", "plimsoll.breaker"]);
    for span in &spans {
        let length = span.end_time.duration_since(span.start_time).expect("forward");
        assert_eq!(length.as_secs(), 7, "{}", span.name);
    }
}

#[test]
fn a_storm_of_throttles_is_bounded_and_the_rest_counted() {
    let bounded = TracingSettings { throttled_spans_per_s: 2.0, ..settings(0.0) };
    let (telemetry, mut observer, memory) = traced(&bounded);
    for message in 1..=100 {
        feed(&mut observer, at(1), &single(0, message, Verdict::Throttled, at(1)));
    }
    // Ten seconds' worth at once are 20 spans, so ten messages of two.
    assert_eq!(telemetry.span_totals().dropped[SpanDrop::RateBound.index()], 180);
    feed(&mut observer, at(5_001), &single(0, 101, Verdict::Throttled, at(1)));
    flush(&telemetry);
    assert_eq!(memory.spans().len(), 22, "five seconds later there is room again");
}

#[test]
fn a_collector_that_refuses_loses_spans_and_the_counts_say_so() {
    let (telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, &settings(1.0), Failing).expect("starts");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    for message in 1..=10 {
        feed(&mut observer, at(1), &single(0, message, Verdict::Accepted, at(1)));
    }
    telemetry.shutdown(Duration::from_secs(5));
    let totals = telemetry.span_totals();
    assert_eq!((totals.exported, totals.failed, totals.queued), (0, 20, 0));
    assert_eq!(value(&scrape(&telemetry), "plimsoll_spans_failed_total"), 20.0);
}

#[test]
fn a_collector_that_hangs_delays_nobody_and_every_span_is_accounted_for() {
    let hanging = Hanging::default();
    let small = TracingSettings {
        queue_spans_max: 64,
        batch_spans_max: 16,
        batch_delay: Duration::from_millis(10),
        ..settings(1.0)
    };
    let (telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, &small, hanging.clone()).expect("starts");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    let before = Instant::now();
    for message in 1..=5_000 {
        feed(&mut observer, at(1), &single(0, message, Verdict::Accepted, at(1)));
    }
    assert!(before.elapsed() < Duration::from_secs(2), "the send loop did not wait");
    let during = telemetry.span_totals();
    assert_eq!((during.queued, during.capacity), (64, 64));
    assert_eq!(during.dropped[SpanDrop::QueueFull.index()], 10_000 - 64);

    let before = Instant::now();
    assert!(!telemetry.shutdown(Duration::from_millis(200)), "it cannot be flushed");
    assert!(before.elapsed() < Duration::from_secs(2), "and nobody waits longer than told");
    let after = telemetry.span_totals();
    let lost: u64 = after.dropped.iter().sum();
    assert_eq!(after.exported + after.failed + after.queued + lost, 10_000);
    assert_eq!(after.dropped[SpanDrop::Shutdown.index()], 64);
    feed(&mut observer, at(2), &single(0, 9_999, Verdict::Accepted, at(2)));
    assert_eq!(telemetry.span_totals().dropped[SpanDrop::Shutdown.index()], 66, "too late");
    hanging.let_go();
}

#[test]
fn attempts_that_wait_for_their_message_are_bounded() {
    let (telemetry, mut observer, _) = traced(&settings(0.0));
    for message in 1..=5_000 {
        let order = order(0, message, 0, at(1));
        let throttled = answer(Verdict::Throttled, at(1));
        feed(&mut observer, at(1), &[Event::Sent(order), ended(order, throttled)]);
    }
    let dropped = telemetry.span_totals().dropped;
    assert_eq!(dropped[SpanDrop::TableFull.index()], 5_000 - 4_096);
}

#[test]
fn a_message_whose_stream_was_removed_still_has_its_spans() {
    let (telemetry, mut observer, memory) = traced(&settings(1.0));
    let [sent, ended, message_ended] = single(0, 3, Verdict::Accepted, at(1));
    feed(&mut observer, at(1), &[sent, Event::StreamRemoved(StreamId(0)), ended, message_ended]);
    flush(&telemetry);
    assert_eq!(memory.spans().len(), 2);
}
