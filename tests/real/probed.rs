//! What `plimsoll probe` says of limiters that others wrote: is it what they were told to be?
//!
//! The probes run side by side, most of the time waiting; with `--nocapture` the table of `docs/INFERENCE.md` is printed.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::alone;
use crate::support::limited::{Express, Limited, PyLimits, Strategy};
use crate::support::nginx::{LimitReq, Nginx};
use crate::support::process::{Process, free_ports, temp_dir, write_file};

/// What a probe may take, and what it is given to say it.
const BUDGET: &str = "60s";
/// What it thinks about at its end takes long on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(240);

/// A server with a limit.
enum Server {
    Nginx(Nginx),
    Limited(Limited),
    Simulated { url: String, _process: Process, _directory: TempDir },
}

impl Server {
    fn url(&self) -> String {
        match self {
            Self::Nginx(nginx) => nginx.url(),
            Self::Limited(limited) => limited.url(),
            Self::Simulated { url, .. } => url.clone(),
        }
    }
}

/// A limit, and what is to be said of it. Limiters that decide alike have several names.
struct Case {
    name: &'static str,
    start: fn() -> Server,
    kinds: &'static [&'static str],
    per_second: f64,
    burst: f64,
    /// It is not told right as a rule: what is said of it is printed, and held to nothing.
    open: bool,
}

fn nginx(rate: &str, burst: u32, nodelay: bool) -> Server {
    let rate = rate.to_owned();
    let limit = LimitReq { rate, burst, nodelay, retry_after_s: None, ..LimitReq::default() };
    Server::Nginx(Nginx::start(&limit))
}

fn limits(strategy: Strategy) -> Server {
    let limits = PyLimits { rate: "50/second".to_owned(), strategy, ..PyLimits::default() };
    Server::Limited(limits.start())
}

fn simulated(limit: &str) -> Server {
    let directory = temp_dir();
    let [port] = free_ports();
    let text = format!(
        "[[operations]]\nshape = \"generic\"\npath = \"/messages\"\n[[limits]]\nname = \"cap\"\n{limit}\n"
    );
    write_file(directory.path(), "simulator.toml", &text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["simulate", "--config.file", "simulator.toml", "--listen-address"]);
    command.arg(format!("127.0.0.1:{port}")).current_dir(directory.path());
    let mut process = Process::spawn("simulate", &mut command, &directory.path().join("api.log"));
    let url = format!("http://127.0.0.1:{port}");
    process.wait_for_answer(&format!("{url}/simulator/stats"), Duration::from_secs(15));
    Server::Simulated { url, _process: process, _directory: directory }
}

const BUCKET: &[&str] = &["token_bucket"];

const CASES: &[Case] = &[
    Case {
        name: "nginx `limit_req` 50r/s, burst=20 nodelay",
        start: || nginx("50r/s", 20, true),
        kinds: BUCKET,
        per_second: 50.0,
        burst: 21.0,
        open: false,
    },
    Case {
        name: "nginx `limit_req` 50r/s, burst=20",
        start: || nginx("50r/s", 20, false),
        kinds: &["queue"],
        per_second: 50.0,
        burst: 21.0,
        open: false,
    },
    Case {
        name: "nginx `limit_req` 50r/s",
        start: || nginx("50r/s", 0, false),
        // One at a time: what a bucket of one does, a window of one does as well.
        kinds: &["token_bucket", "sliding_log", "on_demand_window"],
        per_second: 50.0,
        burst: 1.0,
        open: true,
    },
    Case {
        name: "`express-rate-limit`, 50 in 1 s",
        start: || {
            let window = Duration::from_secs(1);
            Server::Limited(Express { limit: 50, window, ..Express::default() }.start())
        },
        kinds: &["on_demand_window"],
        per_second: 50.0,
        burst: 50.0,
        open: false,
    },
    Case {
        name: "`limits`, fixed window, 50 in 1 s",
        start: || limits(Strategy::FixedWindow),
        kinds: &["on_demand_window"],
        per_second: 50.0,
        burst: 50.0,
        open: false,
    },
    Case {
        name: "`limits`, moving window, 50 in 1 s",
        start: || limits(Strategy::MovingWindow),
        kinds: &["sliding_log"],
        per_second: 50.0,
        burst: 50.0,
        open: false,
    },
    Case {
        name: "`limits`, sliding window counter, 50 in 1 s",
        start: || limits(Strategy::SlidingWindowCounter),
        kinds: &["sliding_counter"],
        per_second: 50.0,
        burst: 50.0,
        open: false,
    },
    Case {
        name: "`plimsoll simulate`, fixed window, 40 in 1 s",
        start: || simulated("kind = \"fixed_window\"\nlimit = 40\nwindow = \"1s\""),
        kinds: &["fixed_window"],
        per_second: 40.0,
        burst: 40.0,
        open: false,
    },
];

