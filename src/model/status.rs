//! A snapshot of the engine for people and programs: what `/api/v1/status` shows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    BreakerState, CapWindow, ChangeSight, Estimate, EstimateSource, Interval, Knowledge,
    LimitChange, LimitDirection, Pace, PaceReason, PaceState, WallOffset,
};

/// Whether the engine is sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Slots are being scheduled.
    Running,
    /// No more sends; in-flight requests may finish.
    Draining,
    /// Nothing is in flight and nothing will be sent.
    Drained,
}

/// The state of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Traffic flows.
    Open,
    /// Nobody in the scope sends.
    Closed,
    /// One request is asking whether traffic may resume.
    HalfOpen,
}

/// The whole engine at one moment. Times are Unix seconds, durations seconds, rates per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// When the snapshot was taken.
    pub at: f64,
    /// Seconds since the start of the process.
    pub uptime_seconds: f64,
    /// Whether the engine is sending.
    pub state: RunState,
    /// Requests in flight.
    pub in_flight: u64,
    /// Everything is paused.
    pub paused: bool,
    /// Caps on the messages of all streams together.
    pub caps: Vec<CapStatus>,
    /// Every stream.
    pub streams: Vec<StreamStatus>,
    /// Every gate.
    pub gates: Vec<GateStatus>,
    /// Every circuit breaker.
    pub breakers: Vec<BreakerStatus>,
    /// Every credential.
    pub credentials: Vec<CredentialStatus>,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Its target.
    pub target: String,
    /// Its credential.
    pub credential: String,
    /// The gate it stands behind, as [`GateStatus::name`].
    pub gate: String,
    /// Who is taken to share its limit, such as `undecided` or `tenant+route`.
    pub scope: String,
    /// `fixed` or `adaptive`.
    pub mode: &'static str,
    /// Its part of an adaptive scope's rate, in relation to the scope's other streams.
    pub weight: f64,
    /// The configured rate, per second; in adaptive mode a ceiling.
    pub configured_rate: f64,
    /// The rate the schedule aims at now (the ramp included), per second; of an adaptive stream, its
    /// share now.
    pub scheduled_rate: f64,
    /// It is paused by itself; see [`Status::paused`] for everything.
    pub paused: bool,
    /// Its active hours are on, or it has none.
    pub active: bool,
    /// When its active hours begin, Unix seconds, unless they are on.
    pub active_at: Option<f64>,
    /// Caps on its messages.
    pub caps: Vec<CapStatus>,
    /// Slots that have been due.
    pub scheduled: u64,
    /// Slots sent.
    pub sent: u64,
    /// Slots skipped, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Attempts ended, by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Requests in flight.
    pub in_flight: u64,
    /// Messages waiting for a retry.
    pub retries_waiting: u64,
    /// The quota hints of the latest response that had any.
    pub hints: Vec<HintStatus>,
    /// The limit that the latest refusal named, as `namespace/key=value`.
    pub named_limit: Option<String>,
}

/// One quota hint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HintStatus {
    /// The dialect it was written in.
    pub dialect: &'static str,
    /// The policy's name.
    pub policy: Option<String>,
    /// Allowed in a window.
    pub limit: Option<u64>,
    /// Left of them.
    pub remaining: Option<u64>,
    /// Seconds to the reset, at receipt.
    pub reset_seconds: Option<f64>,
    /// Seconds in a window.
    pub window_seconds: Option<f64>,
}

/// One cap on messages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CapStatus {
    /// What it spans.
    pub window: CapWindow,
    /// Messages that it allows.
    pub limit: u64,
    /// Messages that it counts now.
    pub used: u64,
    /// No new message may be sent.
    pub reached: bool,
    /// When there is room again, Unix seconds; `None`: there is, or it does not come by itself.
    pub room_at: Option<f64>,
}

/// The circuit breaker of one limit domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BreakerStatus {
    /// The limit domain.
    pub domain: String,
    /// Closed, open or half open.
    pub state: BreakerState,
    /// When one request may ask, Unix seconds, while it is open.
    pub until: Option<f64>,
    /// Failures since the latest answer.
    pub failures: u32,
    /// Times it opened since the start.
    pub opened: u64,
}

/// One gate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GateStatus {
    /// The scope's holder, readable.
    pub name: String,
    /// Open, closed or half open.
    pub state: GateState,
    /// End of the pause, Unix seconds, unless open.
    pub until: Option<f64>,
    /// The pause is longer than the configured maximum.
    pub long: bool,
    /// Epochs in a row without an admitted resume.
    pub level: u32,
    /// Epochs since the start.
    pub epochs: u64,
    /// Seconds for which it has held traffic back since the start, the present pause included.
    pub held_seconds: f64,
    /// What is known about the limit.
    pub limit: LimitStatus,
    /// Why the rate is what it is, where a stream behind the gate is adaptive.
    pub pace: Option<PaceStatus>,
}

