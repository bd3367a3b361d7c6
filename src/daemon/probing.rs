//! The prober at the send loop: what happens is told to it, and what it orders is handed to the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::{Engine, Input};
use crate::infer::Decision;
use crate::infer::study::{Answered, Assignment, Ended, Named, Order, Prober, Progress, Quota};
use crate::model::{
    AttemptRecord, Event, GateChange, Moment, QuotaHint, Rate, SkipReason, StreamId, Verdict,
};

/// Tokens may take this long to come.
const TOKENS_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether they have.
const TOKENS_LOOK: Duration = Duration::from_millis(20);
/// How often progress is shown.
const SHOW_PERIOD: Duration = Duration::from_millis(200);
/// The prober ends in time by itself; this is the end of patience.
const OVERTIME: Duration = Duration::from_secs(5);
/// So many answers in a row that are not what the target calls success, nor a refusal, mean that something
/// else is wrong: an address, a permission, a payload.
const USELESS_MAX: u32 = 20;

/// A probe that is being made.
pub(crate) struct Probing {
    assignment: Assignment,
    /// The stream of each party.
    names: Vec<Arc<str>>,
    ids: Vec<Option<StreamId>>,
    parties: HashMap<StreamId, usize>,
    prober: Option<Prober>,
    since: Option<Moment>,
    /// Something has happened that the prober was not asked about.
    news: bool,
    wake: Moment,
    useless: u32,
    shown_at: Moment,
    show: watch::Sender<Progress>,
    done: Probed,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Probed {
    /// `None`: it did not come to begin.
    pub(crate) prober: Option<Prober>,
    /// How it ended.
    pub(crate) ended: Option<Ended>,
    /// What went wrong, in a sentence.
    pub(crate) problem: Option<String>,
    /// Limits that refusals named, and how often.
    pub(crate) named: BTreeMap<Named, u64>,
    /// Slots that were ordered and not sent.
    pub(crate) skipped: BTreeMap<SkipReason, u64>,
    /// Requests inside another credential's pause.
    pub(crate) peeks: u64,
    /// From the first order to the end.
    pub(crate) took: Duration,
}

impl Probing {
    /// A probe with these streams, in the order of the parties.
    pub(crate) fn new(
        assignment: Assignment,
        names: Vec<Arc<str>>,
        show: watch::Sender<Progress>,
    ) -> Self {
        Self {
            ids: vec![None; names.len()],
            assignment,
            names,
            parties: HashMap::new(),
            prober: None,
            since: None,
            news: false,
            wake: Moment::ZERO,
            useless: 0,
            shown_at: Moment::ZERO,
            show,
            done: Probed::default(),
        }
    }

    /// Something happened.
    pub(super) fn observe(&mut self, now: Moment, event: &Event) {
        match event {
            Event::StreamAdded(info) => {
                if let Some(party) = self.names.iter().position(|name| *name == info.name) {
                    self.ids[party] = Some(info.id);
                    self.parties.insert(info.id, party);
                }
            }
            Event::Sent(order) => {
                if let (Some(prober), Some(party)) =
                    (&mut self.prober, self.parties.get(&order.stream))
                {
                    prober.sent(*party, order.attempt, order.ordered_at);
                    self.news = true;
                }
            }
            Event::Ended(record) => self.answered(record),
            Event::Skipped { stream, reason, count } => {
                *self.done.skipped.entry(*reason).or_default() += count;
                if let (Some(prober), Some(party)) = (&mut self.prober, self.parties.get(stream)) {
                    prober.skipped(*party, now);
                    self.news = true;
                }
            }
            Event::Gate(_, GateChange::Peeked) => self.done.peeks += 1,
            _ => {}
        }
    }

