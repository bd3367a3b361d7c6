//! What is going to be sent, by whom, and what it may cost: worked out and said before anything is sent.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::ProbeArgs;
use crate::config::{Registry, Settings};
use crate::engine::{Plan, StreamPlan};
use crate::findings::{Cost, Source, Subject, Vendor};
use crate::infer::study::{Assignment, Budget};
use crate::model::{Factor, HumanDuration, Identity, Rate};
use crate::policy::{BackoffSettings, Jitter, Mode};
use crate::schedule::{Arrivals, ScheduleSettings};
use crate::sender::ThrottleDialect;

/// No slot is skipped for being late: those that follow keep their distance to it.
const CATCH_UP_SLOTS: u32 = u32::MAX;

/// A probe that is about to be made.
#[derive(Debug)]
pub(super) struct Intent {
    /// The configuration without what the probe does not need.
    pub(super) settings: Settings,
    pub(super) assignment: Assignment,
    pub(super) subject: Subject,
    /// In the order of the parties.
    streams: Vec<StreamPlan>,
    rate: Rate,
}

impl Intent {
    /// # Errors
    /// Every flag that does not fit the configuration.
    pub(super) fn new(args: &ProbeArgs, settings: &Settings) -> Result<Self, Vec<String>> {
        let all = Registry::new().assign(settings).plan.streams;
        let first = first(args, &all)?;
        let streams = with(args, &first, &all)?;
        let rate = args.max_rate.unwrap_or(first.schedule.rate);
        let mut settings = settings.clone();
        settings.streams.retain(|s| streams.iter().any(|plan| plan.name == s.name));
        settings.targets.retain(|t| streams.iter().any(|plan| plan.target == t.endpoint.name));
        settings
            .credentials
            .retain(|c| streams.iter().any(|plan| plan.credential_name == c.settings.name));
        let target = settings.targets.iter().find(|t| t.endpoint.name == first.target);
        let genesys = target.is_some_and(|t| t.endpoint.dialect == ThrottleDialect::Genesys);
        let budget = Budget {
            requests: args.max_requests,
            throttles: args.max_throttles,
            time: args.max_time.map_or(Duration::from_secs(900), |d| d.0),
            rate: rate.per_second(),
        };
        let parties = streams.iter().map(|plan| plan.identity.clone()).collect();
        let subject = Subject {
            source: Source::Probe,
            target: Some(first.target.to_string()),
            server: Some(format!("{}:{}", first.server_address, first.server_port)),
            operation: Some(first.identity.route.to_string()),
            vendor: if genesys { Vendor::Genesys } else { Vendor::Other },
        };
        let assignment = Assignment { parties, budget, peek: args.peek };
        Ok(Self { settings, assignment, subject, streams, rate })
    }