/// The pace of a gate's adaptive streams.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PaceStatus {
    /// What the policy is doing.
    pub state: PaceState,
    /// The rate of the scope, its fixed streams included, per second.
    pub rate: f64,
    /// The highest that configuration allows, per second.
    pub ceiling: f64,
    /// Why the rate changed the last time.
    pub reason: PaceReason,
    /// When it did, Unix seconds.
    pub changed_at: f64,
    /// What is believed about the limit, unless it is unknown.
    pub estimate: Option<EstimateStatus>,
    /// Whether quota hints are believed, once one has come.
    pub hints_trusted: Option<bool>,
    /// Requests in flight that a recognised concurrency limit allows.
    pub in_flight_max: Option<u32>,
}

/// What is believed about a limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EstimateStatus {
    /// The highest rate that is admitted, per second.
    pub rate: Interval,
    /// The kind of limiter that explains the record best.
    pub kind: &'static str,
    /// The probability that it is of this kind.
    pub confidence: f64,
    /// Jitter of arrivals at the server, seconds.
    pub jitter_seconds: f64,
    /// What it rests on.
    pub source: EstimateSource,
    /// Epochs that it rests on.
    pub throttles: u32,
    /// When it was made, Unix seconds.
    pub at: f64,
}

/// What is known about a gate's limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitStatus {
    /// What is believed about it, unless it is unknown.
    pub estimate: Option<EstimateStatus>,
    /// Who shares it is taken to be this, such as `undecided` or `tenant+route`.
    pub scope: Option<String>,
    /// What quota hints declare, per second.
    pub declared_rate: Option<f64>,
    /// The estimate over what is declared, less 1.
    pub disagreement: Option<f64>,
    /// The rate at which requests were admitted lately, per second.
    pub admitted_rate: Option<f64>,
    /// 1 less that rate over the estimate.
    pub headroom: Option<f64>,
    /// Which changes of the limit would show in the traffic as it is.
    pub sight: ChangeSight,
    /// The latest change of the limit.
    pub last_change: Option<LimitChangeStatus>,
}

/// A change of a limit. An upper end that is not known is absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitChangeStatus {
    /// Which way.
    pub direction: LimitDirection,
    /// What was believed before, per second.
    pub from: OpenInterval,
    /// What is believed since, per second.
    pub to: OpenInterval,
    /// The probability that it was one.
    pub confidence: f64,
    /// When the first request went out that speaks for it, Unix seconds.
    pub since: f64,
    /// When it was told, Unix seconds.
    pub announced_at: f64,
}

/// A number with its interval, which may have no upper end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OpenInterval {
    /// The best single value.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: Option<f64>,
}

impl From<Interval> for OpenInterval {
    fn from(Interval { value, low, high }: Interval) -> Self {
        Self { value, low, high: Some(high).filter(|high| high.is_finite()) }
    }
}

impl LimitChangeStatus {
    /// The change, with times on the wall clock.
    #[must_use]
    pub fn of(change: &LimitChange, wall: WallOffset) -> Self {
        Self {
            direction: change.direction,
            from: change.from.into(),
            to: change.to.into(),
            confidence: change.confidence,
            since: wall.unix_seconds(change.since),
            announced_at: wall.unix_seconds(change.at),
        }
    }
}

impl LimitStatus {
    /// What is known, with times on the wall clock.
    #[must_use]
    pub fn of(known: &Knowledge, latest: Option<&LimitChange>, wall: WallOffset) -> Self {
        let estimate = known.estimate.as_ref();
        let limit = estimate.map(|estimate| estimate.rate.value);
        Self {
            estimate: estimate.map(|estimate| EstimateStatus::of(estimate, wall)),
            scope: None,
            declared_rate: known.declared,
            disagreement: limit.zip(known.declared).map(|(limit, declared)| limit / declared - 1.0),
            admitted_rate: known.admitted,
            headroom: limit.zip(known.admitted).map(|(limit, rate)| 1.0 - rate / limit),
            sight: known.sight,
            last_change: latest.map(|change| LimitChangeStatus::of(change, wall)),
        }
    }
}

impl EstimateStatus {
    /// The estimate, with times on the wall clock.
    #[must_use]
    pub fn of(estimate: &Estimate, wall: WallOffset) -> Self {
        Self {
            rate: estimate.rate,
            kind: estimate.limiter.as_str(),
            confidence: estimate.confidence,
            jitter_seconds: estimate.jitter.as_secs_f64(),
            source: estimate.source,
            throttles: estimate.throttles,
            at: wall.unix_seconds(estimate.at),
        }
    }
}

impl PaceStatus {
    /// The pace, with times on the wall clock.
    #[must_use]
    pub fn of(pace: &Pace, wall: WallOffset) -> Self {
        Self {
            state: pace.state,
            rate: pace.rate,
            ceiling: pace.ceiling,
            reason: pace.reason,
            changed_at: wall.unix_seconds(pace.changed_at),
            estimate: pace.estimate.as_ref().map(|estimate| EstimateStatus::of(estimate, wall)),
            hints_trusted: pace.hints_trusted,
            in_flight_max: pace.in_flight_max,
        }
    }
}

/// One credential.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CredentialStatus {
    /// Its name.
    pub name: String,
    /// Whether it can be sent with now.
    pub usable: bool,
    /// When its token expires, Unix seconds.
    pub expires_at: Option<f64>,
}
