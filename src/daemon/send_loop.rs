//! The send loop: clock ⇄ engine ⇄ sender, on one thread of its own.
//!
//! One thread for timer and sends is what keeps arrivals on time: nothing else runs on it, and an
//! answer needs no lock to reach the engine. Everything slow lives elsewhere and talks to this
//! loop through [`Command`]s.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, oneshot, watch};

use super::attempt_log::Scribe;
use super::outbound::{Endpoint, Outbound, Returned};
use super::probing::{Probed, Probing};
use super::state_format::Stamp;
use super::state_keeper::Known;
use crate::clock::{self, Clock};
use crate::engine::{Engine, Input, Output, Plan};
use crate::model::{
    CredentialId, EndpointId, Event, GateState, Memory, Moment, Status, Subject, WallOffset,
};
use crate::pacer::Pacer;
use crate::sender::{Bearer, TokenClient};
use crate::telemetry::Observer;
use crate::verdict::{Figures, Tally};
use crate::web::GateOpening;

/// The loop wakes at least this often, so that its heartbeat shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A wake-up this close is not worth arming a timer for: the loop yields to its tasks and looks again.
const YIELD_INSTEAD: Duration = Duration::from_micros(20);
/// Sends in one go before the loop lets its tasks run; a backlog must not starve the sockets.
const SENDS_AT_ONCE: u32 = 32;

/// What other threads ask of the loop.
pub(crate) enum Command {
    /// What an earlier run knew, as it was at this moment.
    Recall(Memory, Moment),
    /// Run this configuration from now on.
    Apply(Box<Outfit>),
    /// What the next run should know, please.
    Memory(oneshot::Sender<Known>),
    /// The counts of caps are in the state file, as of this ticket.
    Recorded(u64),
    /// Pause a stream of that name, or everything; or resume it. Is there such a stream?
    Pause(Subject, bool, oneshot::Sender<bool>),
    /// Send nothing more.
    Drain,
    /// Give up on what is in flight.
    Abandon,
    /// A snapshot, please.
    Status(oneshot::Sender<Status>),
    /// End the long pause of a gate.
    OpenGate(String, oneshot::Sender<GateOpening>),
}

/// A configuration, ready to be sent with.
pub(crate) struct Outfit {
    pub(crate) plan: Plan,
    pub(super) endpoints: HashMap<EndpointId, Endpoint>,
    pub(super) token_clients: HashMap<CredentialId, TokenClient>,
    pub(super) static_tokens: Vec<(CredentialId, secrecy::SecretString)>,
    /// What tokens are asked for with, as numbers that tell only whether it has changed.
    pub(super) clients: HashMap<CredentialId, u64>,
    pub(super) credential_names: Vec<(CredentialId, Arc<str>)>,
}

/// The loop's state.
pub(crate) struct SendLoop {
    clock: Clock,
    wall: WallOffset,
    engine: Engine,
    observer: Observer,
    outbound: Outbound,
    /// [`Outfit::clients`] of what runs.
    clients: HashMap<CredentialId, u64>,
    /// Where fits are computed: threads that stand back for this loop's.
    background: Handle,
    returned: UnboundedReceiver<Returned>,
    commands: Receiver<Command>,
    pacer: Pacer,
    next_heartbeat: Moment,
    /// Something in the safety envelope has changed and telemetry was not told of how it stands.
    stale: bool,
    /// Wakes whoever keeps the state file.
    record: Arc<Notify>,
    tally: Option<Tally>,
    /// Writes the attempt log.
    scribe: Option<Scribe>,
    probing: Option<Probing>,
    signs: Arc<Signs>,
}

/// What the loop shares with others, and whether it counts for a verdict.
pub(crate) struct LoopContext {
    pub(crate) clock: Clock,
    pub(crate) signs: Arc<Signs>,
    /// Where fits are computed.
    pub(crate) background: Handle,
    /// Wakes whoever keeps the state file.
    pub(crate) record: Arc<Notify>,
    pub(crate) tally: Option<Tally>,
    /// Writes the attempt log.
    pub(crate) scribe: Option<Scribe>,
    /// A probe that orders what is sent.
    pub(crate) probing: Option<Probing>,
}

/// The loop's last word.
pub(crate) struct Ending {
    pub(super) status: Status,
    /// What the next run should know.
    pub(super) known: Known,
    /// Of a run that is judged.
    pub(super) figures: Option<Figures>,
    /// Of a probe.
    pub(crate) probed: Option<Probed>,
}

