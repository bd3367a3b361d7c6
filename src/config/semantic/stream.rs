//! Streams, and the policy and schedule that they take over.

use std::time::Duration;

use super::credential::ANONYMOUS;
use super::safety;
use super::{Check, DAY, HOUR, MS, secs};
use crate::config::raw::{ArrivalsName, ConfigFile, JitterName, ModeName, PolicyFile, StreamFile};
use crate::config::settings::{NamedCredential, StreamSettings};
use crate::model::{Factor, HumanDuration, Rate};
use crate::policy::{
    AdaptiveSettings, BackoffSettings, ExplorationSettings, Jitter, Mode, PolicySettings,
    RetryBudgetSettings,
};
use crate::schedule::{Arrivals, ScheduleSettings};

pub(super) fn all(check: &mut Check<'_>, file: &ConfigFile) -> Vec<StreamSettings> {
    policy_bounds(check, &["policy"], &file.policy, None);
    adaptive_bounds(check, &file.policy);
    check.duration(&["schedule", "ramp"], file.schedule.ramp, Duration::ZERO..=DAY);
    if check.names("streams").is_empty() {
        let allowed = "at least one stream: [streams.NAME] with target and rate";
        check.problem(&["streams"], "no streams, so nothing would be sent", allowed);
    }
    file.streams.iter().filter_map(|(name, stream)| one(check, file, name, stream)).collect()
}

fn one(
    check: &mut Check<'_>,
    file: &ConfigFile,
    name: &str,
    stream: &StreamFile,
) -> Option<StreamSettings> {
    let target = reference(check, name, "target", "targets", stream.target.as_deref());
    let credential = match stream.credential.as_deref() {
        None | Some(ANONYMOUS) => Some(ANONYMOUS),
        named => reference(check, name, "credential", "credentials", named),
    };
    let policy = overridden(&file.policy, stream);
    policy_bounds(check, &["streams", name], &policy, Some((stream, &file.policy)));
    let ramp = stream.ramp.unwrap_or(file.schedule.ramp);
    if stream.ramp.is_some() {
        check.duration(&["streams", name, "ramp"], ramp, Duration::ZERO..=DAY);
    }
    if stream.in_flight_max.is_some_and(|max| max > file.engine.in_flight_max) {
        let allowed = format!("up to engine.in_flight_max = {}", file.engine.in_flight_max);
        check.problem(&["streams", name, "in_flight_max"], "more than the engine allows", allowed);
    }
    let rate = stream.rate?;
    // Half a ramp's worth of slots comes due in it; with none, it only delays the start.
    if stream.ramp.is_some_and(|own| !own.0.is_zero())
        && rate.events_through(u64::try_from(ramp.0.as_nanos()).unwrap_or(u64::MAX)) <= 2
    {
        check.warn(format!(
            "streams.{name}.ramp: at {rate} hardly a slot comes due within {ramp}, so it has no effect"
        ));
    }
    let safety = safety::of_stream(check, file, name, stream);
    let (mode, arrivals) = mode(check, file, name, stream);
    Some(StreamSettings {
        name: name.into(),
        target: target?.into(),
        credential: credential?.into(),
        in_flight_max: stream.in_flight_max.unwrap_or(file.engine.in_flight_max),
        mode,
        weight: stream.weight.unwrap_or(1.0),
        schedule: ScheduleSettings {
            rate,
            arrivals,
            ramp: ramp.0,
            catch_up_slots: stream
                .catch_up_slots
                .or(file.schedule.catch_up_slots)
                .unwrap_or_else(|| catch_up_slots(rate)),
        },
        policy: policy_settings(&policy),
        safety,
    })
}

