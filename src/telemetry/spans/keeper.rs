//! Decides, when a message has ended, whether its spans are kept, and remembers its attempts until
//! then.
//!
//! A message with a throttled or failed attempt is always kept, up to a rate; of the others, those
//! that the sampler chooses by trace id. A message that is delivered at once and not sampled is
//! never remembered at all, so it costs nothing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event as SpanEvent, Status};
use opentelemetry_sdk::trace::SpanData;

use super::build::{Builder, push_event, system_time};
use super::counts::SpanDrop;
use super::settings::Sampling;
use super::{Pipeline, mix_span_id};
use crate::model::{
    AttemptRecord, BreakerChange, BreakerId, GateChange, GateId, IdHash, LimitChange, MessageEnd,
    MessageId, Moment, Outcome, StreamInfo, WallOffset,
};

/// Messages whose attempts are remembered at once. A throttled second at a thousand messages per
/// second fits, and so does the queue of retries behind it.
const MESSAGES_MAX: usize = 4_096;
/// Attempts remembered of one message; later ones are still counted, but have no span.
const ATTEMPTS_MAX: usize = 32;
/// How many seconds' worth of the bound on throttled spans may come at once.
const BURST_S: f64 = 10.0;
/// Changes remembered of one gate epoch.
const GATE_EVENTS_MAX: usize = 64;

/// The attempts of a message that was kept, for exemplars.
pub(in crate::telemetry) struct Kept {
    pub(in crate::telemetry) info: Arc<StreamInfo>,
    pub(in crate::telemetry) attempts: Vec<Arc<AttemptRecord>>,
}

struct OpenMessage {
    info: Arc<StreamInfo>,
    attempts: Vec<Arc<AttemptRecord>>,
    notable: bool,
}

/// What holds traffic back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Gate(GateId),
    Breaker(BreakerId),
}

struct OpenEpoch {
    since: Moment,
    events: Vec<(Moment, &'static str, Vec<KeyValue>)>,
}

/// A bucket of tokens, one for each span that may be kept on account of a throttle or failure.
struct RateBound {
    per_s: f64,
    tokens: f64,
    at: Moment,
}

impl RateBound {
    fn take(&mut self, now: Moment, spans: u64) -> bool {
        let earned = now.since(self.at).as_secs_f64() * self.per_s;
        self.tokens = (self.tokens + earned).min(self.per_s * BURST_S);
        self.at = now;
        let wanted = spans as f64;
        let enough = self.tokens >= wanted;
        if enough {
            self.tokens -= wanted;
        }
        enough
    }
}

/// The decisions and the memory.
pub(in crate::telemetry) struct Keeper {
    pipeline: Arc<Pipeline>,
    sampling: Sampling,
    bound: RateBound,
    open: HashMap<MessageId, OpenMessage, IdHash>,
    epochs: HashMap<Holder, OpenEpoch>,
}

impl Keeper {
    pub(in crate::telemetry) fn new(
        pipeline: Arc<Pipeline>,
        sampling: Sampling,
        throttled_spans_per_s: f64,
    ) -> Self {
        let per_s = throttled_spans_per_s.max(0.0);
        let bound = RateBound { per_s, tokens: per_s * BURST_S, at: Moment::ZERO };
        let (open, epochs) = (HashMap::default(), HashMap::new());
        Self { pipeline, sampling, bound, open, epochs }
    }

    /// Remembers an attempt if its message may be kept. `info` is asked only then.
    pub(in crate::telemetry) fn attempt_ended<'a>(
        &mut self,
        record: &Arc<AttemptRecord>,
        info: impl FnOnce() -> Option<&'a Arc<StreamInfo>>,
    ) {
        let message = record.order.message;
        let notable = matches!(record.outcome(), Outcome::Throttled | Outcome::Failed);
        let first = record.order.resend == 0;
        if first && !notable && !self.sampling.would_sample(message) {
            return;
        }
        if let Some(open) = self.open.get_mut(&message) {
            open.notable |= notable;
            if open.attempts.len() < ATTEMPTS_MAX {
                open.attempts.push(Arc::clone(record));
            } else {
                self.pipeline.counts.drop_spans(SpanDrop::TableFull, 1);
            }
            return;
        }
        if !first && !notable && !self.sampling.would_sample(message) {
            // Its earlier attempts found no place; this one alone would tell nothing.
            return;
        }
        if self.open.len() >= MESSAGES_MAX {
            self.pipeline.counts.drop_spans(SpanDrop::TableFull, 1);
            return;
        }
        let Some(info) = info() else { return };
        let attempts = vec![Arc::clone(record)];
        self.open.insert(message, OpenMessage { info: Arc::clone(info), attempts, notable });
    }

