//! Joins an engine and a world, moves the clock, and shows everything to the checker.

use std::collections::BTreeMap;

use plimsoll::engine::{Engine, Input, Output, Plan, TokenAnswer};
use plimsoll::infer::Found;
use plimsoll::model::{Advice, AdviceSource, CredentialId, Event, Moment, StreamId, StreamInfo};
use plimsoll::netem::World;
use plimsoll::policy::Mode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

use crate::checker::Checker;
use crate::coverage::Coverage;
use crate::envelope::File;
use crate::scenario::Scenario;

/// How long the login server takes.
const LOGIN_TIME: Duration = Duration::from_millis(80);

/// How often the driver stops polling, where it may, to take in what has come meanwhile.
const INTERRUPTED: f64 = 0.05;

/// Outputs in one instant beyond which the engine is taken to be caught in a loop.
const OUTPUTS_AT_ONCE_MAX: usize = 200_000;

struct Run<'a> {
    scenario: &'a Scenario,
    engine: Engine,
    world: World,
    now: Moment,
    rng: StdRng,
    streams: BTreeMap<StreamId, Arc<StreamInfo>>,
    logins: Vec<(Moment, CredentialId)>,
    stalls: Vec<(Moment, Duration)>,
    /// When the second plan was applied, the first one again, and so on.
    reloads: Vec<Moment>,
    drained_at: Option<Moment>,
    file: File,
    /// Whether fits are computed, or found to tell nothing: where no stream is adaptive they move nobody's rate, and
    /// some worlds are enough.
    fits: bool,
    pauses: usize,
    steps: usize,
}

/// Runs a scenario to its end; the error says which invariant broke, when and how.
pub(crate) fn run(scenario: &Scenario) -> Result<Coverage, String> {
    let mut checker = Checker::new(scenario);
    Run::new(scenario).run_to_end(|now, output, engine| checker.see(now, output, engine))?;
    checker.finish()
}

