//! An experiment as its file states it. Keys that are not here are refused, with their line.

use std::path::Path;

use plimsoll::model::HumanDuration;
use serde::Deserialize;

use super::axis::Axis;
use super::words::{AdviceWord, Cap, HintsWord, Limiter, LockoutWord};

/// One file. Every [`Axis`] may be a list; the cases are all their combinations.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experiment {
    pub(crate) name: String,
    pub(crate) question: String,
    /// Why the accepted ranges are what they are, where they differ from the bars.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// Whether the bench compares other policies with ours here.
    #[serde(default)]
    pub(crate) compared: bool,
    pub(crate) limiter: Axis<Limiter>,
    /// For every limiter but concurrency.
    #[serde(default)]
    pub(crate) cap: Option<Axis<Cap>>,
    /// Configured rate of all streams together, in multiples of the cap.
    #[serde(default = "ceiling")]
    pub(crate) ceiling: Axis<f64>,
    #[serde(default = "hints")]
    pub(crate) hints: Axis<HintsWord>,
    #[serde(default = "advice")]
    pub(crate) advice: Axis<AdviceWord>,
    #[serde(default = "lockout")]
    pub(crate) lockout: Axis<LockoutWord>,
    /// Whether refused requests use up quota.
    #[serde(default = "no")]
    pub(crate) counts_refused: Axis<bool>,
    #[serde(default = "rtt")]
    pub(crate) rtt: Axis<HumanDuration>,
    /// Of the arrival, uniform.
    #[serde(default = "jitter")]
    pub(crate) jitter: Axis<HumanDuration>,
    #[serde(default = "service")]
    pub(crate) service: Axis<HumanDuration>,
    #[serde(default = "none")]
    pub(crate) service_jitter: Axis<HumanDuration>,
    /// Gateways among which the cap is divided.
    #[serde(default = "one")]
    pub(crate) shards: Axis<u32>,
    /// Whether the policy may look above its estimate.
    #[serde(default)]
    pub(crate) exploration: bool,
    #[serde(default = "one_stream", rename = "stream")]
    pub(crate) streams: Vec<Stream>,
    #[serde(default)]
    pub(crate) neighbour: Option<Neighbour>,
    #[serde(default)]
    pub(crate) change: Option<Change>,
    #[serde(default)]
    pub(crate) accepted: Accepted,
}

/// One of several streams that share the limit; they share the ceiling evenly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) weight: f64,
}

/// Another tenant's traffic, from the start to the end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neighbour {
    /// Of the cap.
    pub(crate) share: f64,
    pub(crate) arrivals: Arrivals,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arrivals {
    Uniform,
    Poisson,
}

/// The cap changes when the time to learn is over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// What it is then, in multiples of what it was.
    pub(crate) cap_times: f64,
}

/// Accepted ranges. What a file leaves out is the bar that holds everywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Accepted {
    /// Admitted, in relation to the oracle: least and most. The most is there to catch a wrong oracle.
    pub(crate) goodput: [f64; 2],
    /// Refused, of what was sent, at most.
    pub(crate) throttled: f64,
    /// The same, where honest hints tell the limit.
    pub(crate) throttled_with_hints: f64,
    /// Refused requests while learning, at most. Where honest hints tell the limit, none anyway.
    pub(crate) throttled_learning: Option<u64>,
    /// Share of seeds that keep the bars where one epoch costs more than 3 % of the time.
    pub(crate) seeds: f64,
    /// What a weight's worth of the heavier stream gets, in relation to the lighter's: least and most.
    pub(crate) fairness: [f64; 2],
}

impl Default for Accepted {
    fn default() -> Self {
        Self {
            goodput: [0.97, 1.03],
            throttled: 0.002,
            throttled_with_hints: 0.0,
            throttled_learning: None,
            seeds: 0.9,
            fairness: [0.97, 1.03],
        }
    }
}

fn ceiling() -> Axis<f64> {
    Axis::one(2.0)
}

fn hints() -> Axis<HintsWord> {
    Axis::one("none".parse().expect("a word of ours"))
}

fn advice() -> Axis<AdviceWord> {
    Axis::one("exact".parse().expect("a word of ours"))
}

fn lockout() -> Axis<LockoutWord> {
    Axis::one("none".parse().expect("a word of ours"))
}

fn no() -> Axis<bool> {
    Axis::one(false)
}

fn one() -> Axis<u32> {
    Axis::one(1)
}

fn time(text: &str) -> Axis<HumanDuration> {
    Axis::one(text.parse().expect("a duration of ours"))
}

fn rtt() -> Axis<HumanDuration> {
    time("20ms")
}

fn jitter() -> Axis<HumanDuration> {
    time("100us")
}

fn service() -> Axis<HumanDuration> {
    time("5ms")
}

fn none() -> Axis<HumanDuration> {
    time("0s")
}

fn one_stream() -> Vec<Stream> {
    vec![Stream { name: "main".to_owned(), weight: 1.0 }]
}

/// Reads one experiment; the error names the file's place and what is wrong there.
pub(crate) fn parse(name: &str, text: &str) -> Result<Experiment, String> {
    let experiment: Experiment = toml::from_str(text).map_err(|e| format!("{name}: {e}"))?;
    experiment.check().map_err(|e| format!("{name}: {e}"))?;
    Ok(experiment)
}

/// Every experiment of a directory, in order of file names.
pub(crate) fn load(directory: &Path) -> Result<Vec<Experiment>, String> {
    let unreadable = |e: std::io::Error| format!("{}: {e}", directory.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        parse(&path.display().to_string(), &text)
    };
    paths.iter().map(read).collect()
}

impl Experiment {
    fn check(&self) -> Result<(), String> {
        let concurrency = |l: &Limiter| matches!(l, Limiter::Concurrency(_));
        let mixed =
            self.limiter.0.iter().any(concurrency) != self.limiter.0.iter().all(concurrency);
        if mixed {
            return Err("limiter: concurrency has no cap, so it cannot share a file".to_owned());
        }
        match (self.limiter.0.iter().any(concurrency), &self.cap) {
            (true, Some(_)) => return Err("cap: a concurrency limit has none".to_owned()),
            (false, None) => return Err("cap: missing".to_owned()),
            _ => {}
        }
        if self.streams.is_empty() || self.streams.iter().any(|s| s.weight <= 0.0) {
            return Err("stream: at least one, with weights above zero".to_owned());
        }
        let positive = |c: &f64| c.is_finite() && *c > 0.0;
        if !self.ceiling.0.iter().all(positive) {
            return Err("ceiling: above zero, in multiples of the cap".to_owned());
        }
        if self.change.as_ref().is_some_and(|c| !positive(&c.cap_times)) {
            return Err("change.cap_times: above zero".to_owned());
        }
        let differs = format!("{:?}", self.accepted) != format!("{:?}", Accepted::default());
        if differs && self.why.is_none() {
            return Err("why: missing, though accepted ranges differ from the bars".to_owned());
        }
        Ok(())
    }
}
