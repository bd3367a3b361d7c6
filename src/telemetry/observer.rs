//! The send loop's end of telemetry: one call per event, made to cost next to nothing.
//!
//! The numbers are behind a mutex that only scrapes contend for. When one holds it, the event waits
//! in a short queue of the observer's own and is counted with the next one: the send loop never
//! waits for a scrape, and a scrape never sees half an event. Attempts that may become spans are
//! remembered by reference; lines and live events are made only when somebody reads them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, TryLockError};

use super::live::{LiveSink, Narrator};
use super::logs::narrate;
use super::metrics::book::Book;
use super::metrics::catalog as c;
use super::metrics::exemplars::{Exemplar, Exemplars};
use super::metrics::histogram::{LATENESS_BOUNDS, REQUEST_BOUNDS, bucket_of};
use super::metrics::shared::Shared;
use super::spans::{Keeper, Kept, Pipeline, Sampling};
use crate::model::{
    BreakerId, CredentialId, Event, GateId, IdHash, Knowledge, MessageId, Moment, Outcome, Pace,
    StreamId, StreamInfo, SubjectSafety, WallOffset,
};

/// Events that may wait for a scrape to let go of the numbers. A scrape copies for less than a
/// millisecond, so this is a bound and not a buffer in use.
const PENDING_MAX: usize = 8_192;
/// Streams that were removed and whose last attempts may still be named in spans and lines.
const RETIRED_MAX: usize = 1_024;

/// What the ids in events stand for.
#[derive(Default)]
pub(super) struct Names {
    pub(super) streams: HashMap<StreamId, Arc<StreamInfo>, IdHash>,
    pub(super) gates: HashMap<GateId, Arc<str>, IdHash>,
    pub(super) breakers: HashMap<BreakerId, Arc<str>, IdHash>,
    pub(super) credentials: HashMap<CredentialId, Arc<str>, IdHash>,
    /// What was told last of each pace.
    pub(super) paces: HashMap<GateId, Box<Pace>, IdHash>,
    /// What was told last of each limit.
    pub(super) known: HashMap<GateId, Box<Knowledge>, IdHash>,
    retired: VecDeque<StreamId>,
}

impl Names {
    fn learn(&mut self, event: &Event) {
        match event {
            Event::StreamAdded(info) => {
                self.streams.insert(info.id, Arc::clone(info));
            }
            Event::StreamRemoved(id) => {
                self.retired.push_back(*id);
                if self.retired.len() > RETIRED_MAX
                    && let Some(oldest) = self.retired.pop_front()
                {
                    self.streams.remove(&oldest);
                }
            }
            Event::GateAdded(id, key) => {
                self.gates.insert(*id, key.to_string().into());
            }
            Event::BreakerAdded(id, domain) => {
                self.breakers.insert(*id, Arc::clone(domain));
            }
            _ => {}
        }
    }

    /// After everybody has been told of the event: nothing will be said of a gate that is gone, and
    /// what is told of a pace next is in comparison to this.
    fn settle(&mut self, event: &Event) {
        match event {
            Event::GateRemoved(id) => {
                self.gates.remove(id);
                self.paces.remove(id);
                self.known.remove(id);
            }
            Event::Known(id, known) => {
                self.known.insert(*id, known.clone());
            }
            Event::BreakerRemoved(id) => {
                self.breakers.remove(id);
            }
            Event::Pace(id, pace) => {
                self.paces.insert(*id, pace.clone());
            }
            Event::PaceRemoved(id) => {
                self.paces.remove(id);
            }
            _ => {}
        }
    }

    pub(super) fn stream(&self, id: StreamId) -> &str {
        self.streams.get(&id).map_or("unknown", |info| &info.name)
    }

    pub(super) fn gate(&self, id: GateId) -> &str {
        self.gates.get(&id).map_or("unknown", |name| name)
    }

    pub(super) fn breaker(&self, id: BreakerId) -> &str {
        self.breakers.get(&id).map_or("unknown", |domain| domain)
    }

    pub(super) fn credential(&self, id: CredentialId) -> &str {
        self.credentials.get(&id).map_or("unknown", |name| name)
    }
}

/// A change of the numbers that waits.
enum Update {
    Event(Event),
    Heartbeat(Option<Moment>),
    ScheduledRate(StreamId, f64),
    Credentials(Vec<(CredentialId, Arc<str>)>),
    Envelope(Vec<SubjectSafety>),
}

