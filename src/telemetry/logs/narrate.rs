//! Which events are worth a line, and at which level.
//!
//! Single attempts are told at debug level only: a throttled second has thousands. What an operator
//! must act on is an error, what explains a change in traffic a warning.

use std::time::{Duration, UNIX_EPOCH};

use super::{limit, pace, safety};
use crate::model::{
    Advice, AttemptRecord, Event, GateChange, GateId, MessageEnd, Moment, TokenEvent, WallOffset,
};
use crate::telemetry::observer::Names;

/// Writes the line of an event that has one.
pub(in crate::telemetry) fn narrate(names: &Names, wall: WallOffset, event: &Event) {
    match event {
        Event::Sent(_)
        | Event::Skipped { .. }
        | Event::GateAdded(..)
        | Event::GateRemoved(_)
        | Event::BreakerAdded(..)
        | Event::BreakerRemoved(_)
        | Event::PaceRemoved(_)
        | Event::RetryQueued { .. } => {}
        Event::Ended(record) => {
            if tracing::enabled!(tracing::Level::DEBUG) {
                attempt(names, record);
            }
        }
        Event::MessageEnded(end) => {
            if tracing::enabled!(tracing::Level::DEBUG) {
                message(names, end);
            }
        }
        Event::Pace(id, pace) => {
            pace::narrate(names.gate(*id), names.paces.get(id).map(|told| &**told), pace);
        }
        Event::Known(id, known) if !names.paces.contains_key(id) => {
            limit::known(names.gate(*id), names.known.get(id).map(|told| &**told), known);
        }
        Event::Known(..) => {}
        Event::LimitMoved(id, change) => limit::moved(names.gate(*id), wall, change),
        Event::Gate(id, change) => gate(names, wall, *id, change),
        Event::Breaker(id, change) => safety::breaker(names.breaker(*id), wall, *change),
        Event::Safety(change) => safety::envelope(wall, change),
        Event::StreamAdded(info) => tracing::info!(
            stream = %info.name,
            target = %info.target,
            credential = %info.credential,
            domain = %info.domain,
            rate = %info.rate,
            "stream added"
        ),
        Event::StreamRateChanged(id, rate) => {
            tracing::info!(stream = names.stream(*id), rate = %rate, "stream's rate changed");
        }
        Event::StreamRemoved(id) => tracing::info!(stream = names.stream(*id), "stream removed"),
        Event::Token(id, change) => token(names.credential(*id), wall, *change),
        Event::DrainStarted => tracing::info!("draining: no further slots are scheduled"),
    }
}

fn attempt(names: &Names, record: &AttemptRecord) {
    let AttemptRecord { order, answer } = record;
    tracing::debug!(
        trace_id = %order.message,
        span_id = %order.span,
        stream = names.stream(order.stream),
        sequence = order.sequence,
        resend = order.resend,
        outcome = record.outcome().as_str(),
        status = answer.status,
        failure = record.failure().map(|f| f.kind.as_str()),
        advice_s = seconds(answer.advice),
        lateness_s = answer.sent_at.since(order.due).as_secs_f64(),
        service_s = answer.done_at.since(answer.sent_at).as_secs_f64(),
        limit = answer.named_limit.as_ref().map(|l| &*l.key),
        correlation_id = answer.correlation_id.as_deref(),
        "attempt ended"
    );
}

fn message(names: &Names, end: &MessageEnd) {
    tracing::debug!(
        trace_id = %end.message,
        stream = names.stream(end.stream),
        result = end.result.as_str(),
        attempts = end.attempts,
        "message ended"
    );
}

fn gate(names: &Names, wall: WallOffset, id: GateId, change: &GateChange) {
    let gate = names.gate(id);
    match *change {
        GateChange::Closed { until, advice, level, long, cause } => {
            let cause = names.stream(cause);
            let (until, advice_s) = (time(wall, until), seconds(advice));
            if long {
                tracing::error!(
                    gate,
                    until,
                    advice_s,
                    backoff_level = level,
                    cause,
                    "gate closed for longer than the configured maximum; \
                     POST /-/gates/open ends the pause"
                );
            } else {
                tracing::warn!(gate, until, advice_s, backoff_level = level, cause, "gate closed");
            }
        }
        GateChange::Remembered { until, level, long } => tracing::warn!(
            gate,
            until = time(wall, until),
            backoff_level = level,
            long,
            "gate closed from the start: a pause of an earlier run is not over"
        ),
        GateChange::Extended { until, long: true } => tracing::error!(
            gate,
            until = time(wall, until),
            "pause extended beyond the configured maximum; POST /-/gates/open ends it"
        ),
        GateChange::Extended { until, long: false } => {
            tracing::debug!(gate, until = time(wall, until), "pause extended");
        }
        GateChange::HalfOpen => {
            tracing::info!(gate, "pause is over; one request asks whether traffic may resume");
        }
        GateChange::Opened { held } => {
            tracing::info!(gate, held_s = held.as_secs_f64(), "gate opened");
        }
        GateChange::OpenedByOperator => tracing::warn!(gate, "pause ended by the operator"),
        GateChange::Peeked => {
            tracing::warn!(gate, "one request of another credential went out inside the pause");
        }
        GateChange::Violated => {
            tracing::error!(gate, "a request went out inside a pause; this is a defect");
        }
    }
}

fn token(credential: &str, wall: WallOffset, event: TokenEvent) {
    match event {
        TokenEvent::Fetching => tracing::debug!(credential, "fetching a token"),
        // One that needs no fetch is not news.
        TokenEvent::Granted { expires_at: None } => {}
        TokenEvent::Granted { expires_at: Some(at) } => {
            tracing::info!(credential, expires_at = time(wall, at), "token granted");
        }
        TokenEvent::Unavailable { throttled, retry_at } => tracing::warn!(
            credential,
            throttled,
            retry_at = time(wall, retry_at),
            "no token: the login server refused or failed"
        ),
        TokenEvent::Revoked => tracing::warn!(credential, "token refused by the API and dropped"),
    }
}

fn seconds(advice: Advice) -> Option<f64> {
    advice.wait().map(|d| d.as_secs_f64())
}

/// RFC 3339, to the second.
pub(super) fn time(wall: WallOffset, at: Moment) -> String {
    let ns = u64::try_from(wall.unix_nanos(at)).unwrap_or(0);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(ns)).to_string()
}