    /// Decides about a message that ended. Its attempts are returned when its spans were queued.
    pub(in crate::telemetry) fn message_ended(
        &mut self,
        wall: WallOffset,
        now: Moment,
        end: &MessageEnd,
    ) -> Option<Kept> {
        if self.open.is_empty() {
            return None;
        }
        let OpenMessage { info, attempts, notable } = self.open.remove(&end.message)?;
        let count = attempts.len() as u64 + 1;
        let sampled = self.sampling.would_sample(end.message);
        debug_assert!(notable || sampled, "others are not remembered");
        if !sampled && !self.bound.take(now, count) {
            self.pipeline.counts.drop_spans(SpanDrop::RateBound, count);
            return None;
        }
        let spans = |builder: &Builder| {
            let sequence = attempts.first().map(|record| record.order.sequence);
            let mut spans = Vec::with_capacity(attempts.len() + 1);
            spans.push(builder.message(wall, &info, sequence, end));
            spans.extend(attempts.iter().map(|record| builder.attempt(wall, &info, record)));
            spans
        };
        self.pipeline.queue(count, spans).then_some(Kept { info, attempts })
    }

    /// Remembers the changes of a gate, and makes a span of its time of silence when it opens.
    pub(in crate::telemetry) fn gate_changed(
        &mut self,
        wall: WallOffset,
        now: Moment,
        gate: GateId,
        name: &Arc<str>,
        change: &GateChange,
    ) {
        let ends = matches!(change, GateChange::Opened { .. });
        let told = Told { begins: begins_silence(change), ends, event: described(change) };
        self.held_back((wall, now), Holder::Gate(gate), name, told);
    }

    /// The same for a circuit breaker.
    pub(in crate::telemetry) fn breaker_changed(
        &mut self,
        wall: WallOffset,
        now: Moment,
        breaker: BreakerId,
        domain: &Arc<str>,
        change: BreakerChange,
    ) {
        let (event, attributes) = match change {
            BreakerChange::Opened { failures, .. } => {
                ("opened", vec![KeyValue::new("plimsoll.breaker.failures", i64::from(failures))])
            }
            BreakerChange::HalfOpen => ("half_open", Vec::new()),
            BreakerChange::Closed { .. } => ("closed", Vec::new()),
        };
        let begins = matches!(change, BreakerChange::Opened { .. });
        let ends = matches!(change, BreakerChange::Closed { .. });
        let told = Told { begins, ends, event: (event, attributes) };
        self.held_back((wall, now), Holder::Breaker(breaker), domain, told);
    }

    /// A gate is gone with the last of its streams: if it held them back, that is over.
    pub(in crate::telemetry) fn gate_removed(
        &mut self,
        wall: WallOffset,
        now: Moment,
        gate: GateId,
        name: &Arc<str>,
    ) {
        self.end_epoch(wall, now, Holder::Gate(gate), name);
    }

    /// The same for a circuit breaker.
    pub(in crate::telemetry) fn breaker_removed(
        &mut self,
        wall: WallOffset,
        now: Moment,
        breaker: BreakerId,
        domain: &Arc<str>,
    ) {
        self.end_epoch(wall, now, Holder::Breaker(breaker), domain);
    }

    /// Makes a span of a change of a gate's limit: from the first request that speaks for it until it was
    /// told. What holds traffic back meanwhile names it, too.
    pub(in crate::telemetry) fn limit_moved(
        &mut self,
        wall: WallOffset,
        gate: GateId,
        name: &Arc<str>,
        change: &LimitChange,
    ) {
        let attributes = vec![
            KeyValue::new("plimsoll.gate", Arc::clone(name)),
            KeyValue::new("plimsoll.limit.direction", change.direction.as_str()),
            KeyValue::new("plimsoll.limit.from", change.from.value),
            KeyValue::new("plimsoll.limit.to", change.to.value),
            KeyValue::new("plimsoll.limit.confidence", change.confidence),
        ];
        if let Some(epoch) = self.epochs.get_mut(&Holder::Gate(gate))
            && epoch.events.len() < GATE_EVENTS_MAX
        {
            epoch.events.push((change.at, "limit_moved", attributes.clone()));
        }
        self.pipeline.queue(1, |builder| {
            let times = (system_time(wall, change.since), system_time(wall, change.at));
            let (trace, span) = ids(wall, change.since, u64::from(gate.0).rotate_left(32));
            let name = Cow::Borrowed("plimsoll.limit_change");
            let mut span = builder.span(trace, span, name, times);
            span.attributes = attributes;
            vec![span]
        });
    }

