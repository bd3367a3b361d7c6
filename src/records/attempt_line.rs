//! A line of the attempt log: how it is written, and how it is read again. `docs/ATTEMPT_LOG.md` describes it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::infer::Decision;
use crate::model::{
    Advice, AttemptRecord, Failure, FailureKind, Moment, Outcome, QuotaHint, StreamInfo, Verdict,
    WallOffset,
};

/// One attempt that has ended. Times are RFC 3339 in UTC with nanoseconds, durations seconds; what is not known is
/// left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptLine<'a> {
    /// When the request was handed to the HTTP client.
    #[serde(borrow)]
    pub sent_at: Cow<'a, str>,
    /// When its slot was due.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Cow<'a, str>>,
    /// When the response's headers came.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub headers_at: Option<Cow<'a, str>>,
    /// When the response was read to its end, or the failure was known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Cow<'a, str>>,
    /// `accepted`, `throttled`, `rejected` or `failed`.
    #[serde(borrow)]
    pub outcome: Cow<'a, str>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Of a failed attempt: what kind of failure.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Cow<'a, str>>,
    /// The limit domain.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub domain: Cow<'a, str>,
    /// The stream's name.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub stream: Cow<'a, str>,
    /// The target's name.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub target: Cow<'a, str>,
    /// The credential's name: it stands for its token.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub credential: Cow<'a, str>,
    /// The credential's organisation.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub tenant: Cow<'a, str>,
    /// The credential's user.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub user: Cow<'a, str>,
    /// The credential's OAuth client or API key, by its name.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub client: Cow<'a, str>,
    /// The source address, where configuration chooses one.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub address: Cow<'a, str>,
    /// Method and path template.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub route: Cow<'a, str>,
    /// Requests in flight in the limit domain when this one was sent, itself included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
    /// What the answer advised to wait, counted from its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice_s: Option<f64>,
    /// What the answer says of quotas.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<QuotaLine<'a>>,
    /// The limit that a refusal names.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub named_limit: Option<NamedLine<'a>>,
    /// The message that it carried.
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    pub message: Cow<'a, str>,
    /// Which attempt of its message it was, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The server's own id for the request.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Cow<'a, str>>,
}

/// What an answer says of one quota.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaLine<'a> {
    /// The dialect that it was said in.
    #[serde(borrow, skip_serializing_if = "str::is_empty")]
    pub dialect: Cow<'a, str>,
    /// The name of the policy.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Cow<'a, str>>,
    /// Requests in a full quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// Time to the reset, from the headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_s: Option<f64>,
    /// Length of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_s: Option<f64>,
}

/// A limit by its vendor's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedLine<'a> {
    /// Its key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The namespace of the key.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
    /// Its value, as written.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Cow<'a, str>>,
}

impl<'a> AttemptLine<'a> {
    /// The line for an attempt of a stream; `in_flight`, requests of the limit domain when it was sent.
    #[must_use]
    pub fn of(
        record: &'a AttemptRecord,
        stream: &'a StreamInfo,
        wall: WallOffset,
        in_flight: u32,
    ) -> Self {
        let AttemptRecord { order, answer } = record;
        let at = |moment: Moment| Cow::Owned(rfc3339(wall.unix_nanos(moment)));
        let identity = &stream.identity;
        Self {
            sent_at: at(answer.sent_at),
            due_at: Some(at(order.due)),
            headers_at: answer.headers_at.map(at),
            done_at: Some(at(answer.done_at)),
            outcome: record.outcome().as_str().into(),
            status: answer.status,
            failure: record.failure().map(|failure| failure.kind.as_str().into()),
            domain: (&*stream.domain).into(),
            stream: (&*stream.name).into(),
            target: (&*stream.target).into(),
            credential: (&*stream.credential).into(),
            tenant: (&*identity.tenant).into(),
            user: (&*identity.user).into(),
            client: (&*identity.client).into(),
            address: (&*identity.address).into(),
            route: (&*identity.route).into(),
            in_flight: Some(in_flight),
            advice_s: match answer.advice {
                Advice::Wait(wait, _) => Some(wait.as_secs_f64()),
                Advice::Absent | Advice::Unreadable => None,
            },
            quota: answer.hints.iter().map(QuotaLine::of).collect(),
            named_limit: answer.named_limit.as_deref().map(|named| NamedLine {
                key: (&*named.key).into(),
                namespace: named.namespace.as_deref().map(Into::into),
                value: named.value.as_deref().map(Into::into),
            }),
            message: order.message.to_string().into(),
            attempt: Some(order.resend.saturating_add(1)),
            correlation_id: answer.correlation_id.as_deref().map(Into::into),
        }
    }

    /// Adds the line, with its end, to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        // Fails for maps with keys that are no texts, and there is none.
        if serde_json::to_writer(&mut *out, self).is_err() {
            out.truncate(begin);
            return;
        }
        out.push(b'\n');
    }

    /// What the limit decided; `None`: its outcome is none of the four.
    pub(super) fn decision(&self) -> Option<Decision> {
        let known = |outcome: &&Outcome| outcome.as_str() == self.outcome;
        let server_error = FailureKind::ServerError;
        let failure = |kind| Failure { kind, may_have_arrived: true };
        Some(Decision::of(match Outcome::ALL.iter().find(known)? {
            Outcome::Accepted => Verdict::Accepted,
            Outcome::Throttled => Verdict::Throttled,
            Outcome::Rejected if self.status == Some(401) => Verdict::Unauthorized,
            Outcome::Rejected => Verdict::Rejected,
            Outcome::Failed if self.failure.as_deref() == Some(server_error.as_str()) => {
                Verdict::Failed(failure(server_error))
            }
            Outcome::Failed => Verdict::Failed(failure(FailureKind::Transport)),
        }))
    }
}

impl<'a> QuotaLine<'a> {
    fn of(hint: &'a QuotaHint) -> Self {
        Self {
            dialect: hint.dialect.as_str().into(),
            policy: hint.policy.as_deref().map(Into::into),
            limit: hint.limit,
            remaining: hint.remaining,
            reset_s: hint.reset.map(|d| d.as_secs_f64()),
            window_s: hint.window.map(|d| d.as_secs_f64()),
        }
    }
}

/// Nanoseconds since 1970 as RFC 3339.
fn rfc3339(unix_ns: i64) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default();
    format!("{at:.9}")
}
