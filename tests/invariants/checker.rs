//! Watches a run from outside and holds it to the invariants of the design.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::engine::{Engine, Output, Plan, StreamPlan};
use plimsoll::model::{
    AttemptId, AttemptRecord, Event, GateChange, GateId, MessageEnd, MessageId, Moment, Pace,
    Scope, ScopeKey, SendOrder, StreamId, StreamInfo, Verdict, WallOffset,
};
use plimsoll::policy::Mode;
use plimsoll::schedule::Arrivals;

use crate::coverage::Coverage;
use crate::envelope::Guard;
use crate::scenario::Scenario;
use crate::stream::{StreamState, ceiling_holds};

/// The bound on messages that wait for a retry, per stream (engine's own, restated).
const WAITING_MAX: u64 = 1_024;
/// Advice beyond this counts as absent.
const OBEYED_MAX: Duration = Duration::from_secs(86_400);
/// How often the engine's own snapshot is compared; each costs O(streams).
const SNAPSHOT_EVERY: u64 = 256;

#[derive(Default)]
struct GateState {
    closed: bool,
    resume: Option<AttemptId>,
    resume_refused: bool,
    removed: bool,
}

pub(crate) struct Checker<'a> {
    scenario: &'a Scenario,
    streams: BTreeMap<StreamId, StreamState>,
    gates: BTreeMap<GateId, (Arc<ScopeKey>, GateState)>,
    in_flight: BTreeMap<AttemptId, SendOrder>,
    messages: BTreeMap<MessageId, StreamId>,
    unsafe_to_resend: BTreeSet<MessageId>,
    /// Everybody this covers is forbidden to send before the moment.
    forbidden: Vec<(ScopeKey, Moment)>,
    draining: bool,
    plan_in_flight_max: u32,
    outputs: u64,
    coverage: Coverage,
    guard: Guard,
    wall: WallOffset,
}

pub(crate) type Check = Result<(), String>;

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