/// Who decides how fast the stream sends, and how its slots are spaced.
fn mode(
    check: &mut Check<'_>,
    file: &ConfigFile,
    name: &str,
    stream: &StreamFile,
) -> (Mode, Arrivals) {
    let mode = match stream.mode.unwrap_or(file.policy.mode) {
        ModeName::Fixed => Mode::Fixed,
        ModeName::Adaptive => Mode::Adaptive,
    };
    let arrivals = match stream.arrivals.unwrap_or(file.schedule.arrivals) {
        ArrivalsName::Uniform => Arrivals::Uniform,
        ArrivalsName::Poisson => Arrivals::Poisson,
    };
    if mode == Mode::Adaptive && arrivals == Arrivals::Poisson {
        // Said where it was written.
        let own = ["streams", name, "arrivals"];
        let common = ["schedule", "arrivals"];
        check.problem(
            if stream.arrivals.is_some() { &own[..] } else { &common[..] },
            format!("streams.{name} is adaptive: it holds its rate evenly, just under a limit"),
            "uniform in adaptive mode, or mode = \"fixed\"",
        );
    }
    (mode, arrivals)
}

fn reference<'v>(
    check: &mut Check<'_>,
    stream: &str,
    key: &str,
    section: &str,
    named: Option<&'v str>,
) -> Option<&'v str> {
    let named = named?;
    let names = check.names(section);
    if !names.contains(&named) {
        let allowed = if names.is_empty() {
            format!("the name of a [{section}.NAME]; there is none")
        } else {
            names.join(", ")
        };
        check.problem(&["streams", stream, key], format!("unknown {key}"), allowed);
        return None;
    }
    Some(named)
}

/// The policy of a stream: its own words, and the section's where it has none.
fn overridden(section: &PolicyFile, stream: &StreamFile) -> PolicyFile {
    PolicyFile {
        mode: stream.mode.unwrap_or(section.mode),
        max_attempts: stream.max_attempts.unwrap_or(section.max_attempts),
        deadline: stream.deadline.unwrap_or(section.deadline),
        backoff_base: stream.backoff_base.unwrap_or(section.backoff_base),
        backoff_cap: stream.backoff_cap.unwrap_or(section.backoff_cap),
        jitter: stream.jitter.unwrap_or(section.jitter),
        retry_after_max: stream.retry_after_max.unwrap_or(section.retry_after_max),
        retry_after_jitter: stream.retry_after_jitter.unwrap_or(section.retry_after_jitter),
        retry_budget_ratio: stream.retry_budget_ratio.unwrap_or(section.retry_budget_ratio),
        retry_budget_reserve: stream.retry_budget_reserve.unwrap_or(section.retry_budget_reserve),
        ..section.clone()
    }
}

/// Bounds the durations of a policy; of a stream, those that it sets itself.
fn policy_bounds(
    check: &mut Check<'_>,
    at: &[&str],
    policy: &PolicyFile,
    stream: Option<(&StreamFile, &PolicyFile)>,
) {
    let own = |value: fn(&StreamFile) -> bool| stream.is_none_or(|(stream, _)| value(stream));
    let mut bound = |key: &str, value: HumanDuration, bounds| {
        check.duration(&[at, &[key]].concat(), value, bounds);
    };
    if own(|s| s.deadline.is_some()) {
        bound("deadline", policy.deadline, secs(1)..=DAY * 7);
    }
    if own(|s| s.backoff_base.is_some()) {
        bound("backoff_base", policy.backoff_base, MS..=HOUR);
    }
    if own(|s| s.backoff_base.is_some() || s.backoff_cap.is_some()) {
        let base = policy.backoff_base.0.clamp(MS, HOUR);
        bound("backoff_cap", policy.backoff_cap, base..=DAY);
    }
    if own(|s| s.retry_after_max.is_some()) {
        bound("retry_after_max", policy.retry_after_max, secs(1)..=DAY);
    }
    if own(|s| s.retry_after_jitter.is_some()) {
        bound("retry_after_jitter", policy.retry_after_jitter, Duration::ZERO..=HOUR);
    }
}