    fn answered(&mut self, record: &AttemptRecord) {
        let answer = &record.answer;
        if let Some(named) = &answer.named_limit {
            let named = Named {
                key: named.key.to_string(),
                namespace: named.namespace.as_deref().map(str::to_owned),
                value: named.value.as_deref().map(str::to_owned),
            };
            *self.done.named.entry(named).or_default() += 1;
        }
        match answer.verdict {
            Verdict::Accepted | Verdict::Throttled => self.useless = 0,
            _ => self.useless += 1,
        }
        if self.useless == USELESS_MAX {
            let what = match (answer.status, record.failure()) {
                (Some(status), _) => format!("answered with status {status}"),
                (None, Some(failure)) => format!("not answered ({})", failure.kind),
                (None, None) => "not answered".to_owned(),
            };
            let problem = format!("{USELESS_MAX} requests in a row were {what}");
            self.done.problem.get_or_insert(problem);
        }
        let quota = QuotaHint::tightest(&answer.hints);
        let quota = quota.map(|(hint, limit, remaining)| {
            let reset = hint.reset.map(|reset| reset.as_secs_f64());
            Quota { limit, remaining, reset }
        });
        let told = Answered {
            decision: Decision::of(answer.verdict),
            at: answer.headers_at.unwrap_or(answer.done_at),
            advice: answer.advice.wait(),
            quota,
        };
        if let Some(prober) = &mut self.prober {
            prober.answered(record.order.attempt, told);
            self.news = true;
        }
    }

    /// What the engine is to be told now, and when to ask again.
    pub(super) fn direct(&mut self, now: Moment, engine: &Engine) -> (Vec<Input>, Moment) {
        let mut inputs = Vec::new();
        if self.done.ended.is_some() {
            return (inputs, Moment::NEVER);
        }
        if self.done.problem.is_some() {
            self.end(Ended::Interrupted, now, &mut inputs);
            return (inputs, Moment::NEVER);
        }
        let since = *self.since.get_or_insert(now);
        if self.prober.is_none() && !self.begin(now, since, engine, &mut inputs) {
            return (inputs, now + TOKENS_LOOK);
        }
        if now > since + TOKENS_WITHIN + self.assignment.budget.time + OVERTIME {
            self.end(Ended::Time, now, &mut inputs);
            return (inputs, Moment::NEVER);
        }
        if self.news || now >= self.wake {
            self.news = false;
            self.ask(now, &mut inputs);
        }
        self.tell(now);
        (inputs, self.wake)
    }

    /// Begins when everybody has a token. False: not yet.
    fn begin(
        &mut self,
        now: Moment,
        since: Moment,
        engine: &Engine,
        inputs: &mut Vec<Input>,
    ) -> bool {
        let ready = engine.has_tokens(now) && self.ids.iter().all(Option::is_some);
        if ready {
            self.prober = Some(Prober::new(self.assignment.clone(), now));
            self.since = Some(now);
            self.news = true;
        } else if now > since + TOKENS_WITHIN {
            self.done.problem = Some("a credential got no token; see the log lines above".into());
            self.end(Ended::Interrupted, now, inputs);
        }
        ready
    }

    fn ask(&mut self, now: Moment, inputs: &mut Vec<Input>) {
        while let Some(prober) = &mut self.prober {
            match prober.poll(now) {
                Order::Send { party, rate, count, .. } => {
                    let Some(stream) = self.ids.get(party).copied().flatten() else { return };
                    let rate = Rate::nearest(rate.min(self.assignment.budget.rate));
                    let peek = self.assignment.peek;
                    inputs.push(Input::Burst { stream, rate, count, peek });
                    // What it orders next depends on what becomes of this.
                    self.wake = now;
                    self.news = true;
                    return;
                }
                Order::Stop => inputs.push(Input::Halt),
                Order::WakeAt(at) => {
                    self.wake = at;
                    return;
                }
                Order::Done(ended) => {
                    self.end(ended, now, inputs);
                    return;
                }
            }
        }
    }

    fn end(&mut self, ended: Ended, now: Moment, inputs: &mut Vec<Input>) {
        self.done.took = now.since(self.since.unwrap_or(now));
        self.done.ended.get_or_insert(ended);
        self.wake = Moment::NEVER;
        inputs.push(Input::Drain);
    }

    /// Somebody ends it: what was found until now counts.
    pub(super) fn interrupt(&mut self, now: Moment) {
        if self.done.ended.is_some() {
            return;
        }
        if let Some(prober) = &mut self.prober {
            prober.interrupt();
        }
        self.end(Ended::Interrupted, now, &mut Vec::new());
    }

    fn tell(&mut self, now: Moment) {
        if now < self.shown_at + SHOW_PERIOD {
            return;
        }
        self.shown_at = now;
        if let Some(prober) = &self.prober {
            self.show.send_replace(prober.progress());
        }
    }

    /// What came of it.
    pub(super) fn finish(self) -> Probed {
        Probed { prober: self.prober, ..self.done }
    }
}