    /// The streams' names, in the order of the parties.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.streams.iter().map(|plan| Arc::clone(&plan.name)).collect()
    }

    pub(super) fn cost(&self) -> Cost {
        let Budget { requests, throttles, time, rate } = self.assignment.budget;
        Cost { requests, throttles, seconds: time.as_secs_f64(), rate }
    }

    /// Makes a plan that of a probe: nothing is sent but what is ordered, once, and no pause is longer than asked
    /// for.
    pub(super) fn experiment(&self, plan: &mut Plan) {
        let at_once = Duration::from_nanos(1);
        for stream in &mut plan.streams {
            stream.mode = Mode::Probe;
            stream.schedule = ScheduleSettings {
                rate: self.rate,
                arrivals: Arrivals::Uniform,
                ramp: Duration::ZERO,
                catch_up_slots: CATCH_UP_SLOTS,
            };
            stream.policy.max_attempts = 1;
            stream.policy.retry_after_jitter = Duration::ZERO;
            stream.policy.backoff =
                BackoffSettings { base: at_once, cap: at_once, jitter: Jitter::Full };
        }
    }

    /// What is going to be sent where, and what it may cost.
    pub(super) fn announcement(&self) -> String {
        let mut out = String::new();
        let budget = &self.assignment.budget;
        let (server, operation) = (&self.subject.server, &self.subject.operation);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "plimsoll probe sends real messages: {} to {}",
            text(operation),
            text(server)
        );
        for (i, stream) in self.streams.iter().enumerate() {
            let what = match i {
                0 => "its limit is measured".to_owned(),
                _ => {
                    let first = &self.streams[0].identity;
                    let differ = differences(first, &stream.identity);
                    format!("does it share that limit? It differs in {}", differ.join(", "))
                }
            };
            let _ = writeln!(out, "  {} ({}): {what}", stream.name, whose(&stream.identity));
        }
        let time = HumanDuration(budget.time);
        let _ = writeln!(
            out,
            "It may send {} requests, provoke {} refusals, take {time}, and send at most {}.",
            budget.requests, budget.throttles, self.rate
        );
        let peek = if self.assignment.peek {
            "It waits for as long as a refusal asks for, except for single requests of another \
             credential (--peek)."
        } else {
            "It waits for as long as a refusal asks for."
        };
        let _ = writeln!(out, "{peek} Ctrl-C ends it with a report.");
        out
    }
}

/// The stream whose limit is measured.
fn first(args: &ProbeArgs, all: &[StreamPlan]) -> Result<StreamPlan, Vec<String>> {
    match (&args.stream, all) {
        (Some(name), _) => find("--stream", name, all).map_err(|problem| vec![problem]).cloned(),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(vec![format!("--stream: which one? There are {}", listed(all))]),
    }
}

/// It, and those that are to tell who shares its limit.
fn with(
    args: &ProbeArgs,
    first: &StreamPlan,
    all: &[StreamPlan],
) -> Result<Vec<StreamPlan>, Vec<String>> {
    let mut streams = vec![first.clone()];
    let mut problems = Vec::new();
    let is_new = |streams: &[StreamPlan], s: &StreamPlan| {
        streams.iter().all(|known| known.identity != s.identity)
    };
    if args.with.is_empty() && !args.alone {
        for stream in all.iter().filter(|s| s.target == first.target) {
            if is_new(&streams, stream) {
                streams.push(stream.clone());
            }
        }
    }
    for name in &args.with {
        match find("--with", name, all) {
            Err(problem) => problems.push(problem),
            Ok(stream) if stream.domain != first.domain => problems.push(format!(
                "--with {name}: it sends to {}, and {} to {}: they cannot share a limit",
                stream.domain, first.name, first.domain
            )),
            Ok(stream) if !is_new(&streams, stream) => problems.push(format!(
                "--with {name}: it differs from another of the streams in no factor"
            )),
            Ok(stream) => streams.push(stream.clone()),
        }
    }
    if problems.is_empty() { Ok(streams) } else { Err(problems) }
}

fn find<'a>(flag: &str, name: &str, all: &'a [StreamPlan]) -> Result<&'a StreamPlan, String> {
    let found = all.iter().find(|stream| &*stream.name == name);
    found.ok_or_else(|| format!("{flag} {name}: no such stream; there are {}", listed(all)))
}

fn listed(all: &[StreamPlan]) -> String {
    let names: Vec<_> = all.iter().map(|stream| &*stream.name).collect();
    names.join(", ")
}

fn differences(a: &Identity, b: &Identity) -> Vec<&'static str> {
    let differ = |factor: &&Factor| a.value(**factor) != b.value(**factor);
    Factor::ALL.iter().filter(differ).map(|factor| factor.as_str()).collect()
}

fn whose(identity: &Identity) -> String {
    let said = Factor::ALL.iter().filter(|factor| **factor != Factor::Route);
    let said = said.filter(|factor| !identity.value(**factor).is_empty());
    let said: Vec<_> = said.map(|f| format!("{f} {}", identity.value(*f))).collect();
    if said.is_empty() { "no credential".to_owned() } else { said.join(", ") }
}