impl Update {
    fn apply(&self, book: &mut Book, wall: WallOffset, now: Moment) {
        match self {
            Self::Event(event) => book.apply(wall, now, event),
            Self::Heartbeat(planned) => book.heartbeat(wall, now, *planned),
            Self::ScheduledRate(id, per_second) => book.scheduled_rate(*id, *per_second),
            Self::Credentials(all) => book.credentials(all),
            Self::Envelope(all) => book.numbers.safety.told(all),
        }
    }
}

/// What the send loop tells everything to.
pub struct Observer {
    shared: Arc<Shared>,
    keeper: Option<Keeper>,
    sampling: Sampling,
    names: Names,
    pending: Pending,
    live: Option<Narrator>,
}

impl Observer {
    pub(super) fn new(
        shared: Arc<Shared>,
        pipeline: Option<Arc<Pipeline>>,
        sampling: Sampling,
        throttled_spans_per_s: f64,
    ) -> Self {
        let keeper = pipeline.map(|p| Keeper::new(p, sampling, throttled_spans_per_s));
        let (names, pending) = (Names::default(), VecDeque::new());
        Self { shared, keeper, sampling, names, pending, live: None }
    }

    /// Tells live events to `sink` as well.
    pub fn set_live(&mut self, sink: Box<dyn LiveSink>) {
        self.live = Some(Narrator::new(sink));
    }

    /// Whether the spans of a message will be exported if nothing goes wrong with it: what the
    /// sampled flag of its `traceparent` says. A throttled or failed one is kept all the same.
    #[must_use]
    pub fn would_sample(&self, message: MessageId) -> bool {
        self.keeper.is_some() && self.sampling.would_sample(message)
    }

    /// One event. `now` is when it happened, `wall` what that is in wall-clock time.
    pub fn observe(&mut self, wall: WallOffset, now: Moment, event: &Event) {
        self.names.learn(event);
        let Self { shared, pending, .. } = self;
        match shared.try_book() {
            Some(mut book) => {
                settle(pending, &mut book);
                book.apply(wall, now, event);
            }
            None => postpone(shared, pending, (wall, now, Update::Event(event.clone()))),
        }
        if let Some(keeper) = &mut self.keeper {
            match event {
                Event::Ended(record) => {
                    let streams = &self.names.streams;
                    keeper.attempt_ended(record, || streams.get(&record.order.stream));
                }
                Event::MessageEnded(end) => {
                    if let Some(kept) = keeper.message_ended(wall, now, end) {
                        self.attach(wall, &kept);
                    }
                }
                Event::Gate(id, change) => {
                    if let Some(name) = self.names.gates.get(id) {
                        keeper.gate_changed(wall, now, *id, name, change);
                    }
                }
                Event::LimitMoved(id, change) => {
                    if let Some(name) = self.names.gates.get(id) {
                        keeper.limit_moved(wall, *id, name, change);
                    }
                }
                Event::Breaker(id, change) => {
                    if let Some(domain) = self.names.breakers.get(id) {
                        keeper.breaker_changed(wall, now, *id, domain, *change);
                    }
                }
                Event::GateRemoved(id) => {
                    if let Some(name) = self.names.gates.get(id) {
                        keeper.gate_removed(wall, now, *id, name);
                    }
                }
                Event::BreakerRemoved(id) => {
                    if let Some(domain) = self.names.breakers.get(id) {
                        keeper.breaker_removed(wall, now, *id, domain);
                    }
                }
                _ => {}
            }
        }
        narrate(&self.names, wall, event);
        if let Some(live) = &mut self.live {
            live.tell(&self.names, wall, now, event);
        }
        self.names.settle(event);
    }

    /// The send loop woke at `now`, having planned to wake at `planned` (`None` where something else
    /// woke it). Also counts what a scrape made wait, so call it at each wake-up.
    pub fn heartbeat(&mut self, wall: WallOffset, now: Moment, planned: Option<Moment>) {
        self.update(wall, now, Update::Heartbeat(planned));
    }

    /// The rate that a stream's schedule aims at now, in slots per second.
    pub fn scheduled_rate(&mut self, wall: WallOffset, now: Moment, id: StreamId, per_second: f64) {
        self.update(wall, now, Update::ScheduledRate(id, per_second));
    }

    /// How everybody stands with the safety envelope: once in a while, and when it has changed.
    pub fn envelope(&mut self, wall: WallOffset, now: Moment, all: Vec<SubjectSafety>) {
        self.update(wall, now, Update::Envelope(all));
    }

    /// Names all credentials there are: at the start and after each reload. Those that are missing
    /// lose their series.
    pub fn credentials(
        &mut self,
        wall: WallOffset,
        now: Moment,
        all: impl IntoIterator<Item = (CredentialId, Arc<str>)>,
    ) {
        let all: Vec<_> = all.into_iter().collect();
        self.names.credentials = all.iter().cloned().collect();
        self.update(wall, now, Update::Credentials(all));
    }

