//! The adaptive policy against limiters that nobody here wrote: it finds a limit that nobody told it, and holds just under
//! it. What it achieved is read from the servers' own logs; what it believes, from its `/metrics`.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::bench::Daemon;
use crate::support::limited::{Express, Headers, Limited, PyLimits};
use crate::support::nginx::{LimitReq, Nginx};
use crate::support::process::free_ports;

/// It may take so long to learn. Known to nobody at the start: the limit, its kind, and whether hints are to be had.
const LEARN_MAX: Duration = Duration::from_secs(120);
/// It has learned once it has held its rate for so long: the first guess after a refusal is not yet what it knows.
const LEARNED: Duration = Duration::from_secs(10);
/// Then this long counts.
const MEASURE: Duration = Duration::from_secs(30);
/// How often its metrics are read meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Of what the limit admits for as long as requests come evenly.
const GOODPUT_MIN: f64 = 0.95;
/// Of all requests in the measured part.
const REFUSED_MAX: f64 = 0.005;
/// The estimate, in relation to the limit.
const ESTIMATE: [f64; 2] = [0.97, 1.03];
/// Of the looks in the measured part. A refusal that is allowed costs a pause of a second.
const HOLDING_MIN: f64 = 0.9;

/// nginx without a burst admits a request when the last one that it admitted is 20 ms ago by its clock, which knows whole
/// milliseconds. Requests that come q earlier than an even stream would have to be sent 20 ms + q apart, and then come at
/// 20 / (20 + q) of the limit. q is the distance between the median of the gaps and their thousandth part, by the same
/// clock: 2 ms on a quiet machine, which makes 0.91 of the limit, and 10 ms on one that compiles besides. The daemon has to
/// find q by itself, and at 1 s each may be refused twice; so this much of that is asked.
const NO_BURST_GOODPUT_MIN: f64 = 0.9;
const EARLY_SHARE: f64 = 0.001;
/// A daemon that sends unevenly is not excused by it: no machine on which these tests mean anything makes it less.
const NO_BURST_POSSIBLE_MIN: f64 = 0.6;

/// From the server's decision until the daemon has heard it, and from the hand-over of a request until the server has
/// read it, on a busy machine. What was handed over before the refusal was heard may still arrive.
const ON_THE_WAY_S: f64 = 0.1;
/// nginx writes times down to the millisecond, and an arrival is the difference of two.
const ROUNDING_S: f64 = 0.003;
/// What nginx asks refused requests to wait for; the others say the rest of their window, which is a second too.
const RETRY_AFTER_S: u32 = 1;

/// The rate that the limit is believed to be.
const ESTIMATE_METRIC: &str = "plimsoll_estimate_rate";
/// 1 for the state that the policy is in.
const STATE_METRIC: &str = "plimsoll_pace_state";
const HOLDING: &str = "state=\"holding\"";

enum Api {
    Nginx(Nginx),
    Limited(Limited),
}

/// A request, as the server saw it.
struct Seen {
    arrived_s: f64,
    admitted: bool,
    retry_after_s: Option<u32>,
}

impl Api {
    fn url(&self) -> String {
        match self {
            Self::Nginx(nginx) => nginx.url(),
            Self::Limited(limited) => limited.url(),
        }
    }

    fn record(&self) -> Vec<Seen> {
        match self {
            Self::Nginx(nginx) => nginx
                .access_log()
                .iter()
                .map(|access| Seen {
                    arrived_s: access.arrived_s(),
                    admitted: access.status == 200,
                    retry_after_s: (access.status == 429).then_some(RETRY_AFTER_S),
                })
                .collect(),
            Self::Limited(limited) => limited
                .decisions()
                .iter()
                .map(|decision| Seen {
                    arrived_s: decision.arrived_s(),
                    admitted: decision.admitted,
                    retry_after_s: decision.retry_after_s,
                })
                .collect(),
        }
    }
}

struct Case {
    name: &'static str,
    api: Api,
    /// What it admits per second for as long as requests come evenly.
    limit: f64,
    /// What the daemon is allowed to send per second.
    ceiling: u32,
    /// Whether its answers tell the quota: then there is no reason ever to be refused.
    hinted: bool,
    /// Whether two requests that come a little too close are one too many.
    no_burst: bool,
}

impl Case {
    fn new(name: &'static str, api: Api, limit: f64, ceiling: u32) -> Self {
        Self { name, api, limit, ceiling, hinted: false, no_burst: false }
    }

