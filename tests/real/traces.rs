//! The spans that the collector has, against nginx's access log and against Prometheus' exemplars.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bench::{STREAMS, URL_TEMPLATE};
use crate::limited::{RETRY_AFTER_S, Records};
use crate::support::collector::Span;
use crate::support::nginx::Access;

/// OTLP's number for a client span.
const KIND_CLIENT: i64 = 3;
/// OTLP's number for the status "error".
const STATUS_ERROR: i64 = 2;

const MESSAGE: &str = "plimsoll.message";

/// Trace and span id of a `traceparent`.
pub(crate) fn ids(access: &Access) -> (&str, &str) {
    let parts: Vec<&str> = access.traceparent.split('-').collect();
    let [version, trace, span, _flags] = parts[..] else { panic!("{access:?}") };
    assert_eq!((version, trace.len(), span.len()), ("00", 32, 16), "{access:?}");
    (trace, span)
}

/// The spans of HTTP requests.
pub(crate) fn attempts(spans: &[Span]) -> impl Iterator<Item = &Span> {
    spans.iter().filter(|span| span.raw["kind"] == KIND_CLIENT)
}

/// The spans of HTTP requests by trace and span id; each there once.
pub(crate) fn attempts_by_id(spans: &[Span]) -> BTreeMap<(&str, &str), &Span> {
    let mut by_id = BTreeMap::new();
    for span in attempts(spans) {
        let twice = by_id.insert((&*span.trace_id, &*span.span_id), span);
        assert!(twice.is_none(), "there twice: {span:?}");
    }
    by_id
}

/// The spans of messages by trace id; each there once.
fn messages(spans: &[Span]) -> BTreeMap<&str, &Span> {
    let of_name: Vec<&Span> = spans.iter().filter(|span| span.name == MESSAGE).collect();
    let by_trace: BTreeMap<_, _> = of_name.iter().map(|span| (&*span.trace_id, *span)).collect();
    assert_eq!(by_trace.len(), of_name.len(), "a message has one span");
    by_trace
}

/// Each 429 in nginx's log has the span that its `traceparent` named, and the span says what nginx said.
pub(crate) fn every_refusal_has_its_span(records: &Records) {
    let spans = attempts_by_id(&records.spans);
    for refusal in records.refused() {
        let span = spans.get(&ids(refusal)).unwrap_or_else(|| panic!("no span of {refusal:?}"));
        let stream = STREAMS.iter().find(|(name, _)| refusal.path == format!("/{name}/messages"));
        let (stream, _) = stream.unwrap_or_else(|| panic!("a path of no stream: {refusal:?}"));
        for (key, expected) in [
            ("http.request.method", json!("POST")),
            ("url.template", json!(URL_TEMPLATE)),
            ("server.address", json!("127.0.0.1")),
            ("http.response.status_code", json!(429)),
            ("error.type", json!("429")),
            ("http.response.header.retry-after", json!([RETRY_AFTER_S.to_string()])),
            ("plimsoll.outcome", json!("throttled")),
            ("plimsoll.stream", json!(stream)),
            ("plimsoll.target", json!("limited")),
            ("plimsoll.advice.source", json!("retry_after_seconds")),
        ] {
            assert_eq!(span.attributes.get(key), Some(&expected), "{key} of {span:?}");
        }
        assert_eq!(span.name, format!("POST {URL_TEMPLATE}"));
        assert_eq!(span.raw["status"]["code"], STATUS_ERROR, "{span:?}");
        assert_eq!(span.resource["service.name"], "plimsoll");
    }
    // And none besides: a span that says 429 is one that nginx refused.
    let told: BTreeSet<_> = spans
        .iter()
        .filter(|(_, span)| span.attributes.get("error.type") == Some(&json!("429")))
        .map(|(id, _)| *id)
        .collect();
    assert_eq!(told, records.refused().map(ids).collect());
}

/// All attempts of a traced message are there, in their order, below the message's own span.
pub(crate) fn tell_one_story_per_message(records: &Records) {
    let (spans, messages) = (attempts_by_id(&records.spans), messages(&records.spans));
    let mut log_of: BTreeMap<&str, Vec<&Access>> = BTreeMap::new();
    for access in &records.log {
        let (trace, _) = ids(access);
        assert_eq!(access.request_id, trace, "the trace's id is the message's");
        log_of.entry(trace).or_default().push(access);
    }
    let mut resends = 0;
    for (trace, message) in &messages {
        assert_eq!(message.parent_span_id, None);
        let log = &log_of[trace];
        assert_eq!(message.attributes["plimsoll.message.attempts"], log.len(), "{message:?}");
        for (i, access) in log.iter().enumerate() {
            let span = spans.get(&ids(access)).unwrap_or_else(|| panic!("no span of {access:?}"));
            assert_eq!(span.parent_span_id.as_ref(), Some(&message.span_id), "{span:?}");
            assert_eq!(span.attributes["http.response.status_code"], access.status);
            let resend = span.attributes.get("http.request.resend_count").cloned();
            assert_eq!(resend, (i > 0).then_some(Value::from(i)), "{span:?}");
            resends += usize::from(i > 0);
        }
        let delivered = log.last().is_some_and(|access| access.status == 200);
        let says = message.attributes["plimsoll.message.result"] == "delivered";
        assert_eq!(says, delivered, "{message:?}");
    }
    assert!(resends > 0, "no message was sent again");
    assert_eq!(
        spans.keys().map(|(trace, _)| *trace).collect::<BTreeSet<_>>(),
        messages.into_keys().collect()
    );
}

/// Without sampling: a message that was never refused has no spans.
pub(crate) fn only_of_refused_messages(records: &Records) {
    let traced: BTreeSet<&str> = attempts(&records.spans).map(|span| &*span.trace_id).collect();
    assert_eq!(traced, records.refused().map(|refusal| ids(refusal).0).collect());
    let all: BTreeSet<&str> = records.log.iter().map(|access| ids(access).0).collect();
    assert!(traced.len() < all.len(), "every message was refused");
}

/// Prometheus kept exemplars, and each leads to a span that the collector has.
pub(crate) fn exemplars_lead_to_spans(records: &Records) {
    let spans = attempts_by_id(&records.spans);
    let of = |selector: &str| records.prometheus.query_exemplars(selector);
    let throttled = of("plimsoll_attempts_total{outcome=\"throttled\"}");
    let refused: BTreeSet<_> = records.refused().map(ids).collect();
    let mut streams = BTreeSet::new();
    for exemplar in &throttled {
        let id = (&*exemplar.labels["trace_id"], &*exemplar.labels["span_id"]);
        assert!(refused.contains(&id), "nginx did not refuse {exemplar:?}");
        assert_eq!(spans[&id].attributes["plimsoll.stream"], *exemplar.series["stream"]);
        streams.insert(&*exemplar.series["stream"]);
    }
    assert!(!streams.is_empty(), "no exemplar of a refusal");
    for histogram in [
        "plimsoll_send_lateness_seconds_bucket",
        "plimsoll_service_duration_seconds_bucket",
        "plimsoll_response_duration_seconds_bucket",
    ] {
        let exemplars = of(histogram);
        assert!(!exemplars.is_empty(), "no exemplar of {histogram}");
        for exemplar in exemplars {
            let id = (&*exemplar.labels["trace_id"], &*exemplar.labels["span_id"]);
            assert!(spans.contains_key(&id), "the collector does not have {exemplar:?}");
        }
    }
}
