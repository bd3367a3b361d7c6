//! Events as the engine would tell them, and a reader of the text format.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::model::{
    Advice, AdviceSource, Answer, AttemptId, AttemptRecord, ChangeSight, CredentialId, Dialect,
    EndpointId, Estimate, EstimateSource, Event, Failure, FailureKind, GateChange, GateId,
    Identity, Interval, Kind, Knowledge, LimitChange, LimitDirection, MessageEnd, MessageId,
    MessageResult, Moment, Objectives, Pace, PaceReason, PaceState, QuotaHint, Rate, ScopeKey,
    SendOrder, SpanId, StreamId, StreamInfo, Verdict, WallOffset,
};
use plimsoll::telemetry::{BuildInfo, Observer, Telemetry};

pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

pub(crate) fn build() -> BuildInfo {
    BuildInfo { version: "1.2.3".into(), revision: "abc".into(), rustc: "1.95.0".into() }
}

pub(crate) fn at(ms: u64) -> Moment {
    Moment::ZERO + Duration::from_millis(ms)
}

/// Moment zero is this many seconds after the epoch.
pub(crate) const EPOCH_S: i64 = 1_700_000_000;

pub(crate) fn wall() -> WallOffset {
    WallOffset::observed(EPOCH_S * 1_000_000_000, Moment::ZERO)
}

pub(crate) fn stream(id: u32, name: &str, target: &str) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        id: StreamId(id),
        name: name.into(),
        target: target.into(),
        credential: "cred".into(),
        domain: "api.example.com".into(),
        identity: Identity::default(),
        method: "POST".into(),
        path_template: "/messages/{id}".into(),
        server_address: "api.example.com".into(),
        server_port: 8443,
        rate: Rate::per_sec(80).expect("a rate"),
    })
}

pub(crate) fn order(stream: u32, message: u128, resend: u32, due: Moment) -> SendOrder {
    SendOrder {
        attempt: AttemptId(0),
        stream: StreamId(stream),
        endpoint: EndpointId(0),
        credential: CredentialId(0),
        token_generation: 0,
        message: MessageId(message),
        sequence: 7,
        resend,
        span: SpanId((message as u64).wrapping_mul(31) + u64::from(resend) + 1),
        due,
        first_due: due,
        ordered_at: due,
        resume: false,
    }
}

pub(crate) fn answer(verdict: Verdict, due: Moment) -> Answer {
    let sent_at = due + Duration::from_micros(120);
    let mut answer = Answer::bare(verdict, sent_at, sent_at + Duration::from_millis(30));
    match verdict {
        Verdict::Accepted => answer.status = Some(202),
        Verdict::Throttled => {
            answer.status = Some(429);
            let wait = Duration::from_secs(30);
            answer.advice = Advice::Wait(wait, AdviceSource::RetryAfterSeconds);
        }
        Verdict::Unauthorized => answer.status = Some(401),
        Verdict::Rejected => answer.status = Some(422),
        Verdict::Failed(_) => {}
    }
    answer
}

pub(crate) const TIMEOUT: Verdict =
    Verdict::Failed(Failure { kind: FailureKind::Timeout, may_have_arrived: true });

pub(crate) fn hint(dialect: Dialect, remaining: u64) -> QuotaHint {
    QuotaHint {
        dialect,
        policy: None,
        limit: Some(100),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(5)),
        window: Some(Duration::from_secs(1)),
    }
}

pub(crate) fn ended(order: SendOrder, answer: Answer) -> Event {
    Event::Ended(Arc::new(AttemptRecord { order, answer }))
}

pub(crate) fn message_ended(order: &SendOrder, result: MessageResult, now: Moment) -> Event {
    Event::MessageEnded(MessageEnd {
        stream: order.stream,
        message: order.message,
        result,
        first_due: order.first_due,
        at: now,
        attempts: order.resend + 1,
    })
}