    fn nginx(name: &'static str, burst: u32, ceiling: u32) -> Self {
        let nginx = Nginx::start(&LimitReq {
            rate: "50r/s".to_owned(),
            burst,
            retry_after_s: Some(RETRY_AFTER_S),
            ..LimitReq::default()
        });
        Self { no_burst: burst == 0, ..Self::new(name, Api::Nginx(nginx), 50.0, ceiling) }
    }
}

/// What the daemon believed during the measured part.
#[derive(Debug)]
struct Belief {
    looks: u32,
    holding: u32,
    estimate: Option<f64>,
}

/// What a case came to.
#[derive(Debug)]
struct Outcome {
    learned_after: Option<Duration>,
    refused_before: usize,
    sent: usize,
    refused: usize,
    time_s: f64,
    /// The share of the limit that could be had at most.
    possible: f64,
    belief: Belief,
}

/// The groups take turns: a machine that does more than one of them measures itself.
static TURN: Mutex<()> = Mutex::new(());

/// Runs all cases at once: most of the time nothing happens, and what happens is little work.
fn run(cases: impl FnOnce() -> Vec<Case>) {
    // One that failed has said so.
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = cases();
    thread::scope(|scope| {
        for case in &cases {
            let name = case.name.to_owned();
            // Named, so that a failure says whose it is.
            let case = thread::Builder::new().name(name).spawn_scoped(scope, || case.run());
            case.expect("a thread can be started");
        }
    });
}

impl Case {
    fn run(&self) {
        let [port] = free_ports();
        let configuration = configuration(&self.api.url(), self.ceiling);
        let mut daemon = Daemon::spawn(port, &configuration, &[]);
        daemon.wait_until_up();
        let learned_after = learn(&daemon);

        let from_s = unix_now_s();
        let belief = watch(&daemon, MEASURE);
        let until_s = unix_now_s();
        assert_eq!(daemon.metric("plimsoll_gate_violations_total", ""), 0.0);
        let status = daemon.terminate(Duration::from_secs(15));
        assert_eq!(status.code(), Some(0), "{}", daemon.log());

        let mut record = self.api.record();
        // nginx logs in the order of its answers.
        record.sort_by(|a, b| a.arrived_s.total_cmp(&b.arrived_s));
        let (before, rest) = record.split_at(record.partition_point(|s| s.arrived_s < from_s));
        let (measured, _) = rest.split_at(rest.partition_point(|s| s.arrived_s < until_s));
        let outcome = Outcome {
            learned_after,
            refused_before: before.iter().filter(|seen| !seen.admitted).count(),
            sent: measured.len(),
            refused: measured.iter().filter(|seen| !seen.admitted).count(),
            time_s: until_s - from_s,
            possible: if self.no_burst {
                possible_without_burst(measured, self.limit)
            } else {
                1.0
            },
            belief,
        };
        println!("{}: {outcome:.3?}", self.name);
        retry_after_was_kept(&record);
        self.check(&outcome);
    }

    fn check(&self, outcome: &Outcome) {
        let name = self.name;
        assert!(outcome.learned_after.is_some(), "{name}: not learned: {outcome:.3?}");
        let goodput = (outcome.sent - outcome.refused) as f64 / outcome.time_s / self.limit;
        let least = if self.no_burst { NO_BURST_GOODPUT_MIN } else { GOODPUT_MIN };
        assert!(
            goodput >= least * outcome.possible,
            "{name}: {goodput:.3} admitted: {outcome:.3?}"
        );
        let refused = outcome.refused as f64 / outcome.sent as f64;
        assert!(refused <= REFUSED_MAX, "{name}: {refused:.4} refused: {outcome:.3?}");
        if self.hinted {
            assert_eq!((outcome.refused_before, outcome.refused), (0, 0), "{name}: {outcome:.3?}");
        } else {
            // Or the limit was not found by what is tested here.
            assert!(outcome.refused_before > 0, "{name}: never refused: {outcome:.3?}");
        }
        let Belief { looks, holding, estimate } = outcome.belief;
        let held = f64::from(holding) / f64::from(looks);
        assert!(held >= HOLDING_MIN, "{name}: holding for {held:.3} of the time: {outcome:.3?}");
        let estimate = estimate.unwrap_or_else(|| panic!("{name}: no estimate: {outcome:.3?}"));
        let [low, high] = ESTIMATE;
        let believable = low * outcome.possible * self.limit..=high * self.limit;
        assert!(believable.contains(&estimate), "{name}: {estimate} estimated: {outcome:.3?}");
    }
}

