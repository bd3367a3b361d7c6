//! One attempt: the order to send it, and what came of it.

use std::fmt;

use serde::Serialize;

use super::outcome::labels;
use super::{
    Advice, AttemptId, CredentialId, Dialect, EndpointId, MessageId, Moment, NamedLimit, Outcome,
    QuotaHint, SpanId, StreamId,
};

/// The order to send one attempt now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendOrder {
    /// The attempt.
    pub attempt: AttemptId,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The target revision to send it to.
    pub endpoint: EndpointId,
    /// The credential revision to send it with.
    pub credential: CredentialId,
    /// Which token of that credential, counted from its first fetch.
    pub token_generation: u32,
    /// The message it carries.
    pub message: MessageId,
    /// The message's number in its stream, from 0.
    pub sequence: u64,
    /// How many attempts of the message came before (`http.request.resend_count`).
    pub resend: u32,
    /// Trace span of the attempt.
    pub span: SpanId,
    /// When the slot was due.
    pub due: Moment,
    /// When the message's first slot was due.
    pub first_due: Moment,
    /// When the engine gave the order.
    pub ordered_at: Moment,
    /// Whether this is the single request that asks whether a gate may open.
    pub resume: bool,
}

labels!(
    /// What kind of failure an attempt met (`error.type` where there is no status).
    FailureKind {
        /// The server answered 5xx.
        ServerError = "server_error",
        /// The request timed out.
        Timeout = "timeout",
        /// No connection: refused, unreachable, DNS, TLS.
        Connect = "connect",
        /// The connection broke after the request was, or may have been, written.
        Transport = "transport",
        /// The response could not be read as HTTP, or exceeded a bound.
        BadResponse = "bad_response",
        /// Still in flight when the grace period of the drain ended.
        Abandoned = "abandoned",
    }
);

/// A failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// Whether the server may have acted on the request. If so, only an idempotency key makes a
    /// second attempt safe: a duplicate is a real message to a real person.
    pub may_have_arrived: bool,
}

/// What an answer means, before any decision on what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The success criteria were met.
    Accepted,
    /// Refused because of a limit; the request was not acted on.
    Throttled,
    /// The credential was refused (401); the request was not acted on.
    Unauthorized,
    /// Refused for good.
    Rejected,
    /// No usable answer.
    Failed(Failure),
}

impl Verdict {
    /// The outcome this verdict counts as.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Accepted => Outcome::Accepted,
            Self::Throttled => Outcome::Throttled,
            Self::Unauthorized | Self::Rejected => Outcome::Rejected,
            Self::Failed(_) => Outcome::Failed,
        }
    }
}

/// Everything the sender learned from one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// HTTP status, where a response came.
    pub status: Option<u16>,
    /// When the request was handed to the HTTP client.
    pub sent_at: Moment,
    /// When the response's headers were received; a Retry-After counts from here.
    pub headers_at: Option<Moment>,
    /// When the response was read to its end, or the failure was known.
    pub done_at: Moment,
    /// When to come back, if the answer says so.
    pub advice: Advice,
    /// Quotas the response describes.
    pub hints: Vec<QuotaHint>,
    /// Dialects in which the response said something that could not be read.
    pub malformed: Vec<Dialect>,
    /// The limit that a refusal names.
    pub named_limit: Option<Box<NamedLimit>>,
    /// The server's own id for the request (such as `ININ-Correlation-Id`), to quote to the vendor.
    pub correlation_id: Option<Box<str>>,
}

impl Answer {
    /// An answer with nothing but a verdict, sent and done at the given moments.
    #[must_use]
    pub const fn bare(verdict: Verdict, sent_at: Moment, done_at: Moment) -> Self {
        Self {
            verdict,
            status: None,
            sent_at,
            headers_at: None,
            done_at,
            advice: Advice::Absent,
            hints: Vec::new(),
            malformed: Vec::new(),
            named_limit: None,
            correlation_id: None,
        }
    }
}

/// An attempt that has ended: the unit of every record, log and statistic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// What was ordered.
    pub order: SendOrder,
    /// What came of it.
    pub answer: Answer,
}

impl AttemptRecord {
    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.answer.verdict.outcome()
    }

    /// The failure, when it failed.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        match self.answer.verdict {
            Verdict::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}
