//! The engine's snapshot for people and programs.

use super::Engine;
use super::gates::GateEntry;
use super::safety::ALL;
use super::stream::Stream;
use crate::model::{
    CredentialStatus, GateState, GateStatus, HintStatus, LimitStatus, Moment, NamedLimit, Outcome,
    PaceStatus, QuotaHint, SkipReason, Status, StreamId, StreamStatus, WallOffset,
};

impl Engine {
    /// The engine at `now`. O(streams): for a person's request, not for the hot path.
    #[must_use]
    pub fn status(&self, now: Moment, wall: WallOffset) -> Status {
        Status {
            at: wall.unix_seconds(now),
            uptime_seconds: now.as_secs_f64(),
            state: self.run,
            in_flight: self.flights.len() as u64,
            paused: self.is_paused(),
            caps: self.cap_status(ALL, now, wall),
            streams: self
                .streams
                .iter()
                .map(|stream| self.stream_status(stream, now, wall))
                .collect(),
            gates: self.gates.iter().map(|e| gate_status(e, now, wall)).collect(),
            breakers: self.breaker_status(wall),
            credentials: self.credentials_status(now, wall),
        }
    }

    /// The rate that each stream's schedule aims at, per second, the ramp included; of an adaptive
    /// stream, its share.
    pub fn scheduled_rates(&self, now: Moment) -> impl Iterator<Item = (StreamId, f64)> {
        let active = self.streams.iter().filter(|stream| !stream.retired);
        active.map(move |stream| (stream.info.id, self.scheduled_rate(stream, now)))
    }

    fn scheduled_rate(&self, stream: &Stream, now: Moment) -> f64 {
        let pace = self.gates.get(stream.gate).and_then(|entry| entry.pace.as_ref());
        match pace.filter(|_| stream.is_paced()) {
            Some(pace) => pace.turns.share(stream.info.id),
            None => stream.schedule.rate_at(now),
        }
    }

    fn credentials_status(&self, now: Moment, wall: WallOffset) -> Vec<CredentialStatus> {
        let one = |(name, usable, expires_at): (std::sync::Arc<str>, bool, Option<Moment>)| {
            let expires_at = expires_at.map(|at| wall.unix_seconds(at));
            CredentialStatus { name: name.to_string(), usable, expires_at }
        };
        self.tokens.overview(now).into_iter().map(one).collect()
    }

    fn stream_status(&self, stream: &Stream, now: Moment, wall: WallOffset) -> StreamStatus {
        let counts = &stream.counts;
        let hints = stream.last_hinted.iter().flat_map(|r| r.answer.hints.iter().map(hint_status));
        StreamStatus {
            name: stream.info.name.to_string(),
            target: stream.info.target.to_string(),
            credential: stream.info.credential.to_string(),
            gate: self.gates.get(stream.gate).map(|e| e.name.to_string()).unwrap_or_default(),
            scope: stream.plan.scope.to_string(),
            mode: stream.plan.mode.as_str(),
            weight: stream.plan.weight,
            configured_rate: stream.plan.schedule.rate.per_second(),
            scheduled_rate: self.scheduled_rate(stream, now),
            paused: self.safety.get(stream.account).paused,
            active: self.is_active(stream, now),
            active_at: self.active_at(stream, now, wall),
            caps: self.cap_status(stream.account, now, wall),
            scheduled: counts.scheduled(),
            sent: counts.sent,
            skipped: SkipReason::ALL
                .iter()
                .map(|r| (r.as_str(), counts.skipped[r.index()]))
                .collect(),
            outcomes: Outcome::ALL
                .iter()
                .map(|o| (o.as_str(), counts.outcomes[o.index()]))
                .collect(),
            in_flight: u64::from(counts.in_flight),
            retries_waiting: stream.waiting.len() as u64,
            hints: hints.collect(),
            named_limit: stream.last_named.as_ref().map(named_limit),
        }
    }
}

fn gate_status(entry: &GateEntry, now: Moment, wall: WallOffset) -> GateStatus {
    let gate = &entry.gate;
    let open = gate.state() == GateState::Open;
    let mut known = entry.learning.knowledge(now);
    if let Some(pace) = &entry.pace {
        known.estimate = pace.adaptive.pace().estimate;
    }
    let mut limit = LimitStatus::of(&known, entry.learning.moved.as_ref(), wall);
    limit.scope = Some(entry.key.factors());
    GateStatus {
        name: entry.name.to_string(),
        state: gate.state(),
        until: (!open).then(|| wall.unix_seconds(gate.until())),
        long: gate.is_long(),
        level: gate.level(),
        epochs: entry.epochs,
        held_seconds: (entry.held + gate.held_since(now)).as_secs_f64(),
        limit,
        pace: entry.pace.as_ref().map(|pace| PaceStatus::of(&pace.adaptive.pace(), wall)),
    }
}

fn hint_status(hint: &QuotaHint) -> HintStatus {
    HintStatus {
        dialect: hint.dialect.as_str(),
        policy: hint.policy.as_deref().map(str::to_owned),
        limit: hint.limit,
        remaining: hint.remaining,
        reset_seconds: hint.reset.map(|d| d.as_secs_f64()),
        window_seconds: hint.window.map(|d| d.as_secs_f64()),
    }
}

fn named_limit(named: &NamedLimit) -> String {
    let namespace = named.namespace.as_deref().map(|n| format!("{n}/")).unwrap_or_default();
    let value = named.value.as_deref().map(|v| format!("={v}")).unwrap_or_default();
    format!("{namespace}{}{value}", named.key)
}