    fn held_back(&mut self, at: (WallOffset, Moment), holder: Holder, name: &Arc<str>, told: Told) {
        let (wall, now) = at;
        let epoch = match self.epochs.entry(holder) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) if told.begins => {
                place.insert(OpenEpoch { since: now, events: Vec::new() })
            }
            Entry::Vacant(_) => return,
        };
        if epoch.events.len() < GATE_EVENTS_MAX {
            epoch.events.push((now, told.event.0, told.event.1));
        }
        if told.ends {
            self.end_epoch(wall, now, holder, name);
        }
    }

    /// The process ends: so do the spans of what still holds traffic back.
    pub(in crate::telemetry) fn end_epochs(
        &mut self,
        wall: WallOffset,
        now: Moment,
        gates: &HashMap<GateId, Arc<str>, IdHash>,
        breakers: &HashMap<BreakerId, Arc<str>, IdHash>,
    ) {
        for holder in self.epochs.keys().copied().collect::<Vec<_>>() {
            let name = match holder {
                Holder::Gate(id) => gates.get(&id),
                Holder::Breaker(id) => breakers.get(&id),
            };
            if let Some(name) = name {
                self.end_epoch(wall, now, holder, name);
            }
        }
    }

    fn end_epoch(&mut self, wall: WallOffset, now: Moment, holder: Holder, name: &Arc<str>) {
        if let Some(epoch) = self.epochs.remove(&holder) {
            self.pipeline.queue(1, |b| vec![epoch_span(b, wall, now, holder, name, epoch)]);
        }
    }
}

/// A change of what holds traffic back, as its span tells it.
struct Told {
    begins: bool,
    ends: bool,
    event: (&'static str, Vec<KeyValue>),
}

fn epoch_span(
    builder: &Builder,
    wall: WallOffset,
    now: Moment,
    holder: Holder,
    name: &Arc<str>,
    epoch: OpenEpoch,
) -> SpanData {
    let (number, span, keys) = match holder {
        Holder::Gate(id) => {
            (u64::from(id.0), "plimsoll.gate", ["plimsoll.gate", "plimsoll.gate.held_s"])
        }
        Holder::Breaker(id) => (
            !u64::from(id.0),
            "plimsoll.breaker",
            ["plimsoll.breaker.domain", "plimsoll.breaker.held_s"],
        ),
    };
    let (trace, id) = ids(wall, epoch.since, number);
    let times = (system_time(wall, epoch.since), system_time(wall, now));
    let mut span = builder.span(trace, id, Cow::Borrowed(span), times);
    span.attributes = vec![
        KeyValue::new(keys[0], Arc::clone(name)),
        KeyValue::new(keys[1], now.since(epoch.since).as_secs_f64()),
    ];
    span.status = Status::error("held back");
    for (at, event, attributes) in epoch.events {
        push_event(&mut span, SpanEvent::new(event, system_time(wall, at), attributes, 0));
    }
    span
}

/// The ids of a trace and of its only span. There is no message to take them from: they are derived from whom
/// it is about, since when.
fn ids(wall: WallOffset, since: Moment, number: u64) -> (u128, u64) {
    let high = mix_span_id(wall.unix_nanos(since).cast_unsigned());
    let low = mix_span_id(high ^ number);
    ((u128::from(high) << 64) | u128::from(low), mix_span_id(low))
}

const fn begins_silence(change: &GateChange) -> bool {
    matches!(change, GateChange::Closed { .. } | GateChange::Remembered { .. })
}

fn described(change: &GateChange) -> (&'static str, Vec<KeyValue>) {
    match *change {
        GateChange::Closed { level, long, advice, .. } => {
            let mut attributes = vec![
                KeyValue::new("plimsoll.gate.level", i64::from(level)),
                KeyValue::new("plimsoll.gate.long", long),
            ];
            let wait =
                advice.wait().map(|d| KeyValue::new("plimsoll.advice.wait_s", d.as_secs_f64()));
            attributes.extend(wait);
            ("closed", attributes)
        }
        GateChange::Remembered { level, long, .. } => {
            let level = KeyValue::new("plimsoll.gate.level", i64::from(level));
            ("remembered", vec![level, KeyValue::new("plimsoll.gate.long", long)])
        }
        GateChange::Extended { long, .. } => {
            ("extended", vec![KeyValue::new("plimsoll.gate.long", long)])
        }
        GateChange::HalfOpen => ("half_open", Vec::new()),
        GateChange::Opened { .. } => ("opened", Vec::new()),
        GateChange::OpenedByOperator => ("opened_by_operator", Vec::new()),
        GateChange::Violated => ("violated", Vec::new()),
        GateChange::Peeked => ("peeked", Vec::new()),
    }
}
