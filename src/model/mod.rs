//! The words of the field as types: time, rates, identity, attempts, outcomes, hints, events.
//!
//! Everything else in the crate speaks in these types, so this room imports nothing of ours. It
//! must not know how a request is sent, where a number is exported, or what time it is now.

mod answer;
mod change;
mod estimate;
mod event;
mod hash;
mod hint;
mod human;
mod identity;
mod knowledge;
mod limit;
mod memory;
mod objectives;
mod outcome;
mod pace;
mod rate;
mod safety;
mod status;
mod time;

pub use answer::{Answer, AttemptRecord, Failure, FailureKind, SendOrder, Verdict};
pub use change::{ChangeSight, LimitChange, LimitDirection};
pub use estimate::{Estimate, EstimateSource, Interval};
pub use event::{Event, GateChange, MessageEnd, TokenEvent};
pub use hash::{IdHash, IdHasher};
pub use hint::{Advice, AdviceSource, Dialect, NamedLimit, QuotaHint};
pub use human::{HumanDuration, ParseDurationError};
pub use identity::{
    AttemptId, BreakerId, CredentialId, EndpointId, Factor, GateId, Identity, MessageId, Scope,
    ScopeKey, SpanId, StreamId, StreamInfo,
};
pub use knowledge::Knowledge;
pub use limit::Kind;
pub use memory::{
    ESTIMATE_UNUSED_MAX, EstimateMemory, MannersMemory, Memory, PauseMemory, ScopeMemory,
};
pub use objectives::Objectives;
pub use outcome::{MessageResult, Outcome, SkipReason};
pub use pace::{Pace, PaceReason, PaceState};
pub use rate::{ParseRateError, Rate};
pub use safety::{
    BreakerChange, BreakerState, CapWindow, CountMemory, PausedBy, SafetyChange, SafetyMemory,
    Subject, SubjectSafety, subject_name,
};
pub use status::{
    BreakerStatus, CapStatus, CredentialStatus, EstimateStatus, GateState, GateStatus, HintStatus,
    LimitChangeStatus, LimitStatus, OpenInterval, PaceStatus, RunState, Status, StreamStatus,
};
pub use time::{Moment, WallOffset};