impl<'a> Checker<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let plans = std::iter::once(&scenario.plan);
        let plans = plans.chain(scenario.reload.iter().map(|(_, plan)| plan));
        let guard = Guard::new(plans);
        let reload = scenario.reload.as_ref().map_or(0, |(_, plan)| plan.in_flight_max);
        Self {
            scenario,
            streams: BTreeMap::new(),
            gates: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            messages: BTreeMap::new(),
            unsafe_to_resend: BTreeSet::new(),
            forbidden: Vec::new(),
            draining: false,
            plan_in_flight_max: scenario.plan.in_flight_max.max(reload),
            outputs: 0,
            coverage: Coverage::default(),
            guard,
            wall: scenario.script.wall,
        }
    }

    pub(crate) fn see(&mut self, now: Moment, output: &Output, engine: &Engine) -> Check {
        self.outputs += 1;
        let steps = self.scenario.script.steps.iter();
        if let Some((_, wall)) = steps.take_while(|(at, _)| *at <= now).last() {
            self.wall = *wall;
        }
        match output {
            Output::Send(order) => self.send(now, order)?,
            Output::Event(event) => self.event(now, event)?,
            Output::WakeAt(at) => {
                ensure(*at > now, || format!("asked to be woken at {at:?}, it is {now:?}"))?;
                if !self.draining {
                    self.slots_add_up(now)?;
                }
                if self.outputs.is_multiple_of(SNAPSHOT_EVERY) {
                    self.snapshot(now, engine)?;
                }
            }
            Output::FetchToken(_) | Output::Fit(..) | Output::Record | Output::Drained => {}
        }
        Ok(())
    }

    /// Invariants 1, 2, 5, 6 and 7 at a send.
    fn send(&mut self, now: Moment, order: &SendOrder) -> Check {
        ensure(!self.draining, || format!("sent after the drain began, at {now:?}"))?;
        let stream = self.streams.get_mut(&order.stream).ok_or("sent by an unknown stream")?;
        ensure(order.due <= now, || format!("sent before it was due: {order:?}"))?;
        ensure(stream.last_due.is_none_or(|last| last < order.due || stream.poisson), || {
            format!("a slot was used twice: {order:?}")
        })?;
        stream.last_due = Some(order.due);
        stream.sends.push(now);
        self.guard.sent(now, order, &Arc::clone(&stream.info), self.wall)?;
        let domain = &stream.info.domain;
        for (key, until) in &self.forbidden {
            let inside = key.domain == *domain && key.covers(&stream.info.identity) && now < *until;
            ensure(!inside, || format!("sent inside a Retry-After until {until:?}: {order:?}"))?;
        }
        let policy = &stream.plan.policy;
        if order.resend > 0 {
            self.coverage.resends += 1;
            stream.resends += 1;
            let expired = now >= order.first_due + policy.deadline;
            ensure(!expired, || format!("outlived its deadline: {order:?}"))?;
            ensure(!self.unsafe_to_resend.contains(&order.message), || {
                format!("may have arrived, was sent again: {order:?}")
            })?;
        } else {
            stream.messages += 1;
            ensure(self.messages.insert(order.message, order.stream).is_none(), || {
                format!("a message id was used twice: {order:?}")
            })?;
        }
        let allowed = stream.budget_reserve + stream.budget_ratio * stream.messages as f64 + 1e-3;
        ensure(stream.resends as f64 <= allowed, || format!("over the retry budget: {order:?}"))?;
        let attempts_max = policy.max_attempts.max(1);
        ensure(order.resend < attempts_max, || format!("too many attempts: {order:?}"))?;
        self.in_flight.insert(order.attempt, *order);
        let total = self.in_flight.len();
        ensure(total <= self.plan_in_flight_max as usize, || format!("{total} in flight"))?;
        Ok(())
    }

    fn event(&mut self, now: Moment, event: &Event) -> Check {
        match event {
            Event::StreamAdded(info) => self.stream_added(info, now),
            Event::StreamRateChanged(id, rate) => {
                let stream = self.stream(*id)?;
                stream.last_due = None;
                stream.rates.push(rate.per_second());
                Ok(())
            }
            Event::StreamRemoved(id) => {
                let stream = self.stream(*id)?;
                stream.removed = true;
                ensure(stream.sent == stream.ended, || format!("{id:?} left with work in flight"))
            }
            Event::Skipped { stream, reason, count } => {
                self.coverage.skipped[reason.index()] += count;
                ensure(*count > 0, || "an empty skip".to_owned())?;
                let stream = self.stream(*stream)?;
                stream.skipped += count;
                stream.scheduled += count;
                Ok(())
            }
            Event::Sent(order) => self.sent(order),
            Event::Ended(record) => self.ended(now, record),
            Event::MessageEnded(end) => self.message_ended(end),
            Event::RetryQueued { not_before, .. } => {
                ensure(*not_before >= now, || "a retry in the past".to_owned())
            }
            Event::GateAdded(id, key) => {
                self.gates.insert(*id, (Arc::clone(key), GateState::default()));
                Ok(())
            }
            Event::GateRemoved(id) => {
                let (_, gate) = self.gates.get_mut(id).ok_or("an unknown gate was removed")?;
                gate.removed = true;
                ensure(!gate.closed, || "a closed gate was forgotten".to_owned())
            }
            Event::Gate(id, change) => self.gate_changed(*id, change),
            Event::DrainStarted => {
                self.draining = true;
                Ok(())
            }
            Event::Known(..) | Event::LimitMoved(..) => Ok(()),
            Event::Pace(id, pace) => self.pace(*id, pace),
            Event::PaceRemoved(id) => {
                let (_, gate) = self.gates.get(id).ok_or("an unknown gate")?;
                ensure(!gate.removed, || "a removed gate had a pace".to_owned())
            }
            Event::BreakerAdded(..)
            | Event::BreakerRemoved(_)
            | Event::Breaker(..)
            | Event::Safety(_) => self.guard.told(event),
            Event::Token(..) => Ok(()),
        }
    }

    /// Invariant 1 in what is told: never above the ceiling.
    fn pace(&mut self, id: GateId, pace: &Pace) -> Check {
        let (_, gate) = self.gates.get(&id).ok_or("an unknown gate")?;
        ensure(!gate.removed, || "a removed gate has a pace".to_owned())?;
        self.coverage.paces += 1;
        let within = pace.rate > 0.0 && pace.rate <= pace.ceiling * (1.0 + 1e-9);
        ensure(within, || format!("above the ceiling: {pace:?}"))
    }

    fn stream_added(&mut self, info: &Arc<StreamInfo>, now: Moment) -> Check {
        let plan = self
            .plans()
            .flat_map(|plan| &plan.streams)
            .filter(|plan| plan.name == info.name)
            .last()
            .ok_or("a stream that nobody planned")?
            .clone();
        let first = self.scenario.plan.streams.iter().find(|plan| plan.name == info.name);
        let budgets = first.into_iter().chain([&plan]).map(|plan| plan.policy.retry_budget);
        let (ratio, reserve) = budgets.fold((0.0_f64, 0.0_f64), |(ratio, reserve), budget| {
            (ratio.max(budget.ratio), reserve.max(f64::from(budget.reserve)))
        });
        let versions = || first.into_iter().chain([&plan]);
        let adaptive = versions().filter(|p| p.mode == Mode::Adaptive).count();
        // Streams that share a plan share the largest of their bounds.
        let sharing = self.plans().flat_map(|plan| &plan.streams);
        let sharing = sharing.filter(|p| p.domain == plan.domain && adaptive > 0);
        let catch_up = versions().chain(sharing).map(|p| p.schedule.catch_up_slots).max();
        let policy = first.map_or(plan.policy, |first| {
            // Until the reload is seen, the more permissive of the two policies bounds the stream.
            let mut wide = plan.policy;
            wide.deadline = wide.deadline.max(first.policy.deadline);
            wide.max_attempts = wide.max_attempts.max(first.policy.max_attempts);
            wide
        });
        let poisson = plan.schedule.arrivals == Arrivals::Poisson
            || first.is_some_and(|p| p.schedule.arrivals == Arrivals::Poisson);
        let state = StreamState {
            info: Arc::clone(info),
            added_at: now,
            scheduled: 0,
            sent: 0,
            skipped: 0,
            ended: 0,
            messages: 0,
            resends: 0,
            budget_ratio: ratio,
            budget_reserve: reserve,
            sends: Vec::new(),
            last_due: None,
            rates: vec![info.rate.per_second()],
            catch_up: catch_up.unwrap_or_default(),
            adaptive: adaptive > 0,
            switches: adaptive == 1 && first.is_some(),
            poisson,
            retiring: self.scenario.reload.is_some(),
            removed: false,
            plan: StreamPlan { policy, ..plan },
        };
        self.streams.insert(info.id, state);
        Ok(())
    }

    fn plans(&self) -> impl Iterator<Item = &'a Plan> + use<'a> {
        let scenario = self.scenario;
        std::iter::once(&scenario.plan).chain(scenario.reload.iter().map(|(_, plan)| plan))
    }

    fn sent(&mut self, order: &SendOrder) -> Check {
        self.coverage.sent += 1;
        let stream = self.stream(order.stream)?;
        stream.sent += 1;
        stream.scheduled += 1;
        ensure(stream.scheduled == stream.sent + stream.skipped, || "slots lost".to_owned())
    }

    /// Invariants 2 and 4 at an answer.
    fn ended(&mut self, now: Moment, record: &AttemptRecord) -> Check {
        let order = self.in_flight.remove(&record.order.attempt);
        ensure(order.as_ref() == Some(&record.order), || format!("ended twice: {record:?}"))?;
        let stream = self.stream(record.order.stream)?;
        stream.ended += 1;
        let (info, plan) = (Arc::clone(&stream.info), stream.plan.clone());
        match record.answer.verdict {
            Verdict::Throttled => {
                let advised = record.answer.advice.wait().filter(|wait| *wait <= OBEYED_MAX);
                let headers_at = record.answer.headers_at.unwrap_or(now);
                for scope in self.scopes_of(&info) {
                    let key = ScopeKey::of(&info.domain, &scope, &info.identity);
                    if let Some(wait) = advised {
                        self.forbidden.push((key, headers_at + wait));
                    }
                }
                self.forbidden.retain(|(_, until)| *until > now);
                self.refused(&record.order);
            }
            Verdict::Failed(failure) => {
                self.coverage.abandoned +=
                    u64::from(failure.kind == plimsoll::model::FailureKind::Abandoned);
                if failure.may_have_arrived && !plan.resend_is_safe {
                    self.unsafe_to_resend.insert(record.order.message);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The scope that is certain for a stream: the first plan's if the second says the same.
    fn scopes_of(&self, info: &StreamInfo) -> Vec<Scope> {
        let scope_in = |plan: &plimsoll::engine::Plan| {
            plan.streams.iter().find(|s| s.domain == info.domain).map(|s| s.scope.clone())
        };
        let first = scope_in(&self.scenario.plan);
        let second = self.scenario.reload.as_ref().and_then(|(_, plan)| scope_in(plan));
        match (first, second) {
            (Some(a), Some(b)) if a != b => Vec::new(),
            (Some(scope), _) | (None, Some(scope)) => vec![scope],
            (None, None) => Vec::new(),
        }
    }

    fn refused(&mut self, order: &SendOrder) {
        for (_, gate) in self.gates.values_mut() {
            if gate.resume == Some(order.attempt) {
                gate.resume_refused = true;
            }
        }
    }

    /// Invariant 3: an epoch begins when an open gate is closed or a resume is refused, and no
    /// other way. What a closed gate lets through is one resume at a time.
    fn gate_changed(&mut self, id: GateId, change: &GateChange) -> Check {
        let resumes: Vec<_> =
            self.in_flight.values().filter(|o| o.resume).map(|o| o.attempt).collect();
        let (_, gate) = self.gates.get_mut(&id).ok_or("an unknown gate")?;
        ensure(!gate.removed, || "a removed gate changed".to_owned())?;
        match change {
            GateChange::Closed { .. } => {
                self.coverage.epochs += 1;
                // An early warning closes the gate before the answer itself is seen.
                let warned = gate.resume.is_some();
                ensure(!gate.closed || gate.resume_refused || warned, || {
                    format!("cut twice in one epoch: {change:?}")
                })?;
                self.coverage.refused_resumes += u64::from(gate.closed);
                *gate = GateState { closed: true, ..GateState::default() };
            }
            GateChange::Extended { .. } => {
                self.coverage.extended += 1;
                gate.closed = true;
            }
            GateChange::HalfOpen => {
                let before = gate.resume.filter(|old| resumes.contains(old));
                ensure(before.is_none(), || "two resumes at once".to_owned())?;
                gate.closed = true;
                gate.resume = resumes.iter().max().copied();
            }
            GateChange::Opened { .. } => {
                self.coverage.opened += 1;
                ensure(gate.closed, || "opened twice".to_owned())?;
                *gate = GateState::default();
            }
            GateChange::OpenedByOperator => {}
            GateChange::Remembered { .. } => {
                return Err("remembered what no run was told".to_owned());
            }
            GateChange::Peeked => return Err("peeked without being told to".to_owned()),
            GateChange::Violated => return Err("the engine counted a violation".to_owned()),
        }
        Ok(())
    }

    fn message_ended(&mut self, end: &MessageEnd) -> Check {
        self.coverage.results[end.result.index()] += 1;
        let known = self.messages.remove(&end.message);
        ensure(known == Some(end.stream), || format!("a message ended twice: {end:?}"))
    }

    /// Invariants 4 and 6 against the engine's own snapshot.
    fn snapshot(&self, now: Moment, engine: &Engine) -> Check {
        let status = engine.status(now, WallOffset::default());
        ensure(status.in_flight == self.in_flight.len() as u64, || "in flight differs".to_owned())?;
        for stream in &status.streams {
            let skipped: u64 = stream.skipped.values().sum();
            let ended: u64 = stream.outcomes.values().sum();
            ensure(stream.scheduled == stream.sent + skipped, || format!("{stream:?}"))?;
            ensure(stream.sent == ended + stream.in_flight, || format!("{stream:?}"))?;
            ensure(stream.retries_waiting <= WAITING_MAX, || format!("{stream:?}"))?;
        }
        Ok(())
    }

    /// Invariant 4 against arithmetic.
    fn slots_add_up(&self, now: Moment) -> Check {
        let telling = |s: &&StreamState| !s.removed && !s.poisson && !s.changes();
        self.streams.values().filter(telling).try_for_each(|stream| stream.adds_up(now))
    }

    fn stream(&mut self, id: StreamId) -> Result<&mut StreamState, String> {
        let stream = self.streams.get_mut(&id).ok_or_else(|| format!("{id:?} is unknown"))?;
        if stream.removed { Err(format!("{id:?} acts after its end")) } else { Ok(stream) }
    }

    pub(crate) fn finish(self) -> Result<Coverage, String> {
        let in_flight = self.in_flight.len();
        ensure(in_flight == 0, || format!("drained with {in_flight} in flight"))?;
        let open = self.messages.len();
        ensure(open == 0, || format!("drained with {open} messages that never ended"))?;
        for stream in self.streams.values() {
            ensure(stream.sent == stream.ended, || format!("{}: sums differ", stream.info.name))?;
            if !stream.poisson {
                ceiling_holds(stream)?;
            }
        }
        Ok(self.coverage)
    }
}
