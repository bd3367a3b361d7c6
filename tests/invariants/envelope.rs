//! The safety envelope in the seeded worlds: what is drawn, and what it is held to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::{Plan, SafetyPlan};
use plimsoll::model::{
    AttemptId, BreakerChange, BreakerId, CapWindow, Event, Memory, Moment, SafetyChange, SendOrder,
    StreamInfo, Subject, WallOffset,
};
use plimsoll::policy::{BackoffSettings, BreakerSettings, CapSettings, Jitter};
use plimsoll::schedule::Timetable;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::checker::{Check, ensure};
use crate::scenario::at;

/// What happens to the envelope in a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// When an operator pauses or resumes whom.
    pub(crate) pauses: Vec<(Moment, Subject, bool)>,
    /// The wall clock, and when it is stepped to what.
    pub(crate) wall: WallOffset,
    pub(crate) steps: Vec<(Moment, WallOffset)>,
    /// When a reload is taken back, and made again, in turns.
    pub(crate) to_and_fro: Vec<Moment>,
    /// How long the state file takes, and how often it cannot be written.
    pub(crate) write_time: Duration,
    pub(crate) write_trouble: f64,
}

const UNIX_NS: i64 = 1_700_000_000_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;

/// Gives half of the worlds an envelope.
pub(crate) fn draw(seed: u64, plan: &mut Plan, reload: Option<&mut Plan>, length: f64) -> Script {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5afe);
    let rng = &mut rng;
    if rng.random_bool(0.5) {
        return Script::default();
    }
    let recorded = rng.random_bool(0.5);
    // Minutes of a world, within any hour of the week.
    let unix_ns = UNIX_NS + rng.random_range(0..7 * 24 * 60) * (HOUR_NS / 60);
    for plan in std::iter::once(&mut *plan).chain(reload) {
        plan.safety = SafetyPlan { recorded, ..safety(rng) };
        for stream in &mut plan.streams {
            stream.safety.paused = rng.random_bool(0.05);
            stream.safety.caps = some_caps(rng, 0.3);
            stream.safety.hours = rng.random_bool(0.2).then(|| hours(rng, unix_ns));
        }
    }
    let names: Vec<_> = plan.streams.iter().map(|stream| Arc::clone(&stream.name)).collect();
    let mut pauses: Vec<_> = (0..rng.random_range(0..6))
        .map(|_| {
            let subject = rng.random_bool(0.6).then(|| names.choose(rng).cloned()).flatten();
            (at(rng.random_range(0.0..length)), subject, rng.random_bool(0.5))
        })
        .collect();
    pauses.sort();
    let step = |rng: &mut StdRng| {
        let to = unix_ns + rng.random_range(-1..=1) * HOUR_NS;
        (at(rng.random_range(0.0..length)), WallOffset::observed(to, Moment::ZERO))
    };
    let mut steps: Vec<_> = (0..rng.random_range(0..3)).map(|_| step(rng)).collect();
    steps.sort_by_key(|(at, _)| *at);
    Script {
        pauses,
        wall: WallOffset::observed(unix_ns, Moment::ZERO),
        steps,
        to_and_fro: Vec::new(),
        write_time: Duration::from_millis(*[1, 30, 1_500].choose(rng).expect("not empty")),
        write_trouble: if rng.random_bool(0.3) { 0.5 } else { 0.0 },
    }
}

fn safety(rng: &mut StdRng) -> SafetyPlan {
    let base = Duration::from_millis(rng.random_range(100..3_000));
    SafetyPlan {
        paused: rng.random_bool(0.05),
        caps: some_caps(rng, 0.2),
        recorded: false,
        breaker: BreakerSettings {
            failures: *[0, 1, 3, 20].choose(rng).expect("not empty"),
            pause: BackoffSettings { base, cap: base * 8, jitter: Jitter::Equal },
        },
    }
}

fn some_caps(rng: &mut StdRng, share: f64) -> CapSettings {
    let mut cap = || rng.random_bool(share).then(|| rng.random_range(1..5_000));
    CapSettings { per_hour: cap(), per_day: cap(), in_all: cap() }
}