pub(super) fn backoff(policy: &PolicyFile) -> BackoffSettings {
    BackoffSettings {
        base: policy.backoff_base.0,
        cap: policy.backoff_cap.0,
        jitter: match policy.jitter {
            JitterName::Full => Jitter::Full,
            JitterName::Equal => Jitter::Equal,
            JitterName::Decorrelated => Jitter::Decorrelated,
        },
    }
}

fn policy_settings(policy: &PolicyFile) -> PolicySettings {
    PolicySettings {
        backoff: backoff(policy),
        max_attempts: policy.max_attempts,
        retry_budget: RetryBudgetSettings {
            ratio: policy.retry_budget_ratio,
            reserve: policy.retry_budget_reserve,
        },
        deadline: policy.deadline.0,
        retry_after_max: policy.retry_after_max.0,
        retry_after_jitter: policy.retry_after_jitter.0,
    }
}

fn adaptive_bounds(check: &mut Check<'_>, policy: &PolicyFile) {
    if let Some(latency_max) = policy.latency_max {
        check.duration(&["policy", "latency_max"], latency_max, MS..=HOUR);
    }
    let interval = ["policy", "exploration_interval"];
    check.duration(&interval, policy.exploration_interval, secs(10)..=DAY * 7);
    let interval = ["policy", "false_alarm_interval"];
    check.duration(&interval, policy.false_alarm_interval, HOUR..=DAY * 3_650);
}

pub(super) fn adaptive_settings(policy: &PolicyFile) -> AdaptiveSettings {
    AdaptiveSettings {
        margin: policy.margin,
        exploration: policy.exploration.then_some(ExplorationSettings {
            interval: policy.exploration_interval.0,
            share: policy.exploration_share,
            throttled_per_hour: policy.exploration_throttled_per_hour,
        }),
        latency_max: policy.latency_max.map(|max| max.0),
    }
}

/// What is allowed and yet probably not meant.
pub(super) fn remarks(
    check: &mut Check<'_>,
    file: &ConfigFile,
    streams: &[StreamSettings],
    credentials: &[NamedCredential],
) {
    for name in file.targets.keys().filter(|n| !streams.iter().any(|s| *s.target == ***n)) {
        check.warn(format!("targets.{name}: no stream uses it"));
    }
    for name in file.credentials.keys().filter(|n| !streams.iter().any(|s| *s.credential == ***n)) {
        check.warn(format!("credentials.{name}: no stream uses it"));
    }
    for stream in streams {
        let weighted = file.streams.get(&*stream.name).is_some_and(|s| s.weight.is_some());
        if weighted && stream.mode == Mode::Fixed {
            let name = &stream.name;
            check.warn(format!("streams.{name}.weight: the stream is not adaptive: no effect"));
        }
        let scope = file.targets.get(&*stream.target).and_then(|t| t.scope.as_ref());
        let credential = credentials.iter().find(|c| c.settings.name == stream.credential);
        let (Some(scope), Some(credential)) = (scope, credential) else { continue };
        for factor in scope {
            let unstated = match factor {
                Factor::Client => credential.client.is_empty(),
                Factor::User => credential.user.is_empty(),
                Factor::Tenant => credential.tenant.is_empty(),
                Factor::Token | Factor::Address | Factor::Route => false,
            };
            if unstated {
                let (target, name) = (&stream.target, &credential.settings.name);
                check.warn(format!(
                    "targets.{target}.scope: names the {factor}, which credentials.{name} does not \
                     state; credentials without one count as the same {factor}"
                ));
            }
        }
    }
}

/// A busy machine holds a process up for some milliseconds once in a while. What comes due meanwhile
/// may be sent: at 100/s that is two requests, at 1,000/s twenty, and no rate becomes a burst.
fn catch_up_slots(rate: Rate) -> u32 {
    const HELD_UP_S: f64 = 0.020;
    const LEAST: u32 = 2;
    const MOST: u32 = 1_000;
    ((rate.per_second() * HELD_UP_S) as u32).clamp(LEAST, MOST)
}
