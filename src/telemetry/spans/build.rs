//! Turns what happened into spans, named and attributed by OpenTelemetry's HTTP conventions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event as SpanEvent, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::mix_span_id;
use crate::model::{
    Advice, AdviceSource, AttemptRecord, MessageEnd, MessageId, MessageResult, Moment, Outcome,
    StreamInfo, WallOffset,
};

/// The span of a message: derived from its id, so that attempts can name their parent before it ends.
pub(super) const fn message_span(message: MessageId) -> u64 {
    mix_span_id((message.0 as u64) ^ ((message.0 >> 64) as u64).rotate_left(32))
}

pub(super) fn system_time(wall: WallOffset, at: Moment) -> SystemTime {
    let ns = u64::try_from(wall.unix_nanos(at)).unwrap_or(0);
    UNIX_EPOCH + Duration::from_nanos(ns)
}

/// What spans of one process have in common.
pub(super) struct Builder {
    scope: InstrumentationScope,
}

impl Builder {
    pub(super) fn new(version: &str) -> Self {
        let scope = InstrumentationScope::builder("plimsoll").with_version(version.to_owned());
        Self { scope: scope.build() }
    }

    /// A span in `trace` with no parent and no attributes yet.
    pub(super) fn span(
        &self,
        trace: u128,
        span: u64,
        name: Cow<'static, str>,
        (start_time, end_time): (SystemTime, SystemTime),
    ) -> SpanData {
        let context = SpanContext::new(
            TraceId::from(trace),
            SpanId::from(span),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        SpanData {
            span_context: context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time,
            end_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// The root span of a message.
    pub(super) fn message(
        &self,
        wall: WallOffset,
        info: &StreamInfo,
        sequence: Option<u64>,
        end: &MessageEnd,
    ) -> SpanData {
        let times = (system_time(wall, end.first_due), system_time(wall, end.at));
        let name = Cow::Borrowed("plimsoll.message");
        let mut span = self.span(end.message.0, message_span(end.message), name, times);
        span.attributes = vec![
            KeyValue::new("plimsoll.stream", Arc::clone(&info.name)),
            KeyValue::new("plimsoll.target", Arc::clone(&info.target)),
            KeyValue::new("plimsoll.message.result", end.result.as_str()),
            KeyValue::new("plimsoll.message.attempts", i64::from(end.attempts)),
        ];
        if let Some(sequence) = sequence {
            span.attributes.push(KeyValue::new("plimsoll.message.sequence", signed(sequence)));
        }
        if end.result != MessageResult::Delivered {
            span.status = Status::error(end.result.as_str());
        }
        span
    }

    /// The client span of an attempt.
    pub(super) fn attempt(
        &self,
        wall: WallOffset,
        info: &StreamInfo,
        record: &AttemptRecord,
    ) -> SpanData {
        let AttemptRecord { order, answer } = record;
        let times = (system_time(wall, answer.sent_at), system_time(wall, answer.done_at));
        let name = Cow::Owned(format!("{} {}", info.method, info.path_template));
        let mut span = self.span(order.message.0, order.span.0, name, times);
        span.parent_span_id = SpanId::from(message_span(order.message));
        span.span_kind = SpanKind::Client;
        span.attributes = http_attributes(info, record);
        span.attributes.extend(own_attributes(info, record));
        if let Some(error) = error_type(record) {
            span.attributes.push(KeyValue::new("error.type", error));
            span.status = Status::error(record.outcome().as_str());
        }
        if let Some(headers_at) = answer.headers_at {
            let event = SpanEvent::new("headers", system_time(wall, headers_at), Vec::new(), 0);
            push_event(&mut span, event);
        }
        span
    }
}

pub(super) fn push_event(span: &mut SpanData, event: SpanEvent) {
    span.events.events.push(event);
}

/// The status code where there is one, as the conventions want it; else the kind of failure.
fn error_type(record: &AttemptRecord) -> Option<Cow<'static, str>> {
    if record.outcome() == Outcome::Accepted {
        return None;
    }
    // A broken or over-long response has a status that says nothing about what went wrong.
    let by_kind = record.failure().map(|f| f.kind.as_str()).filter(|kind| *kind != "server_error");
    match (by_kind, record.answer.status) {
        (Some(kind), _) => Some(Cow::Borrowed(kind)),
        (None, Some(status)) => Some(Cow::Owned(status.to_string())),
        (None, None) => Some(Cow::Borrowed(record.outcome().as_str())),
    }
}

fn http_attributes(info: &StreamInfo, record: &AttemptRecord) -> Vec<KeyValue> {
    let AttemptRecord { order, answer } = record;
    let mut attributes = Vec::with_capacity(20);
    attributes.extend([
        KeyValue::new("http.request.method", Arc::clone(&info.method)),
        KeyValue::new("server.address", Arc::clone(&info.server_address)),
        KeyValue::new("server.port", i64::from(info.server_port)),
        KeyValue::new("url.template", Arc::clone(&info.path_template)),
    ]);
    if let Some(status) = answer.status {
        attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
    }
    if order.resend > 0 {
        attributes.push(KeyValue::new("http.request.resend_count", i64::from(order.resend)));
    }
    // A date is not restored from its distance: only the form in seconds is shown as the header.
    if let Advice::Wait(wait, AdviceSource::RetryAfterSeconds) = answer.advice {
        let value: Vec<StringValue> = vec![wait.as_secs_f64().to_string().into()];
        let value = Value::Array(Array::String(value));
        attributes.push(KeyValue::new("http.response.header.retry-after", value));
    }
    attributes
}

fn own_attributes(info: &StreamInfo, record: &AttemptRecord) -> Vec<KeyValue> {
    let AttemptRecord { order, answer } = record;
    let mut attributes = vec![
        KeyValue::new("plimsoll.stream", Arc::clone(&info.name)),
        KeyValue::new("plimsoll.target", Arc::clone(&info.target)),
        KeyValue::new("plimsoll.message.sequence", signed(order.sequence)),
        KeyValue::new("plimsoll.outcome", record.outcome().as_str()),
        KeyValue::new("plimsoll.lateness_s", answer.sent_at.since(order.due).as_secs_f64()),
        KeyValue::new("plimsoll.gate.resume", order.resume),
    ];
    if let Advice::Wait(wait, source) = answer.advice {
        attributes.push(KeyValue::new("plimsoll.advice.wait_s", wait.as_secs_f64()));
        attributes.push(KeyValue::new("plimsoll.advice.source", source.as_str()));
    }
    if let Some(limit) = &answer.named_limit {
        attributes.push(KeyValue::new("plimsoll.limit.key", limit.key.to_string()));
        let namespace = ("plimsoll.limit.namespace", &limit.namespace);
        for (key, text) in [namespace, ("plimsoll.limit.value", &limit.value)] {
            attributes.extend(text.as_ref().map(|text| KeyValue::new(key, text.to_string())));
        }
    }
    if let Some(id) = &answer.correlation_id {
        attributes.push(KeyValue::new("plimsoll.correlation_id", id.to_string()));
    }
    attributes
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_span_is_never_zero_and_depends_on_all_of_the_id() {
        assert_ne!(message_span(MessageId(0)), 0);
        assert_ne!(message_span(MessageId(1)), message_span(MessageId(1 << 64)));
        assert_ne!(message_span(MessageId(1)), message_span(MessageId(2)));
    }
}