    /// The end: counts everything that waits, for a last scrape after the last event, and ends the
    /// spans of gates that are still closed. May wait for a scrape.
    pub fn finish(&mut self, wall: WallOffset, now: Moment) {
        settle(&mut self.pending, &mut self.shared.book());
        if let Some(keeper) = &mut self.keeper {
            keeper.end_epochs(wall, now, &self.names.gates, &self.names.breakers);
        }
    }

    fn update(&mut self, wall: WallOffset, now: Moment, update: Update) {
        let Self { shared, pending, .. } = self;
        match shared.try_book() {
            Some(mut book) => {
                settle(pending, &mut book);
                update.apply(&mut book, wall, now);
            }
            None => postpone(shared, pending, (wall, now, update)),
        }
    }

    /// Links the series that a kept message's attempts count in to their spans.
    fn attach(&self, wall: WallOffset, kept: &Kept) {
        let mut table = match self.shared.exemplars.try_lock() {
            Ok(table) => table,
            Err(TryLockError::Poisoned(e)) => e.into_inner(),
            // A scrape is reading them. Another span will do.
            Err(TryLockError::WouldBlock) => return,
        };
        attach(&mut table, wall, kept);
    }
}

/// Updates that wait for a scrape, in their order.
type Pending = VecDeque<(WallOffset, Moment, Update)>;

fn postpone(shared: &Shared, pending: &mut Pending, update: (WallOffset, Moment, Update)) {
    pending.push_back(update);
    if pending.len() >= PENDING_MAX {
        settle(pending, &mut shared.book());
    }
}

fn settle(pending: &mut Pending, book: &mut Book) {
    for (wall, now, update) in pending.drain(..) {
        update.apply(book, wall, now);
    }
}

fn attach(table: &mut Exemplars, wall: WallOffset, kept: &Kept) {
    let Kept { info, attempts } = kept;
    for record in attempts {
        let (order, answer) = (&record.order, &record.answer);
        let outcome = record.outcome();
        let at = |value| Exemplar {
            trace: order.message.0,
            span: order.span.0,
            value,
            unix_s: wall.unix_seconds(answer.done_at),
        };
        let lateness = answer.sent_at.since(order.due).as_secs_f64();
        let service = answer.done_at.since(answer.sent_at).as_secs_f64();
        let response = answer.done_at.since(order.due).as_secs_f64();
        let own = [&*info.target, outcome.as_str()];
        let bucket = bucket_of(LATENESS_BOUNDS, lateness);
        table.put(&c::LATENESS, &[&*info.target], bucket, at(lateness));
        table.put(&c::SERVICE, &own, bucket_of(REQUEST_BOUNDS, service), at(service));
        table.put(&c::RESPONSE, &own, bucket_of(REQUEST_BOUNDS, response), at(response));
        if outcome == Outcome::Throttled {
            table.put(&c::ATTEMPTS, &[&info.name, &info.target, outcome.as_str()], 0, at(1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Rate, SkipReason};
    use crate::telemetry::metrics::book::tests::stream;
    use crate::telemetry::{BuildInfo, Telemetry};

    #[test]
    fn a_scrape_in_progress_makes_events_wait_and_loses_none() {
        let build = BuildInfo { version: "1".into(), revision: "r".into(), rustc: "c".into() };
        let (telemetry, mut observer) = Telemetry::new(&build, 0.0).expect("a consistent catalog");
        let (wall, now) = (WallOffset::default(), Moment::ZERO);
        let info = stream(0, "s", "t", Rate::per_sec(1).expect("a rate"));
        let skipped = Event::Skipped { stream: StreamId(0), reason: SkipReason::Late, count: 1 };
        observer.observe(wall, now, &Event::StreamAdded(info));

        let copying = telemetry.shared.book();
        for _ in 0..3 {
            observer.observe(wall, now, &skipped);
        }
        observer.heartbeat(wall, now, None);
        let counted = |book: &Book| {
            let cell = book.numbers.streams[0].as_ref().expect("added");
            (cell.skipped[SkipReason::Late.index()], book.numbers.wakeups)
        };
        assert_eq!(counted(&copying), (0, 0), "a scrape sees one state throughout");
        assert_eq!(observer.pending.len(), 4);
        drop(copying);

        observer.observe(wall, now, &skipped);
        assert_eq!(counted(&telemetry.shared.book()), (4, 1));
        assert!(observer.pending.is_empty());
    }
}