/// The report about a server.
fn probe(url: &str, directory: &Path) -> Value {
    let config = format!(
        "[web]\nlisten_address = \"127.0.0.1:0\"\n[schedule]\nramp = \"0s\"\n[targets.t]\nbase_url = \"{url}\"\n\
         path = \"/messages\"\nbody = '{{\"to\":{{\"id\":\"participant-id\"}},\"text\":\"message\"}}'\n\
         [streams.s]\ntarget = \"t\"\nrate = \"200/s\"\n"
    );
    write_file(directory, "probe.toml", &config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["probe", "--config.file", "probe.toml", "--max-time", BUDGET]);
    command.args(["--report.json", "report.json", "--record", "record.ndjson"]);
    let mut process =
        Process::spawn("probe", command.current_dir(directory), &directory.join("probe.log"));
    let status = process.wait(RUN_MAX);
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let report = std::fs::read_to_string(directory.join("report.json")).expect("was written");
    serde_json::from_str(&report).expect("is JSON")
}

/// The report about what a probe recorded.
fn infer(record: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.arg("infer").arg(record).args(["--format", "json"]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("is JSON")
}

/// What an answer is worth, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Wrong,
    /// It says that it does not know, as it may on a machine that is busy with something else.
    Unknown,
    /// Little is wrong with it: a busy machine holds requests up on their way, and a request or two are miscounted.
    About,
    Right,
}

/// What is not right is wrong, if it is off by more than this.
const ABOUT: f64 = 0.05;

impl Worth {
    fn of(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }
}

/// A figure of a limit, which is right within a tolerance of the truth, if its interval holds it.
fn figure(found: &Value, truth: f64, tolerance: f64) -> (String, Worth) {
    let number = |key: &str| found["value"][key].as_f64();
    let (Some(value), Some(low), Some(high)) = (number("value"), number("low"), number("high"))
    else {
        return ("unknown".to_owned(), Worth::Unknown);
    };
    let off = (value - truth).abs();
    let worth = if off <= tolerance && low <= truth && truth <= high {
        Worth::Right
    } else if off <= (truth * ABOUT).max(1.5) {
        Worth::About
    } else {
        Worth::Wrong
    };
    let mark = if worth == Worth::Right { "" } else { " !" };
    (format!("{value:.2} ({low:.2}–{high:.2}){mark}"), worth)
}

/// A row of the table, and what the worst of it is worth.
fn row(case: &Case, report: &Value) -> (String, Worth) {
    let limit = &report["conclusion"]["limits"][0];
    let kind = limit["kind"]["value"].as_str();
    let kind_worth = kind.map_or(Worth::Unknown, |kind| Worth::of(case.kinds.contains(&kind)));
    let (rate, rate_worth) = figure(&limit["rate"], case.per_second, case.per_second / 100.0);
    let tolerance = f64::max(1.0, case.burst * 0.02);
    let (burst, burst_worth) = figure(&limit["burst"], case.burst, tolerance);
    let spent = &report["experiment"]["spent"];
    let mark = if kind_worth == Worth::Wrong { " !" } else { "" };
    let text = format!(
        "| {} | {}{mark} | {rate} | {burst} | {} | {} | {:.0} |",
        case.name,
        kind.unwrap_or("unknown").replace('_', " "),
        spent["requests"],
        spent["throttles"],
        spent["seconds"].as_f64().unwrap_or_default(),
    );
    (text, kind_worth.min(rate_worth).min(burst_worth))
}

/// So many of those that are not open must be told wholly, on the busiest machine.
const RIGHT_MIN: usize = 3;

/// Intervals of 95 % miss once in twenty: what is wrong twice is wrong.
const TRIES: u32 = 2;

/// The row about a limiter; one more probe is made where a first one came out wrong.
fn told(case: &Case) -> (String, Worth) {
    let server = (case.start)();
    let directory = temp_dir();
    let mut last = (String::new(), Worth::Unknown);
    for _ in 0..if case.open { 1 } else { TRIES } {
        last = row(case, &probe(&server.url(), directory.path()));
        // Whoever reads its record later must come to the same.
        let (text, worth) = row(case, &infer(&directory.path().join("record.ndjson")));
        if worth < last.1 {
            last.1 = worth;
            let _ = write!(last.0, " of its record: {text}");
        }
        if last.1 != Worth::Right {
            // To be looked at afterwards.
            let name = case.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ndjson"));
            let _ = std::fs::copy(directory.path().join("record.ndjson"), kept);
        }
        if last.1 == Worth::Right {
            break;
        }
    }
    last
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_probe_tells_what_the_limiters_of_others_are() {
    let _machine = alone();
    let rows: Vec<(String, Worth)> = std::thread::scope(|threads| {
        let probing: Vec<_> = CASES.iter().map(|case| threads.spawn(move || told(case))).collect();
        probing.into_iter().map(|thread| thread.join().expect("it reports")).collect()
    });
    let mut table = String::from(
        "| limiter | kind | per second | at once | requests | refused | seconds |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (text, _) in &rows {
        let _ = writeln!(table, "{text}");
    }
    println!("{table}");
    let with = |worth: Worth| {
        let rows = CASES.iter().zip(&rows).filter(move |(case, row)| row.1 == worth && !case.open);
        rows.map(|(case, _)| case.name).collect::<Vec<_>>()
    };
    let (wrong, right) = (with(Worth::Wrong), with(Worth::Right));
    assert!(wrong.is_empty(), "{wrong:?}; what is wrong is marked with !:\n{table}");
    assert!(right.len() >= RIGHT_MIN, "only {right:?}:\n{table}");
}