/// Hours that begin or end within some minutes of now.
fn hours(rng: &mut StdRng, unix_ns: i64) -> Arc<Timetable> {
    let minute = (unix_ns / (HOUR_NS / 60)) % (24 * 60);
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let edge = (minute + rng.random_range(0..2)) % (24 * 60);
    let length = rng.random_range(1..24 * 60);
    let (from, to) = if rng.random_bool(0.5) {
        (edge, (edge + length) % (24 * 60))
    } else {
        ((edge + 24 * 60 - length) % (24 * 60), edge)
    };
    let hours = format!("daily {}-{}", clock(from), clock(to)).parse().expect("hours");
    Arc::new(Timetable::new(vec![hours], "UTC").expect("a zone"))
}

/// What one subject was allowed, over the plans that a run has.
type Allowed = BTreeMap<Subject, CapSettings>;

#[derive(Debug, Default)]
struct Breaker {
    until: Option<Moment>,
    trial: Option<AttemptId>,
}

/// Holds a run to its envelope.
pub(crate) struct Guard {
    allowed: Allowed,
    hours: BTreeMap<Arc<str>, Vec<Option<Arc<Timetable>>>>,
    failures: u32,
    messages: BTreeMap<Subject, Vec<Moment>>,
    paused: BTreeMap<Subject, bool>,
    breakers: BTreeMap<BreakerId, (Arc<str>, Breaker)>,
}