/// A message of one attempt, from its slot to its end.
pub(crate) fn single(stream: u32, message: u128, verdict: Verdict, due: Moment) -> [Event; 3] {
    let order = order(stream, message, 0, due);
    let answer = answer(verdict, due);
    let result = match verdict {
        Verdict::Accepted => MessageResult::Delivered,
        Verdict::Rejected | Verdict::Unauthorized => MessageResult::Rejected,
        _ => MessageResult::AttemptsExhausted,
    };
    let done = answer.done_at;
    [Event::Sent(order), ended(order, answer), message_ended(&order, result, done)]
}

pub(crate) fn gate_added(id: u32, domain: &str) -> Event {
    let key = ScopeKey { domain: domain.into(), values: Vec::new() };
    Event::GateAdded(GateId(id), Arc::new(key))
}

/// A pace that is held under a known limit.
pub(crate) fn pace(limit: f64) -> Pace {
    Pace {
        state: PaceState::Holding,
        rate: limit * 0.99,
        ceiling: 200.0,
        reason: PaceReason::Estimated,
        changed_at: at(0),
        estimate: Some(Estimate {
            cautious: 79.0,
            rate: Interval { value: limit, low: limit - 1.0, high: limit + 1.0 },
            limiter: Kind::SlidingLog { limit: 100, window: Duration::from_secs(1) },
            confidence: 0.9,
            jitter: Duration::from_millis(1),
            source: EstimateSource::Throttles,
            throttles: 2,
            at: at(1_000),
        }),
        hints_trusted: Some(true),
        in_flight_max: Some(7),
    }
}

pub(crate) fn paced(gate: u32, limit: f64) -> Event {
    Event::Pace(GateId(gate), Box::new(pace(limit)))
}

/// What is known of a limit of which hints say as much.
pub(crate) fn known(gate: u32, limit: f64) -> Event {
    let sight = ChangeSight::Falls;
    let estimate = pace(limit).estimate;
    let known = Knowledge { estimate, declared: Some(100.0), admitted: Some(80.0), sight };
    Event::Known(GateId(gate), Box::new(known))
}

/// A limit that fell, ten seconds ago.
pub(crate) fn moved(gate: u32, from: f64, to: f64) -> Event {
    let exact = |value| Interval { value, low: value - 1.0, high: value + 1.0 };
    let change = LimitChange {
        direction: LimitDirection::Fell,
        from: exact(from),
        to: exact(to),
        confidence: 0.98,
        since: at(2_000),
        at: at(12_000),
    };
    Event::LimitMoved(GateId(gate), change)
}

pub(crate) fn closed(until: Moment, level: u32, long: bool) -> GateChange {
    let advice = Advice::Wait(Duration::from_secs(30), AdviceSource::RetryAfterSeconds);
    GateChange::Closed { until, advice, level, long, cause: StreamId(0) }
}

pub(crate) fn feed(observer: &mut Observer, now: Moment, events: &[Event]) {
    for event in events {
        observer.observe(wall(), now, event);
    }
}

/// Thresholds, all different.
pub(crate) fn objectives() -> Objectives {
    Objectives {
        throttled_ratio: 0.01,
        goodput_ratio: 0.9,
        limit_fall_ratio: 0.15,
        growth_ratio: 2.0,
        latency: Duration::from_millis(250),
        held_ratio: 0.1,
        skipped_ratio: 0.02,
        spans_lost_ratio: 0.03,
        token_validity: Duration::from_secs(600),
        heartbeat: Duration::from_secs(10),
    }
}

/// Telemetry without traces.
pub(crate) fn plain() -> (Telemetry, Observer) {
    Telemetry::new(&build(), EPOCH_S as f64).expect("a consistent catalog")
}

/// Every sample of a text exposition, by its name and labels as written.
pub(crate) fn samples(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("series and value");
            (series.to_owned(), value.parse().expect(value))
        })
        .collect()
}

pub(crate) fn scrape(telemetry: &Telemetry) -> BTreeMap<String, f64> {
    samples(&telemetry.render(None).body)
}

/// The value of a sample that must be there.
pub(crate) fn value(samples: &BTreeMap<String, f64>, series: &str) -> f64 {
    *samples.get(series).unwrap_or_else(|| panic!("no {series}"))
}
