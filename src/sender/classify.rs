//! What a response means: the verdict, and everything it says about limits.
//!
//! Pure. It answers *what was it?* and leaves *what now?* to the policy. A body is parsed only where
//! its content can matter, so that the common success costs one pass over the header fields.

use http::HeaderMap;
use serde_json::Value;

use super::body;
use super::hints::{Fields, Hints};
use super::retry_after;
use super::server_time::ServerTime;
use super::settings::{Success, ThrottleDialect};
use crate::model::{
    Advice, AdviceSource, Dialect, Failure, FailureKind, NamedLimit, QuotaHint, Verdict,
};

/// A response as far as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body, or what kept it from being read to its end.
    pub body: Result<&'a [u8], FailureKind>,
}

/// What a response means and says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it means.
    pub verdict: Verdict,
    /// When to come back. Successes give none.
    pub advice: Advice,
    /// Quotas described.
    pub hints: Vec<QuotaHint>,
    /// Dialects in which something could not be read.
    pub malformed: Vec<Dialect>,
    /// The limit that a refusal names.
    pub named_limit: Option<Box<NamedLimit>>,
    /// The server's own id for the request.
    pub correlation_id: Option<Box<str>>,
}

/// Reads a response. `wall` (nanoseconds since the Unix epoch) is asked only where a date has to be
/// read and the response has no `Date` of its own.
#[must_use]
pub fn read(
    response: Response<'_>,
    success: &Success,
    dialect: ThrottleDialect,
    wall: &dyn Fn() -> i64,
) -> Reading {
    let fields = Fields::scan(response.headers);
    let time = ServerTime::new(fields.date, wall);
    let mut hints = Hints::read(&fields, &time);
    let retry_after = retry_after::read_all(&fields.retry_after, &time);
    if retry_after == Advice::Unreadable {
        hints.unreadable(Dialect::RetryAfter);
    }
    let json = match response.body {
        Ok(bytes) if response.status >= 400 => body::parse(bytes),
        _ => None,
    };
    let throttled = says_throttled(&response, dialect, retry_after, &hints, json.as_ref());
    let verdict = verdict(&response, success, throttled);
    let (advice, named_limit) = match verdict {
        Verdict::Accepted => (Advice::Absent, None),
        Verdict::Throttled => refusal(&mut hints, retry_after, json.as_ref(), dialect),
        _ => (retry_after, None),
    };
    Reading {
        verdict,
        advice,
        hints: hints.quotas,
        malformed: hints.malformed,
        named_limit,
        correlation_id: fields.correlation_id(),
    }
}

fn verdict(response: &Response<'_>, success: &Success, throttled: bool) -> Verdict {
    let failed = |kind, may_have_arrived| Verdict::Failed(Failure { kind, may_have_arrived });
    let status = response.status;
    // A refusal that the head alone makes plain stands, whatever became of the body.
    if throttled {
        return Verdict::Throttled;
    }
    match (status, response.body) {
        (401, _) => Verdict::Unauthorized,
        // Only a proxy says this, of itself: it has handed nothing on.
        (407, _) => failed(FailureKind::Connect, false),
        // "Unavailable" refuses before acting; after any other 5xx the request may have been acted
        // on: a gateway that answers 502 or 504 does not know what happened behind it.
        (503, _) => failed(FailureKind::ServerError, false),
        (500.., _) => failed(FailureKind::ServerError, true),
        (_, Err(kind)) => failed(kind, true),
        (_, Ok(bytes)) if success.statuses.contains(&status) => match &success.body {
            Some(condition) if !body::matches(condition, bytes) => Verdict::Rejected,
            _ => Verdict::Accepted,
        },
        // Redirects are here too: they are never followed, because a token must not leave its host
        // and a POST must not be sent twice.
        _ => Verdict::Rejected,
    }
}

fn says_throttled(
    response: &Response<'_>,
    dialect: ThrottleDialect,
    retry_after: Advice,
    hints: &Hints,
    json: Option<&Value>,
) -> bool {
    let has_retry_after = retry_after != Advice::Absent;
    match response.status {
        429 => true,
        503 => has_retry_after,
        // GitHub answers 403 for its limits. Without a sign of a limit, here or in the body, 403 is
        // a missing permission.
        403 if has_retry_after || exhausted(&hints.quotas).is_some() => true,
        status @ 400..=499 => json.is_some_and(|j| body::says_throttled(status, j, dialect)),
        _ => false,
    }
}

/// The advice of a throttle and the limit it names. `Retry-After` wins over the body, the body over
/// the reset of a quota that has nothing left.
fn refusal(
    hints: &mut Hints,
    retry_after: Advice,
    json: Option<&Value>,
    dialect: ThrottleDialect,
) -> (Advice, Option<Box<NamedLimit>>) {
    let from_body = json.map_or(Advice::Absent, body::advice);
    if from_body == Advice::Unreadable {
        hints.unreadable(Dialect::Body);
    }
    let from_quota = exhausted(&hints.quotas)
        .and_then(|quota| quota.reset)
        .map_or(Advice::Absent, |reset| Advice::Wait(reset, AdviceSource::QuotaReset));
    let candidates = [retry_after, from_body, from_quota];
    let readable = candidates.into_iter().find(|a| a.wait().is_some());
    let spoken = candidates.into_iter().find(|a| *a != Advice::Absent);
    if let Some(quota) = json.and_then(body::quota) {
        hints.push(quota);
    }
    let named = json.and_then(|j| body::named_limit(j, dialect)).map(Box::new);
    (readable.or(spoken).unwrap_or_default(), named.or_else(|| hints.named_limit.take()))
}

/// Of the quotas that have nothing left, the one that takes longest to reset.
fn exhausted(quotas: &[QuotaHint]) -> Option<&QuotaHint> {
    quotas.iter().filter(|q| q.remaining == Some(0)).max_by_key(|q| q.reset)
}

#[cfg(test)]
mod tests;
