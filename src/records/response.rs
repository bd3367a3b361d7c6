//! What a recorded response means: the sender's own reading of its status, and of its headers where a record has them.

use http::HeaderMap;

use crate::infer::Decision;
use crate::infer::study::{Named, Quota};
use crate::model::QuotaHint;
use crate::sender::{Response, Success, ThrottleDialect, read_response};

/// What a response says of the limit.
pub(super) struct Said {
    pub(super) decision: Decision,
    pub(super) advice_s: Option<f64>,
    pub(super) quota: Option<Quota>,
    pub(super) named: Option<Named>,
}

/// Reads a response that came at `at_ns` (nanoseconds since 1970).
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8], at_ns: i64) -> Said {
    // Genesys Cloud's way of refusing is read beside the standard ones: its words occur in no other body.
    let success = Success { statuses: (200..300).collect(), body: None };
    let response = Response { status, headers, body: Ok(body) };
    let reading = read_response(response, &success, ThrottleDialect::Genesys, &|| at_ns);
    Said {
        decision: Decision::of(reading.verdict),
        advice_s: reading.advice.wait().map(|wait| wait.as_secs_f64()),
        quota: QuotaHint::tightest(&reading.hints).map(|(hint, limit, remaining)| Quota {
            limit,
            remaining,
            reset: hint.reset.map(|reset| reset.as_secs_f64()),
        }),
        named: reading.named_limit.map(|named| Named {
            key: named.key.into(),
            namespace: named.namespace.map(Into::into),
            value: named.value.map(Into::into),
        }),
    }
}