/// The share of the limit that a stream can have that is never to be refused; see [`NO_BURST_GOODPUT_MIN`].
fn possible_without_burst(measured: &[Seen], limit: f64) -> f64 {
    let mut gaps_s: Vec<f64> =
        measured.windows(2).map(|pair| pair[1].arrived_s - pair[0].arrived_s).collect();
    gaps_s.sort_by(f64::total_cmp);
    let at = |share: f64| gaps_s.get((gaps_s.len() as f64 * share) as usize).unwrap_or(&0.0);
    let possible = 1.0 / (1.0 + (at(0.5) - at(EARLY_SHARE)) * limit);
    possible.max(NO_BURST_POSSIBLE_MIN)
}

/// Nothing arrives inside a Retry-After, in the learning part neither.
fn retry_after_was_kept(record: &[Seen]) {
    for refusal in record {
        let Some(retry_after_s) = refusal.retry_after_s else { continue };
        // By when the server decided. The daemon counts from when it heard, which is later.
        let until_s = refusal.arrived_s + f64::from(retry_after_s) - ROUNDING_S;
        let silent_s = refusal.arrived_s + ON_THE_WAY_S..until_s;
        let inside = record.iter().find(|seen| silent_s.contains(&seen.arrived_s));
        let into_s = inside.map(|seen| seen.arrived_s - refusal.arrived_s);
        assert_eq!(into_s, None, "seconds into the {retry_after_s} that a refusal asked for");
    }
}

/// How long it took until the daemon knew what it holds.
#[expect(clippy::disallowed_methods, reason = "a real daemon learns in real time")]
fn learn(daemon: &Daemon) -> Option<Duration> {
    let started = Instant::now();
    let mut holding_since = None;
    while started.elapsed() < LEARN_MAX {
        let since = holding_since.get_or_insert_with(Instant::now);
        if !is_holding(daemon) {
            holding_since = None;
        } else if since.elapsed() >= LEARNED {
            return Some(started.elapsed());
        }
        thread::sleep(LOOK_EVERY);
    }
    None
}

#[expect(clippy::disallowed_methods, reason = "a real daemon is measured in real time")]
fn watch(daemon: &Daemon, time: Duration) -> Belief {
    let until = Instant::now() + time;
    let mut belief = Belief { looks: 0, holding: 0, estimate: None };
    while Instant::now() < until {
        thread::sleep(LOOK_EVERY);
        belief.looks += 1;
        belief.holding += u32::from(is_holding(daemon));
        belief.estimate = daemon.find_metric(ESTIMATE_METRIC, "");
    }
    belief
}

fn is_holding(daemon: &Daemon) -> bool {
    daemon.find_metric(STATE_METRIC, HOLDING) == Some(1.0)
}

#[expect(clippy::disallowed_methods, reason = "compared with the times that real servers record")]
fn unix_now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs_f64()
}

/// The ceiling is all that it is told of a rate.
fn configuration(target: &str, ceiling: u32) -> String {
    // JSON is YAML, and needs no care with quoting.
    json!({
        "policy": {"mode": "adaptive", "retry_after_jitter": "0s"},
        "targets": {"limited": {
            "base_url": target,
            "path": "/messages",
            "headers": {"x-request-id": "{{message_id}}"},
            "body": r#"{"text":"message {{sequence}}"}"#,
        }},
        "credentials": {"bench": {"type": "bearer", "token_env": "BENCH_TOKEN"}},
        "streams": {"only": {"target": "limited", "credential": "bench", "rate": format!("{ceiling}/s")}},
    })
    .to_string()
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn holds_just_under_the_limit_of_nginx() {
    run(|| vec![Case::nginx("with a burst", 20, 150), Case::nginx("without a burst", 0, 100)]);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn holds_just_under_the_limits_of_npm_and_python() {
    run(|| {
        let express = |headers| Api::Limited(Express { headers, ..Express::default() }.start());
        let limits = Api::Limited(PyLimits::default().start());
        let hinted = Case::new("hinted windows", express(Headers::Draft(7)), 100.0, 400);
        vec![
            Case { hinted: true, ..hinted },
            Case::new("silent windows", express(Headers::None), 100.0, 200),
            Case::new("moving window", limits, 100.0, 300),
        ]
    });
}