/// Every output of a run, as text, to compare runs by.
pub(crate) fn trace(scenario: &Scenario) -> Vec<String> {
    let mut lines = Vec::new();
    let outcome = Run::new(scenario).run_to_end(|now, output, _| {
        lines.push(format!("{now:?} {output:?}"));
        Ok(())
    });
    assert_eq!(outcome, Ok(()));
    lines
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut engine = Engine::new(scenario.seed, scenario.stop_after);
        engine.handle(Moment::ZERO, Input::Wall(scenario.script.wall));
        engine.handle(Moment::ZERO, Input::Apply(scenario.plan.clone()));
        let mut stalls = scenario.stalls.clone();
        stalls.sort();
        Self {
            scenario,
            engine,
            world: World::new(scenario.seed, scenario.network.clone(), scenario.server.clone()),
            now: Moment::ZERO,
            rng: StdRng::seed_from_u64(scenario.seed),
            streams: BTreeMap::new(),
            logins: Vec::new(),
            stalls,
            reloads: Vec::new(),
            drained_at: None,
            file: File::default(),
            fits: scenario.plan.streams.iter().any(|s| s.mode == Mode::Adaptive)
                || scenario.seed.is_multiple_of(8),
            pauses: 0,
            steps: 0,
        }
    }

    fn run_to_end(
        mut self,
        mut see: impl FnMut(Moment, &Output, &Engine) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut at_once = 0;
        loop {
            let output = self.engine.poll(self.now);
            see(self.now, &output, &self.engine)?;
            at_once += 1;
            if at_once > OUTPUTS_AT_ONCE_MAX {
                return Err(format!("caught in a loop at {:?}: {output:?}", self.now));
            }
            match output {
                Output::Send(order) => {
                    let info = &self.streams[&order.stream];
                    if order.resend == 0 {
                        self.file.sent(&info.name, self.plan(order.ordered_at))?;
                    }
                    self.world.send(self.now, order, &info.identity);
                }
                Output::FetchToken(credential) => {
                    self.logins.push((self.now + LOGIN_TIME, credential));
                }
                Output::Fit(gate, job) => {
                    let found = if self.fits { job.run() } else { Found::default() };
                    self.engine.handle(self.now, Input::Fitted(gate, found));
                }
                Output::Record => self.record(),
                Output::Event(Event::StreamAdded(info)) => {
                    self.streams.insert(info.id, info);
                }
                Output::Event(Event::DrainStarted) => self.drained_at = Some(self.now),
                Output::Event(_) => {}
                Output::WakeAt(wake) => {
                    at_once = 0;
                    self.advance(wake)?;
                }
                Output::Drained => return Ok(()),
            }
            if self.rng.random_bool(INTERRUPTED) && !self.engine.has_orders() {
                self.now += Duration::from_micros(self.rng.random_range(0..2_000));
                self.feed(self.end());
            }
        }
    }

    /// The plan under which an order was given; in the instant of a reload it may have been either.
    fn plan(&self, ordered_at: Moment) -> Option<&'a Plan> {
        let before = self.reloads.partition_point(|at| *at < ordered_at);
        let at_once = self.reloads.get(before).is_some_and(|at| *at == ordered_at);
        (!at_once).then(|| self.plan_after(before))
    }

    /// The plan after so many reloads.
    fn plan_after(&self, reloads: usize) -> &'a Plan {
        match &self.scenario.reload {
            Some((_, second)) if reloads % 2 == 1 => second,
            _ => &self.scenario.plan,
        }
    }

    fn next_reload(&self) -> Option<Moment> {
        let first = self.scenario.reload.as_ref()?.0;
        let later = &self.scenario.script.to_and_fro;
        std::iter::once(first).chain(later.iter().copied()).nth(self.reloads.len())
    }

    /// The state file is written; where it cannot be, it is tried again in a second.
    fn record(&mut self) {
        let script = &self.scenario.script;
        let (memory, ticket) = (self.engine.memory(self.now), self.engine.ticket());
        let trouble = self.rng.random_bool(script.write_trouble);
        let again = if trouble { Duration::from_secs(1) } else { Duration::ZERO };
        self.file.write(self.now + script.write_time + again, memory, ticket);
    }

    /// What the script has for this time.
    fn play(&mut self) {
        let script = &self.scenario.script;
        while let Some((_, wall)) = script.steps.get(self.steps).filter(|(at, _)| *at <= self.now) {
            self.steps += 1;
            self.engine.handle(self.now, Input::Wall(*wall));
        }
        while let Some((_, subject, paused)) =
            script.pauses.get(self.pauses).filter(|(at, ..)| *at <= self.now)
        {
            self.pauses += 1;
            self.engine.pause(subject, *paused, self.now);
        }
        if let Some(ticket) = self.file.written(self.now) {
            self.engine.handle(self.now, Input::Recorded(ticket));
        }
    }

    /// When the next thing happens to the run itself: its drain, then the end of the grace period.
    fn end(&self) -> Moment {
        self.drained_at.map_or(self.scenario.drain_at, |at| at + self.scenario.grace)
    }

    /// Moves the clock to whatever comes next and feeds it to the engine.
    fn advance(&mut self, wake: Moment) -> Result<(), String> {
        let end = self.end();
        let reload = self.next_reload();
        let login = self.logins.iter().map(|(at, _)| *at).min();
        let world = self.world.next_at();
        let script = &self.scenario.script;
        let step = script.steps.get(self.steps).map(|(at, _)| *at);
        let pause = script.pauses.get(self.pauses).map(|(at, ..)| *at);
        let written = self.file.next_at();
        let next = [Some(wake), Some(end), reload, login, world, step, pause, written];
        let next = next.into_iter().flatten().min();
        let next = next.unwrap_or(end);
        if next < self.now {
            return Err(format!("woken in the past: {next:?} at {:?}", self.now));
        }
        self.now = next;
        if let Some((at, length)) = self.stalls.first().copied()
            && self.now >= at
        {
            self.stalls.remove(0);
            self.now += length;
        }
        self.feed(end);
        Ok(())
    }

    fn feed(&mut self, end: Moment) {
        self.play();
        let now = self.now;
        while let Some((attempt, mut answer)) = self.world.deliver(now) {
            // A process that was held up receives what came meanwhile when it goes on.
            answer.done_at = now;
            answer.headers_at = answer.headers_at.map(|_| now);
            let early = answer.headers_at.filter(|_| self.rng.random_bool(0.3));
            if let (Some(headers_at), plimsoll::model::Verdict::Throttled) = (early, answer.verdict)
            {
                let advice = answer.advice;
                self.engine.handle(now, Input::Warned { attempt, headers_at, advice });
            }
            self.engine.handle(now, Input::Answered { attempt, answer });
        }
        let (due, later): (Vec<_>, Vec<_>) = self.logins.drain(..).partition(|(at, _)| *at <= now);
        self.logins = later;
        for (_, credential) in due {
            let answer = self.login();
            self.engine.handle(now, Input::Token { credential, answer });
        }
        if self.next_reload().is_some_and(|at| now >= at) {
            self.reloads.push(now);
            let plan = self.plan_after(self.reloads.len());
            self.engine.handle(now, Input::Apply(plan.clone()));
        }
        if now >= end {
            let input = if self.drained_at.is_none() { Input::Drain } else { Input::Abandon };
            self.engine.handle(now, input);
        }
    }

    fn login(&mut self) -> TokenAnswer {
        if !self.rng.random_bool(self.scenario.token_trouble) {
            return TokenAnswer::Granted { expires_in: self.scenario.token_life };
        }
        if self.rng.random_bool(0.5) {
            return TokenAnswer::Unavailable;
        }
        let wait = Duration::from_secs(3);
        TokenAnswer::Throttled { advice: Advice::Wait(wait, AdviceSource::RetryAfterSeconds) }
    }
}