/// What other threads can see of the loop without asking it.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    /// When it last showed that it lives, in nanoseconds of the process's clock.
    pub(super) beat_ns: AtomicU64,
    /// Whether it sends nothing more, by order or because it has sent what it was told to.
    pub(super) draining: watch::Sender<bool>,
}

impl SendLoop {
    /// A loop with nothing to do until it is told. Must be made inside its own runtime.
    ///
    /// # Errors
    /// The kernel has no timer left.
    pub(crate) fn new(
        context: LoopContext,
        engine: Engine,
        observer: Observer,
        commands: Receiver<Command>,
    ) -> io::Result<Self> {
        let LoopContext { clock, signs, background, record, tally, scribe, probing } = context;
        let (sender, returned) = unbounded_channel();
        Ok(Self {
            clock,
            wall: clock.wall(),
            engine,
            observer,
            outbound: Outbound::new(sender),
            clients: HashMap::new(),
            background,
            returned,
            commands,
            pacer: Pacer::new(clock)?,
            next_heartbeat: Moment::ZERO,
            stale: false,
            record,
            tally,
            scribe,
            probing,
            signs,
        })
    }

    /// Runs until drained.
    ///
    /// # Errors
    /// The timer failed.
    pub(crate) async fn run(mut self) -> io::Result<Ending> {
        loop {
            self.take_in();
            let Some(wake) = self.give_out() else {
                let now = self.clock.now();
                self.tell_envelope(now);
                self.observer.finish(self.wall, now);
                let (status, known) = (self.engine.status(now, self.wall), self.known(now));
                let figures = self.tally.map(|tally| tally.figures(now));
                let probed = self.probing.map(Probing::finish);
                return Ok(Ending { status, known, figures, probed });
            };
            let wake = self.direct(wake);
            self.beat(None);
            self.wait(wake).await?;
        }
    }

    /// Feeds everything that has come to the engine.
    fn take_in(&mut self) {
        while let Ok(returned) = self.returned.try_recv() {
            self.take(returned);
        }
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
    }

    fn take(&mut self, returned: Returned) {
        let input = match returned {
            Returned::Input(input) => input,
            Returned::Token(credential, answer) => {
                let answer = self.outbound.token_answered(credential, answer);
                Input::Token { credential, answer }
            }
        };
        self.engine.handle(self.clock.now(), input);
    }