impl Guard {
    pub(crate) fn new<'a>(plans: impl Iterator<Item = &'a Plan> + Clone) -> Self {
        let mut allowed = Allowed::new();
        let mut hours: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let named =
            |plan: &'a Plan| plan.streams.iter().map(|s| (Some(s.name.clone()), s.safety.caps));
        for plan in plans.clone() {
            for (subject, caps) in named(plan).chain([(None, plan.safety.caps)]) {
                let known = allowed.entry(subject).or_insert(caps);
                *known = wider(known, &caps);
            }
            for stream in &plan.streams {
                hours.entry(stream.name.clone()).or_default().push(stream.safety.hours.clone());
            }
        }
        let failures = plans.map(|plan| plan.safety.breaker.failures).min().unwrap_or_default();
        let (messages, paused, breakers) = Default::default();
        Self { allowed, hours, failures, messages, paused, breakers }
    }

    pub(crate) fn sent(
        &mut self,
        now: Moment,
        order: &SendOrder,
        info: &StreamInfo,
        wall: WallOffset,
    ) -> Check {
        let own = Some(Arc::clone(&info.name));
        for subject in [&None, &own] {
            let paused = self.paused.get(subject).copied().unwrap_or_default();
            ensure(!paused, || format!("{subject:?} is paused: {order:?}"))?;
            if order.resend == 0 {
                let messages = self.messages.entry(subject.clone()).or_default();
                messages.push(now);
                within(messages, self.allowed.get(subject), now)
                    .map_err(|what| format!("{subject:?}: {what}"))?;
            }
        }
        let on = |hours: &Option<Arc<Timetable>>| {
            hours.as_ref().is_none_or(|hours| hours.is_active(wall.unix_nanos(now)))
        };
        let known = self.hours.get(&info.name);
        let active = known.is_none_or(|all| all.iter().any(on));
        ensure(active, || format!("outside of the hours: {order:?}"))?;
        let of_domain = self.breakers.values_mut().filter(|(domain, _)| *domain == info.domain);
        for (_, breaker) in of_domain {
            ensure(breaker.trial.is_none(), || format!("sent beside the trial: {order:?}"))?;
            if let Some(until) = breaker.until {
                ensure(now >= until, || format!("sent while the breaker was open: {order:?}"))?;
                breaker.trial = Some(order.attempt);
            }
        }
        Ok(())
    }

    pub(crate) fn told(&mut self, event: &Event) -> Check {
        match event {
            Event::BreakerAdded(id, domain) => {
                self.breakers.insert(*id, (Arc::clone(domain), Breaker::default()));
            }
            Event::BreakerRemoved(id) => {
                self.breakers.remove(id);
            }
            Event::Breaker(id, change) => return self.breaker(*id, *change),
            Event::Safety(change) => match &**change {
                SafetyChange::Paused { subject, .. } => {
                    self.paused.insert(subject.clone(), true);
                }
                SafetyChange::Resumed { subject, .. } => {
                    self.paused.insert(subject.clone(), false);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn breaker(&mut self, id: BreakerId, change: BreakerChange) -> Check {
        let (_, breaker) = self.breakers.get_mut(&id).ok_or("an unknown breaker")?;
        match change {
            BreakerChange::Opened { until, failures } => {
                ensure(failures >= self.failures.max(1), || {
                    format!("{failures} failures open it")
                })?;
                *breaker = Breaker { until: Some(until), trial: None };
            }
            BreakerChange::HalfOpen => {
                ensure(breaker.trial.is_some(), || "half open without a trial".to_owned())?;
            }
            BreakerChange::Closed { .. } => {
                ensure(breaker.until.is_some(), || "closed twice".to_owned())?;
                *breaker = Breaker::default();
            }
        }
        Ok(())
    }
}

/// The looser of two caps.
fn wider(a: &CapSettings, b: &CapSettings) -> CapSettings {
    let max = |a: Option<u64>, b: Option<u64>| Some(a?.max(b?));
    CapSettings {
        per_hour: max(a.per_hour, b.per_hour),
        per_day: max(a.per_day, b.per_day),
        in_all: max(a.in_all, b.in_all),
    }
}

fn within(messages: &[Moment], allowed: Option<&CapSettings>, now: Moment) -> Check {
    let Some(caps) = allowed else { return Ok(()) };
    for (window, length) in [
        (CapWindow::Hour, Some(CapWindow::HOUR)),
        (CapWindow::Day, Some(CapWindow::DAY)),
        (CapWindow::All, None),
    ] {
        let Some(cap) = caps.of(window) else { continue };
        let count = match length {
            Some(length) => {
                messages.len() - messages.partition_point(|sent| now.since(*sent) >= length)
            }
            None => messages.len(),
        } as u64;
        ensure(count <= cap, || format!("{count} messages, {cap} allowed: {window}"))?;
    }
    Ok(())
}

/// The state file of a run: what it would tell if the process died now covers every message.
#[derive(Default)]
pub(crate) struct File {
    written: Memory,
    /// A write under way: when it ends, what it tells, and the ticket.
    writing: Option<(Moment, Memory, u64)>,
    sent: BTreeMap<Subject, u64>,
}

impl File {
    pub(crate) fn next_at(&self) -> Option<Moment> {
        self.writing.as_ref().map(|(at, ..)| *at)
    }

    pub(crate) fn write(&mut self, done_at: Moment, memory: Memory, ticket: u64) {
        self.writing = Some((done_at, memory, ticket));
    }

    /// The ticket of a write that is over.
    pub(crate) fn written(&mut self, now: Moment) -> Option<u64> {
        let (_, memory, ticket) = self.writing.take_if(|(at, ..)| *at <= now)?;
        self.written = memory;
        Some(ticket)
    }

    /// A message goes out: the file must have vouched for it, where a cap counts it.
    pub(crate) fn sent(&mut self, name: &Arc<str>, plan: Option<&Plan>) -> Check {
        for subject in [None, Some(Arc::clone(name))] {
            let sent = self.sent.entry(subject.clone()).or_default();
            *sent += 1;
            let capped = |plan: &&Plan| plan.safety.recorded && !caps(plan, &subject).is_none();
            if !plan.as_ref().is_some_and(capped) {
                continue;
            }
            let counts = &self.written.safety.counts;
            let told = counts.iter().find(|(known, _)| *known == subject);
            let told = told.map_or(0, |(_, count)| count.in_all + count.reserved);
            let sent = *sent;
            ensure(sent <= told, || format!("{subject:?}: {sent} sent, the file tells of {told}"))?;
        }
        Ok(())
    }
}

fn caps(plan: &Plan, subject: &Subject) -> CapSettings {
    let Some(name) = subject else { return plan.safety.caps };
    let stream = plan.streams.iter().find(|stream| stream.name == *name);
    stream.map(|stream| stream.safety.caps).unwrap_or_default()
}
