//! What the client is told: the server's words as the sender would have read them.

use std::time::Duration;

use super::settings::AdviceStyle;
use crate::limiter::{Layer, Quota};
use crate::model::{
    Advice, AdviceSource, Answer, Failure, FailureKind, Moment, NamedLimit, Verdict,
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

/// Rounded up.
pub(super) fn whole_seconds(d: Duration) -> Duration {
    let partial = u64::from(d.subsec_nanos() > 0);
    Duration::from_secs(d.as_secs().saturating_add(partial))
}

pub(super) fn advice(style: AdviceStyle, retry_after: Duration) -> Advice {
    let wait = match style {
        AdviceStyle::None => return Advice::Absent,
        AdviceStyle::Exact => retry_after,
        AdviceStyle::WholeSeconds => whole_seconds(retry_after).max(Duration::from_secs(1)),
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