    fn obey(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Recall(memory, then) => {
                self.engine.handle(now, Input::Recall(memory.later(now.since(then))));
            }
            Command::Memory(reply) => {
                let _ = reply.send(self.known(now));
            }
            Command::Apply(outfit) => self.apply(*outfit, now),
            Command::Recorded(ticket) => self.engine.handle(now, Input::Recorded(ticket)),
            Command::Pause(subject, paused, reply) => {
                let known = self.engine.pause(&subject, paused, now);
                if known {
                    self.record.notify_one();
                }
                let _ = reply.send(known);
            }
            Command::Drain => {
                if let Some(probing) = &mut self.probing {
                    probing.interrupt(now);
                }
                self.engine.handle(now, Input::Drain);
            }
            Command::Abandon => self.engine.handle(now, Input::Abandon),
            Command::Status(reply) => {
                // Whoever asked may have gone away.
                let _ = reply.send(self.engine.status(now, self.wall));
            }
            Command::OpenGate(name, reply) => {
                let known =
                    self.engine.status(now, self.wall).gates.into_iter().find(|g| g.name == name);
                let opening = match known {
                    None => GateOpening::Unknown,
                    Some(gate) if gate.state == GateState::Open => GateOpening::NotLong,
                    Some(_) if self.engine.open_gate(&name, now) => GateOpening::Opened,
                    Some(_) => GateOpening::NotLong,
                };
                let _ = reply.send(opening);
            }
        }
    }

    fn known(&self, now: Moment) -> Known {
        // Not the offset of the latest heartbeat: the clock may have been stepped since.
        let stamp =
            Stamp { unix_ns: self.clock.wall().unix_nanos(now), boot_ns: clock::boot_nanos() };
        Known { memory: self.engine.memory(now), ticket: self.engine.ticket(), at: now, stamp }
    }

    fn apply(&mut self, outfit: Outfit, now: Moment) {
        self.outbound.endpoints = outfit.endpoints;
        self.outbound.token_clients = outfit.token_clients;
        self.outbound
            .tokens
            .retain(|id| outfit.credential_names.iter().any(|(known, _)| *known == id));
        for (credential, token) in &outfit.static_tokens {
            let current = self.outbound.tokens.get(*credential);
            let fresh = Bearer::new(token, current.map_or(1, Bearer::generation)).ok();
            if fresh.is_some() && fresh.as_ref() != current {
                // Checked when the configuration was loaded.
                let _ = self.outbound.tokens.put(*credential, token);
            }
        }
        self.observer.credentials(self.wall, now, outfit.credential_names);
        self.engine.handle(now, Input::Wall(self.wall));
        self.engine.handle(now, Input::Apply(outfit.plan));
        let known = std::mem::replace(&mut self.clients, outfit.clients);
        for (credential, mark) in &self.clients {
            if known.get(credential).is_some_and(|old| old != mark) {
                self.engine.handle(now, Input::Renew(*credential));
            }
        }
        self.stale = true;
    }

    /// Carries out what the engine wants; says when to wake it, or `None` when it has drained.
    fn give_out(&mut self) -> Option<Moment> {
        let mut sends = 0;
        loop {
            let now = self.clock.now();
            match self.engine.poll(now) {
                Output::Send(order) => {
                    let sampled = self.observer.would_sample(order.message);
                    self.outbound.send(order, self.wall, now, sampled);
                    sends += 1;
                }
                Output::FetchToken(credential) => self.outbound.fetch_token(credential),
                Output::Fit(gate, job) => self.outbound.fit(&self.background, gate, job),
                Output::Record => self.record.notify_one(),
                Output::Event(event) => {
                    self.note(&event);
                    if let Some(tally) = &mut self.tally {
                        tally.tell(now, &event);
                    }
                    if let Some(scribe) = &mut self.scribe {
                        scribe.tell(self.wall, &event);
                    }
                    if let Some(probing) = &mut self.probing {
                        probing.observe(now, &event);
                    }
                    self.observer.observe(self.wall, now, &event);
                    if sends >= SENDS_AT_ONCE && !self.engine.has_orders() {
                        return Some(now);
                    }
                }
                Output::WakeAt(at) => return Some(at),
                Output::Drained => return None,
            }
        }
    }

    /// Asks the probe what is to be sent next; says when to wake.
    fn direct(&mut self, wake: Moment) -> Moment {
        let Some(probing) = &mut self.probing else { return wake };
        let now = self.clock.now();
        let (inputs, ask_again) = probing.direct(now, &self.engine);
        if inputs.is_empty() {
            return wake.min(ask_again);
        }
        // It may have thought for a while: what it orders begins now.
        let now = self.clock.now();
        for input in inputs {
            self.engine.handle(now, input);
        }
        now
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::StreamAdded(info) => {
                self.outbound.stream_names.insert(info.id, Arc::clone(&info.name));
            }
            Event::DrainStarted => {
                self.signs.draining.send_replace(true);
            }
            Event::StreamRemoved(id) => {
                self.outbound.stream_names.remove(id);
            }
            Event::Safety(_) => self.stale = true,
            _ => {}
        }
    }

    fn beat(&mut self, planned: Option<Moment>) {
        let now = self.clock.now();
        if self.stale {
            self.tell_envelope(now);
        }
        self.signs.beat_ns.store(now.as_nanos(), Ordering::Relaxed);
        if planned.is_none() && now < self.next_heartbeat {
            return;
        }
        self.observer.heartbeat(self.wall, now, planned);
        if now >= self.next_heartbeat {
            self.next_heartbeat = now + HEARTBEAT;
            self.wall = self.clock.wall();
            self.engine.handle(now, Input::Wall(self.wall));
            self.tell_envelope(now);
            for (id, rate) in self.engine.scheduled_rates(now) {
                self.observer.scheduled_rate(self.wall, now, id, rate);
            }
        }
    }

    fn tell_envelope(&mut self, now: Moment) {
        self.stale = false;
        let all = self.engine.envelope(now, self.wall).collect();
        self.observer.envelope(self.wall, now, all);
    }

    /// Waits for the moment, an answer or a command, whichever comes first.
    async fn wait(&mut self, wake: Moment) -> io::Result<()> {
        let wake = wake.min(self.next_heartbeat);
        if wake <= self.clock.now() + YIELD_INSTEAD {
            tokio::task::yield_now().await;
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(returned) = self.returned.recv() => self.take(returned),
            Some(command) = self.commands.recv() => self.obey(command),
            slept = self.pacer.sleep_until(wake) => {
                slept?;
                self.beat(Some(wake));
            }
        }
        Ok(())
    }
}
