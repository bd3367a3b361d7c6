//! One request and its response, within one deadline and a bound on the body.

use std::time::Duration;

use http::HeaderMap;

use super::clock::Clock;
use super::connections::Line;
use super::failure;
use crate::model::{Failure, FailureKind, Moment};

/// How much of a response is read, and until when.
pub(super) struct Bounds<'a> {
    /// From the hand-over to the HTTP client until the end of the response.
    pub(super) timeout: Duration,
    /// A longer body is a bad response.
    pub(super) body_bytes_max: usize,
    /// Whether the body of a response with this status has to be kept.
    pub(super) keep_body: &'a (dyn Fn(u16) -> bool + Send + Sync),
    /// Told of the head as soon as it is there, before the body.
    pub(super) on_head: &'a (dyn Fn(&Head) + Send + Sync),
}

/// The head of a response.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) at: Moment,
}

/// What came of a request.
pub(super) struct Exchange {
    pub(super) sent_at: Moment,
    pub(super) done_at: Moment,
    /// The head, and the body or what kept it from being read; or why there was no head.
    pub(super) result: Result<(Head, Result<Vec<u8>, FailureKind>), Failure>,
}

/// A body without a head: HTTP has no such thing.
const NO_HEAD: Failure = Failure { kind: FailureKind::BadResponse, may_have_arrived: true };

/// Sends a request and reads its response.
pub(super) async fn exchange(
    line: &Line,
    request: reqwest::Request,
    bounds: &Bounds<'_>,
    clock: &Clock,
) -> Exchange {
    let sent_at = clock.now();
    // The head outlives a deadline that ends the reading of the body: a refusal's advice counts
    // from its head and must not be lost.
    let mut head = None;
    let reading = read(line, request, bounds, clock, &mut head);
    let timeout = Failure { kind: FailureKind::Timeout, may_have_arrived: true };
    let body = tokio::time::timeout(bounds.timeout, reading).await.unwrap_or(Err(timeout));
    let done_at = clock.now();
    let result = match body {
        Ok(body) => head.map(|head| (head, Ok(body))).ok_or(NO_HEAD),
        Err(failure) => head.map(|head| (head, Err(failure.kind))).ok_or(failure),
    };
    Exchange { sent_at, done_at, result }
}

async fn read(
    line: &Line,
    request: reqwest::Request,
    bounds: &Bounds<'_>,
    clock: &Clock,
    head: &mut Option<Head>,
) -> Result<Vec<u8>, Failure> {
    let too_long = Failure { kind: FailureKind::BadResponse, may_have_arrived: true };
    let failed = |error: reqwest::Error| {
        line.tell(&error, clock.now());
        failure::of(&error)
    };
    let mut response = line.client().execute(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    let announced = response.content_length();
    let headers = std::mem::take(response.headers_mut());
    let received = Head { status, headers, at: clock.now() };
    (bounds.on_head)(&received);
    *head = Some(received);
    if announced.is_some_and(|length| length > bounds.body_bytes_max as u64) {
        return Err(too_long);
    }
    let keep = (bounds.keep_body)(status);
    // What a login server answers is a secret, of which growing would leave copies behind.
    let room = announced.map_or(0, |length| usize::try_from(length).unwrap_or(0));
    let (mut body, mut length) = (Vec::with_capacity(if keep { room } else { 0 }), 0_usize);
    // An unwanted body is read all the same: only then can its connection be used again.
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        length = length.saturating_add(chunk.len());
        if length > bounds.body_bytes_max {
            return Err(too_long);
        }
        if keep {
            body.extend_from_slice(&chunk);
        }
    }
    Ok(body)
}
