//! What happened, as the engine tells it. One room (telemetry) decides how each is measured.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Advice, AttemptRecord, BreakerChange, BreakerId, CredentialId, GateId, Knowledge, LimitChange,
    MessageId, MessageResult, Moment, Pace, Rate, SafetyChange, ScopeKey, SendOrder, SkipReason,
    StreamId, StreamInfo,
};

/// Something that happened. Slots are `scheduled` exactly when they are sent or skipped, so the
/// sums agree after every event.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A stream began.
    StreamAdded(Arc<StreamInfo>),
    /// A stream's rate changed on reload; nothing else did.
    StreamRateChanged(StreamId, Rate),
    /// A stream ended; its series go once its last attempt has been answered.
    StreamRemoved(StreamId),
    /// Slots passed without a send.
    Skipped {
        /// The stream.
        stream: StreamId,
        /// Why.
        reason: SkipReason,
        /// How many.
        count: u64,
    },
    /// A slot was sent.
    Sent(SendOrder),
    /// An attempt ended.
    Ended(Arc<AttemptRecord>),
    /// A message ended.
    MessageEnded(MessageEnd),
    /// A message will be tried again, not before a moment.
    RetryQueued {
        /// The stream.
        stream: StreamId,
        /// The message.
        message: MessageId,
        /// The earliest time of its next attempt.
        not_before: Moment,
    },
    /// A gate appeared (configuration named a new holder of a limit).
    GateAdded(GateId, Arc<ScopeKey>),
    /// A gate is gone: nobody in configuration belongs to it, and it is open.
    GateRemoved(GateId),
    /// A gate changed.
    Gate(GateId, GateChange),
    /// The pace of a scope with adaptive streams changed, or is told for the first time.
    Pace(GateId, Box<Pace>),
    /// The scope has no adaptive stream any more.
    PaceRemoved(GateId),
    /// What is known of a gate's limit changed, or is told for the first time.
    Known(GateId, Box<Knowledge>),
    /// The limit of a gate's scope moved.
    LimitMoved(GateId, LimitChange),
    /// A circuit breaker appeared, for a limit domain.
    BreakerAdded(BreakerId, Arc<str>),
    /// The limit domain is gone.
    BreakerRemoved(BreakerId),
    /// A circuit breaker changed.
    Breaker(BreakerId, BreakerChange),
    /// The safety envelope changed.
    Safety(Box<SafetyChange>),
    /// A token was asked for, granted, refused or lost.
    Token(CredentialId, TokenEvent),
    /// No further slots will be scheduled; what is in flight may finish.
    DrainStarted,
}

/// The end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEnd {
    /// The stream.
    pub stream: StreamId,
    /// The message.
    pub message: MessageId,
    /// How it ended.
    pub result: MessageResult,
    /// When its first slot was due.
    pub first_due: Moment,
    /// When it ended.
    pub at: Moment,
    /// Attempts made.
    pub attempts: u32,
}

/// A change of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateChange {
    /// A throttle closed it: a new epoch. The backoff level was raised once.
    Closed {
        /// Nobody in the scope sends before this.
        until: Moment,
        /// What the refusal advised.
        advice: Advice,
        /// Epochs in a row without an admitted resume, this one included.
        level: u32,
        /// The pause is longer than the configured maximum: an operator should know.
        long: bool,
        /// The stream whose attempt was throttled.
        cause: StreamId,
    },
    /// It is closed from the start: the pause began in an earlier run and is not over.
    Remembered {
        /// Nobody in the scope sends before this.
        until: Moment,
        /// Epochs in a row without an admitted resume.
        level: u32,
        /// The pause was longer than the configured maximum.
        long: bool,
    },
    /// A later throttle of the same epoch moved the end of the pause.
    Extended {
        /// Nobody in the scope sends before this.
        until: Moment,
        /// The pause is now longer than the configured maximum.
        long: bool,
    },
    /// The pause is over; one request asks whether traffic may resume.
    HalfOpen,
    /// The resume request was admitted: traffic flows, the epoch is over.
    Opened {
        /// How long the gate held traffic back.
        held: Duration,
    },
    /// An operator ended a long pause; one request asks whether traffic may resume.
    OpenedByOperator,
    /// A request went out inside a pause: a defect of ours, counted so that it can page.
    Violated,
    /// A single request of another credential went out inside the pause, because the user of a probe allows
    /// it: whether it is refused as well tells the scope.
    Peeked,
}

/// What became of a credential's token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenEvent {
    /// A fetch began (an auxiliary request).
    Fetching,
    /// A token was granted.
    Granted {
        /// When it expires; `None` for a static one.
        expires_at: Option<Moment>,
    },
    /// The login server refused or failed; the next fetch is not before this.
    Unavailable {
        /// The login server throttled us.
        throttled: bool,
        /// The earliest next fetch.
        retry_at: Moment,
    },
    /// The API refused the token (401), so it is dropped.
    Revoked,
}
