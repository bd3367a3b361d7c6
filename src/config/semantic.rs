//! What a schema cannot say: references between sections, bounds on durations, choices that
//! exclude each other. Finds everything that is wrong, and builds the settings.

mod connection;
mod credential;
mod process;
mod safety;
mod stream;
mod target;
mod url;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::HumanDuration;

use super::problem::Problem;
use super::raw::ConfigFile;
use super::settings::Settings;
use super::tree::{Path, Tree, shown};
use super::violations::show;

/// The findings so far. A check that fails leaves a problem here and some usable value behind, so
/// that the checks after it can go on.
pub(super) struct Check<'a> {
    tree: &'a Tree,
    /// Paths that are reported already; what follows from them is not reported again.
    reported: &'a [Path],
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// Checks a file that satisfies its schema, as far as it was not left out as unusable.
pub(super) fn settings(
    file: &ConfigFile,
    tree: &Tree,
    reported: &[Path],
) -> Result<Settings, Vec<Problem>> {
    let mut check = Check { tree, reported, problems: Vec::new(), warnings: Vec::new() };
    let process = process::check(&mut check, file);
    let state = process::state(&mut check, file);
    let attempt_log = process::attempt_log(&mut check, file, &state);
    let objectives = process::objectives(&mut check, file);
    let reload_interval = process::reload(&mut check, file);
    let connections = connection::all(&mut check, file);
    let targets = target::all(&mut check, file, &connections);
    target::one_scope_in_each_domain(&mut check, &targets);
    let credentials = credential::all(&mut check, file, &connections);
    let streams = stream::all(&mut check, file);
    let safety = safety::check(&mut check, file);
    let thresholds = safety::thresholds(&mut check, file);
    safety::hosts(&mut check, file, &targets, &credentials);
    let (web, log, tracing) = process;
    if !check.problems.is_empty() {
        return Err(check.problems);
    }
    stream::remarks(&mut check, file, &streams, &credentials);
    safety::remarks(&mut check, file, &streams);
    let used_target = |name: &str| streams.iter().any(|s| &*s.target == name);
    let used_credential = |name: &str| streams.iter().any(|s| &*s.credential == name);
    Ok(Settings {
        web,
        log,
        tracing,
        state,
        attempt_log,
        objectives,
        reload_interval,
        grace_period: file.lifecycle.grace_period.0,
        in_flight_max: file.engine.in_flight_max,
        adaptive: stream::adaptive_settings(&file.policy),
        false_alarm_interval: file.policy.false_alarm_interval.0,
        safety,
        thresholds,
        targets: targets.into_iter().filter(|t| used_target(&t.endpoint.name)).collect(),
        credentials: credentials
            .into_iter()
            .filter(|c| used_credential(&c.settings.name))
            .collect(),
        streams,
        warnings: check.warnings,
        sources: Vec::new(),
        effective: serde_json::Value::Null,
    })
}

fn path(keys: &[&str]) -> Path {
    keys.iter().map(|k| (*k).to_owned()).collect()
}

impl<'a> Check<'a> {
    /// Notes a problem with the value at a path.
    fn problem(&mut self, keys: &[&str], message: impl Into<String>, allowed: impl Into<String>) {
        let path = path(keys);
        if self.reported.iter().any(|reported| path.starts_with(reported)) {
            return;
        }
        let mut problem = Problem::new(shown(&path), message).allowed(allowed);
        problem.found = self.tree.get(&path).map(|value| show(&path, value));
        problem.origin = self.tree.origin(&path);
        self.problems.push(problem);
    }

    /// Whether the value at a path was left out as unusable.
    fn is_reported(&self, keys: &[&str]) -> bool {
        self.reported.contains(&path(keys))
    }

    /// The keys of a section as written, whether or not their values are usable.
    fn names(&self, section: &str) -> Vec<&'a str> {
        let table = self.tree.root.get(section).and_then(serde_json::Value::as_object);
        let mut names: Vec<&str> =
            table.map(|t| t.keys().map(String::as_str).collect()).unwrap_or_default();
        names.sort_unstable();
        names
    }

    /// Bounds a duration.
    fn duration(&mut self, keys: &[&str], value: HumanDuration, bounds: RangeInclusive<Duration>) {
        if !bounds.contains(&value.0) {
            let message = if value.0 < *bounds.start() { "too short" } else { "too long" };
            let (low, high) = (HumanDuration(*bounds.start()), HumanDuration(*bounds.end()));
            self.problem(keys, message, format!("from {low} to {high}"));
        }
    }

    /// The value of a check, or a problem.
    fn keep<T>(&mut self, keys: &[&str], result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.problem(keys, fault.message, fault.allowed)).ok()
    }

    fn warn(&mut self, warning: impl Display) {
        self.warnings.push(warning.to_string());
    }
}

/// Checks what should be the name of an environment variable. It may be its value instead, so it is
/// shown nowhere.
fn variable_name(check: &mut Check<'_>, keys: &[&str], name: &str) {
    let well_formed = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !well_formed {
        let allowed = "the name of an environment variable (not its value)";
        check.problem(keys, "not the name of a variable", allowed);
    }
}

/// What is wrong with one value, wherever it stands.
struct Fault {
    message: String,
    allowed: String,
}

impl Fault {
    fn new(message: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { message: message.into(), allowed: allowed.into() }
    }
}

const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = secs(3_600);
const DAY: Duration = secs(86_400);
