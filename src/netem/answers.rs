//! What the client is told: the server's words as the sender would have read them.

use std::time::Duration;

use super::settings::AdviceStyle;
use crate::limiter::{Layer, Quota};
use crate::model::{
    Advice, AdviceSource, Answer, Dialect, Failure, FailureKind, Moment, NamedLimit, QuotaHint,
    Verdict,
};

pub(super) fn failed(
    kind: FailureKind,
    may_have_arrived: bool,
    sent_at: Moment,
    done_at: Moment,
) -> Answer {
    Answer::bare(Verdict::Failed(Failure { kind, may_have_arrived }), sent_at, done_at)
}

/// A response that arrives whole.
pub(super) fn response(verdict: Verdict, status: u16, sent_at: Moment, done_at: Moment) -> Answer {
    Answer {
        status: Some(status),
        headers_at: Some(done_at),
        ..Answer::bare(verdict, sent_at, done_at)
    }
}

pub(super) fn advice(style: AdviceStyle, retry_after: Duration) -> Advice {
    let wait = match style {
        AdviceStyle::None => return Advice::Absent,
        AdviceStyle::Exact => retry_after,
        AdviceStyle::WholeSeconds => {
            let partial = u64::from(retry_after.subsec_nanos() > 0);
            Duration::from_secs(retry_after.as_secs().saturating_add(partial).max(1))
        }
        AdviceStyle::Fixed(wait) => wait,
    };
    Advice::Wait(wait, AdviceSource::RetryAfterSeconds)
}

/// Names a layer as a vendor would: its key, the scope it counts in, and its size.
pub(super) fn named(layer: &Layer, quota: Option<Quota>) -> NamedLimit {
    NamedLimit {
        key: layer.name.as_ref().into(),
        namespace: Some(layer.scope.to_string().into()),
        value: quota.map(|q| q.limit.to_string().into()),
    }
}

pub(super) fn hint(quota: Quota) -> QuotaHint {
    QuotaHint {
        dialect: Dialect::XRateLimit,
        policy: None,
        limit: Some(quota.limit),
        remaining: Some(quota.remaining),
        reset: Some(quota.reset),
        window: None,
    }
}
