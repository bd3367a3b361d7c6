//! The past hour in few numbers, so that a page that is opened after something happened still shows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::model::{GateState, Status};

/// Between two samples, in seconds.
pub(super) const PERIOD_S: f64 = 5.0;
/// An hour of samples.
const SAMPLES_MAX: usize = 720;
/// Gates in one sample; configurations with more of them are watched in Grafana.
const GATES_MAX: usize = 16;

/// All gates at one time. Counts are since the start of the process.
#[derive(Debug, Serialize)]
struct Sample {
    at: f64,
    gates: Vec<GateSample>,
}

/// One gate and the streams behind it.
#[derive(Debug, Serialize)]
struct GateSample {
    name: String,
    state: GateState,
    sent: u64,
    accepted: u64,
    throttled: u64,
    rejected: u64,
    failed: u64,
    skipped: u64,
    /// The rate, per second, where a stream behind the gate is adaptive.
    pace: Option<f64>,
    /// The limit, per second, where it is known.
    low: Option<f64>,
    limit: Option<f64>,
    high: Option<f64>,
}

/// The samples so far. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct History {
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

impl History {
    /// Keeps a snapshot, unless the last one is too recent.
    pub(super) fn keep(&self, status: &Status) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        // A little less, or a tick that comes early would double the period.
        if samples.back().is_some_and(|last| status.at - last.at < PERIOD_S - 0.5) {
            return;
        }
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(Sample { at: status.at, gates: gates(status) });
    }

    /// All samples as JSON, the oldest first.
    pub(super) fn json(&self) -> String {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_string(&*samples).unwrap_or_else(|_| "[]".to_owned())
    }
}

fn gates(status: &Status) -> Vec<GateSample> {
    let of_gate = status.gates.iter().take(GATES_MAX).map(|gate| {
        let streams = || status.streams.iter().filter(|stream| stream.gate == gate.name);
        let ended =
            |outcome| streams().map(|s| s.outcomes.get(outcome).copied().unwrap_or_default()).sum();
        let estimate = gate.limit.estimate.as_ref();
        GateSample {
            name: gate.name.clone(),
            state: gate.state,
            sent: streams().map(|s| s.sent).sum(),
            accepted: ended("accepted"),
            throttled: ended("throttled"),
            rejected: ended("rejected"),
            failed: ended("failed"),
            skipped: streams().flat_map(|s| s.skipped.values()).sum(),
            pace: gate.pace.as_ref().map(|pace| pace.rate),
            low: estimate.map(|e| e.rate.low),
            limit: estimate.map(|e| e.rate.value),
            high: estimate.map(|e| e.rate.high),
        }
    });
    of_gate.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChangeSight, GateStatus, Knowledge, LimitStatus, RunState, WallOffset};

    fn status(at: f64) -> Status {
        let sight = ChangeSight::Nothing;
        let known = Knowledge { estimate: None, declared: None, admitted: None, sight };
        Status {
            at,
            uptime_seconds: at,
            state: RunState::Running,
            in_flight: 0,
            paused: false,
            caps: Vec::new(),
            breakers: Vec::new(),
            streams: Vec::new(),
            gates: vec![GateStatus {
                name: "g".to_owned(),
                state: GateState::HalfOpen,
                until: None,
                long: false,
                level: 0,
                epochs: 0,
                held_seconds: 0.0,
                limit: LimitStatus::of(&known, None, WallOffset::default()),
                pace: None,
            }],
            credentials: Vec::new(),
        }
    }

    #[test]
    fn it_keeps_an_hour_in_equal_steps_and_no_more() {
        let history = History::default();
        for second in 0..5_000 {
            history.keep(&status(f64::from(second)));
        }
        let samples: serde_json::Value = serde_json::from_str(&history.json()).expect("JSON");
        let times: Vec<f64> = samples
            .as_array()
            .expect("a list")
            .iter()
            .map(|sample| sample["at"].as_f64().expect("a time"))
            .collect();
        assert_eq!(times.len(), SAMPLES_MAX);
        assert_eq!(times.last(), Some(&4_995.0));
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == PERIOD_S));
        assert_eq!(samples[0]["gates"][0]["state"], "half_open");
        assert!(samples[0]["gates"][0]["limit"].is_null(), "unknown is not 0");
    }
}
