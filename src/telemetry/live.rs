//! Events for people who watch: small JSON texts, made only while somebody does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::observer::Names;
use crate::model::{
    Advice, AttemptRecord, BreakerChange, BreakerId, Event, GateChange, GateId, Knowledge,
    LimitChange, LimitChangeStatus, LimitStatus, Moment, Pace, PaceReason, PaceState, PaceStatus,
    QuotaHint, SafetyChange, TokenEvent, WallOffset, subject_name,
};

/// At most this often is a hint told: every response may carry some.
const HINT_PERIOD: Duration = Duration::from_millis(250);

/// Where live events go. Called on the send loop's thread, so neither call may block.
pub trait LiveSink: Send {
    /// Whether anybody is there to read them.
    fn wanted(&self) -> bool;
    /// Hands one over: its kind, such as `gate`, and its data as one line of JSON.
    fn publish(&self, kind: &'static str, json: String);
    /// The same for what stays worth knowing. Called whether or not anybody reads.
    fn publish_lasting(&self, kind: &'static str, json: String);
}

/// Makes live events out of the engine's.
pub(super) struct Narrator {
    sink: Box<dyn LiveSink>,
    hinted_at: Option<Moment>,
    /// What was last told of each pace: while the rate climbs, it changes four times a second.
    paces: BTreeMap<GateId, (PaceState, PaceReason)>,
}

impl Narrator {
    pub(super) fn new(sink: Box<dyn LiveSink>) -> Self {
        Self { sink, hinted_at: None, paces: BTreeMap::new() }
    }

    pub(super) fn tell(&mut self, names: &Names, wall: WallOffset, now: Moment, event: &Event) {
        let lasting = self.lasts(event);
        let (kind, mut data) = match event {
            Event::Ended(record) => {
                let recent = self.hinted_at.is_some_and(|at| now.since(at) < HINT_PERIOD);
                if record.answer.hints.is_empty() || recent || !self.sink.wanted() {
                    return;
                }
                self.hinted_at = Some(now);
                ("hint", hints(names, record))
            }
            Event::Sent(_)
            | Event::Skipped { .. }
            | Event::MessageEnded(_)
            | Event::RetryQueued { .. } => return,
            _ if !lasting && !self.sink.wanted() => return,
            Event::Gate(id, change) => ("gate", gate(names, wall, *id, change)),
            Event::Known(id, known) => ("limit", knowledge(names, wall, *id, known)),
            Event::LimitMoved(id, change) => ("limit", moved(names, wall, *id, change)),
            Event::Breaker(id, change) => ("breaker", breaker(names, wall, *id, *change)),
            Event::Safety(change) => ("safety", safety(wall, change)),
            Event::BreakerAdded(id, _) => {
                ("breaker", json!({"domain": names.breaker(*id), "change": "added"}))
            }
            Event::BreakerRemoved(id) => {
                ("breaker", json!({"domain": names.breaker(*id), "change": "removed"}))
            }
            Event::GateAdded(id, _) => {
                ("gate", json!({"gate": names.gate(*id), "change": "added"}))
            }
            Event::GateRemoved(id) => {
                ("gate", json!({"gate": names.gate(*id), "change": "removed"}))
            }
            Event::StreamAdded(info) => (
                "stream",
                json!({"stream": &*info.name, "change": "added", "rate": info.rate.per_second()}),
            ),
            Event::StreamRateChanged(id, rate) => (
                "stream",
                json!({"stream": names.stream(*id), "change": "rate", "rate": rate.per_second()}),
            ),
            Event::StreamRemoved(id) => {
                ("stream", json!({"stream": names.stream(*id), "change": "removed"}))
            }
            Event::Token(id, change) => ("token", token(wall, names.credential(*id), *change)),
            Event::Pace(id, pace) => ("pace", told(names, wall, *id, pace)),
            Event::PaceRemoved(id) => {
                ("pace", json!({"gate": names.gate(*id), "change": "removed"}))
            }
            Event::DrainStarted => ("drain", json!({})),
        };
        data["at"] = json!(wall.unix_seconds(now));
        if lasting {
            self.sink.publish_lasting(kind, data.to_string());
        } else {
            self.sink.publish(kind, data.to_string());
        }
    }

    /// Whether somebody who looks an hour later would want to know.
    fn lasts(&mut self, event: &Event) -> bool {
        match event {
            Event::Pace(id, pace) => {
                let now = (pace.state, pace.reason);
                self.paces.insert(*id, now) != Some(now)
            }
            Event::PaceRemoved(id) => self.paces.remove(id).is_some(),
            Event::Gate(_, GateChange::Extended { .. }) => false,
            Event::Token(_, TokenEvent::Fetching) => false,
            Event::Ended(_) | Event::Known(..) => false,
            _ => true,
        }
    }
}

fn gate(names: &Names, wall: WallOffset, id: GateId, change: &GateChange) -> Value {
    let gate = names.gate(id);
    match *change {
        GateChange::Closed { until, advice, level, long, cause } => json!({
            "gate": gate,
            "change": "closed",
            "until": wall.unix_seconds(until),
            "advice_seconds": advice_seconds(advice),
            "level": level,
            "long": long,
            "cause": names.stream(cause),
        }),
        GateChange::Remembered { until, level, long } => json!({
            "gate": gate,
            "change": "remembered",
            "until": wall.unix_seconds(until),
            "level": level,
            "long": long,
        }),
        GateChange::Extended { until, long } => json!({
            "gate": gate, "change": "extended", "until": wall.unix_seconds(until), "long": long,
        }),
        GateChange::HalfOpen => json!({"gate": gate, "change": "half_open"}),
        GateChange::Opened { held } => {
            json!({"gate": gate, "change": "opened", "held_seconds": held.as_secs_f64()})
        }
        GateChange::OpenedByOperator => json!({"gate": gate, "change": "opened_by_operator"}),
        GateChange::Violated => json!({"gate": gate, "change": "violated"}),
        GateChange::Peeked => json!({"gate": gate, "change": "peeked"}),
    }
}

fn breaker(names: &Names, wall: WallOffset, id: BreakerId, change: BreakerChange) -> Value {
    let domain = names.breaker(id);
    match change {
        BreakerChange::Opened { until, failures } => json!({
            "domain": domain,
            "change": "opened",
            "until": wall.unix_seconds(until),
            "failures": failures,
        }),
        BreakerChange::HalfOpen => json!({"domain": domain, "change": "half_open"}),
        BreakerChange::Closed { held } => {
            json!({"domain": domain, "change": "closed", "held_seconds": held.as_secs_f64()})
        }
    }
}

fn safety(wall: WallOffset, change: &SafetyChange) -> Value {
    match change {
        SafetyChange::Paused { subject, by } => {
            json!({"stream": subject_name(subject), "change": "paused", "by": by})
        }
        SafetyChange::Resumed { subject, by } => {
            json!({"stream": subject_name(subject), "change": "resumed", "by": by})
        }
        SafetyChange::CapReached { subject, window, cap, room_at } => json!({
            "stream": subject_name(subject),
            "change": "cap_reached",
            "window": window,
            "limit": cap,
            "room_at": room_at.map(|at| wall.unix_seconds(at)),
        }),
        SafetyChange::CapFreed { subject, window } => {
            json!({"stream": subject_name(subject), "change": "cap_freed", "window": window})
        }
        SafetyChange::Hours { stream, active } => {
            json!({"stream": &**stream, "change": "hours", "active": active})
        }
    }
}

fn moved(names: &Names, wall: WallOffset, id: GateId, change: &LimitChange) -> Value {
    let mut data = json!(LimitChangeStatus::of(change, wall));
    data["gate"] = json!(names.gate(id));
    data["change"] = json!(change.direction);
    data
}

fn knowledge(names: &Names, wall: WallOffset, id: GateId, known: &Knowledge) -> Value {
    let mut data = json!(LimitStatus::of(known, None, wall));
    data["gate"] = json!(names.gate(id));
    data["change"] = json!("known");
    data
}

fn told(names: &Names, wall: WallOffset, id: GateId, pace: &Pace) -> Value {
    let mut data = json!(PaceStatus::of(pace, wall));
    data["gate"] = json!(names.gate(id));
    data["change"] = json!("changed");
    data
}

fn advice_seconds(advice: Advice) -> Option<f64> {
    advice.wait().map(|d| d.as_secs_f64())
}

fn hints(names: &Names, record: &AttemptRecord) -> Value {
    let hint = |h: &QuotaHint| {
        json!({
            "dialect": h.dialect.as_str(),
            "policy": h.policy,
            "limit": h.limit,
            "remaining": h.remaining,
            "reset_seconds": h.reset.map(|d| d.as_secs_f64()),
        })
    };
    let all: Vec<_> = record.answer.hints.iter().map(hint).collect();
    json!({"stream": names.stream(record.order.stream), "hints": all})
}

fn token(wall: WallOffset, credential: &str, event: TokenEvent) -> Value {
    match event {
        TokenEvent::Fetching => json!({"credential": credential, "change": "fetching"}),
        TokenEvent::Granted { expires_at } => json!({
            "credential": credential,
            "change": "granted",
            "expires_at": expires_at.map(|at| wall.unix_seconds(at)),
        }),
        TokenEvent::Unavailable { throttled, retry_at } => json!({
            "credential": credential,
            "change": "unavailable",
            "throttled": throttled,
            "retry_at": wall.unix_seconds(retry_at),
        }),
        TokenEvent::Revoked => json!({"credential": credential, "change": "revoked"}),
    }
}
