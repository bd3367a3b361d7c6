//! The prober at the send loop: what happens is told to it, and what it orders is handed to the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::engine::{Engine, Input};
use crate::infer::Decision;
use crate::infer::study::{
    Answered, Assignment, Ended, Named, Order, Peek, Prober, Progress, Quota,
};
use crate::model::{
    AttemptId, AttemptRecord, Event, GateChange, Moment, QuotaHint, Rate, SkipReason, StreamId,
    Verdict,
};

/// Tokens may take this long to come.
const TOKENS_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked whether they have.
const TOKENS_LOOK: Duration = Duration::from_millis(20);
/// How often progress is shown.
const SHOW_PERIOD: Duration = Duration::from_millis(200);
/// A pause of this length is another credential's request worth: one that is shorter may be over when it arrives.
const PEEK_WORTH: Duration = Duration::from_secs(2);
/// Requests of one party inside pauses: two that say the same are enough.
const PEEKS_MAX: u32 = 2;
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
    /// A request inside a pause, ordered or on its way.
    peek: Option<PeekInFlight>,
    /// How often each party has been asked to.
    peeked: Vec<u32>,
    /// The first party has been told to pause for long.
    peek_due: bool,
    done: Probed,
}

/// A request inside another party's pause.
#[derive(Clone, Copy, Debug)]
struct PeekInFlight {
    party: usize,
    attempt: Option<AttemptId>,
    /// It did go out inside of a pause.
    inside: bool,
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
    /// What became of them.
    pub(crate) peeked: Vec<Peek>,
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
            peek: None,
            peeked: vec![0; names.len()],
            peek_due: false,
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
            Event::Sent(order) if self.is_peek(order.stream) => {
                if let Some(peek) = &mut self.peek {
                    peek.attempt = Some(order.attempt);
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
            // It could not be sent after all.
            Event::Skipped { stream, .. } if self.is_peek(*stream) => self.peek = None,
            Event::Skipped { stream, reason, count } => {
                *self.done.skipped.entry(*reason).or_default() += count;
                if let (Some(prober), Some(party)) = (&mut self.prober, self.parties.get(stream)) {
                    prober.skipped(*party, now);
                    self.news = true;
                }
            }
            Event::Gate(_, GateChange::Peeked) => {
                self.done.peeks += 1;
                if let Some(peek) = &mut self.peek {
                    peek.inside = true;
                }
            }
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
        let attempt = record.order.attempt;
        if let Some(peek) = self.peek.filter(|peek| peek.attempt == Some(attempt)) {
            self.peek = None;
            let admitted = told.decision == Decision::Admitted;
            if peek.inside && told.decision != Decision::Unknown {
                self.done.peeked.push(Peek { party: peek.party, admitted });
            }
            return;
        }
        self.peek_due |= told.decision == Decision::Refused
            && told.advice.is_some_and(|advice| advice >= PEEK_WORTH)
            && self.parties.get(&record.order.stream) == Some(&0);
        if let Some(prober) = &mut self.prober {
            prober.handed_over(attempt, answer.sent_at);
            prober.answered(attempt, told);
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
        // Whatever it is at: what is on its way may come home.
        let deadline = self.since.unwrap_or(since) + self.assignment.budget.time;
        if now >= deadline {
            self.end(Ended::Time, now, &mut inputs);
            return (inputs, Moment::NEVER);
        }
        if std::mem::take(&mut self.peek_due) {
            inputs.extend(self.peek());
        }
        if self.news || now >= self.wake {
            self.news = false;
            self.ask(now, &mut inputs);
        }
        self.tell(now);
        (inputs, self.wake.min(deadline))
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

    /// A single request of the party that has sent fewest inside a pause, if that is allowed.
    fn peek(&mut self) -> Option<Input> {
        let asked = (1..self.names.len()).min_by_key(|party| self.peeked[*party]);
        let party = asked.filter(|_| self.assignment.peek && self.peek.is_none())?;
        if self.peeked[party] >= PEEKS_MAX {
            return None;
        }
        self.peeked[party] += 1;
        self.peek = Some(PeekInFlight { party, attempt: None, inside: false });
        let (stream, rate) =
            (self.ids[party]?, Rate::nearest(self.assignment.budget.rate.min(1.0)));
        Some(Input::Burst { stream, rate, count: 1, peek: true })
    }

    /// Whether a stream has been told to send inside a pause, and has not yet.
    fn is_peek(&self, stream: StreamId) -> bool {
        let waits =
            |peek: &PeekInFlight| peek.attempt.is_none() && self.ids[peek.party] == Some(stream);
        self.peek.as_ref().is_some_and(waits)
    }

    fn ask(&mut self, now: Moment, inputs: &mut Vec<Input>) {
        while let Some(prober) = &mut self.prober {
            match prober.poll(now) {
                Order::Send { party, rate, count, .. } => {
                    let Some(stream) = self.ids.get(party).copied().flatten() else { return };
                    let rate = Rate::nearest(rate.min(self.assignment.budget.rate));
                    inputs.push(Input::Burst { stream, rate, count, peek: false });
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
