//! One turn: one side sends to a fresh server for a while, and what it did and what it cost is noted.

use std::time::Duration;

use serde::Serialize;

use crate::clock::{now_ns, sleep_until};
use crate::process::{Process, cpu_s, get, machine_cpu_s};
use crate::surroundings::Surroundings;
use crate::tools::{Tool, Traffic};
use crate::{Arguments, Result, stats};

/// Before the measured span: connections are made, memory has grown to its size.
const WARM_UP_S: u64 = 2;

/// After it, so that the end of a program is not measured.
const TAIL_S: u64 = 1;

/// How long a program may take to end once its time is over.
const END_WITHIN: Duration = Duration::from_secs(30);

/// What came of a turn. All of it concerns the measured span alone, but for the memory and the telemetry.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Turn {
    /// Requests that the server saw.
    pub(crate) requests: u64,
    /// Of those, per second.
    pub(crate) rate: f64,
    pub(crate) lateness_p50_ms: Option<f64>,
    pub(crate) lateness_p99_ms: Option<f64>,
    pub(crate) lateness_p999_ms: Option<f64>,
    pub(crate) lateness_max_ms: Option<f64>,
    /// By how much the arrivals' own rate differs from what was asked for, in millionths.
    pub(crate) rate_error_ppm: Option<f64>,
    /// CPU time for every second, in percent of one core.
    pub(crate) cpu_percent: f64,
    /// The same of the server: near 100 it is what limits the rate, for it has one thread.
    pub(crate) server_cpu_percent: f64,
    /// The most that was resident at once since its start.
    pub(crate) resident_mib: f64,
    /// CPU time that neither side, server, collector nor this program used, in percent of one core. Results of a
    /// machine that has other things to do are worth little.
    pub(crate) others_percent: f64,
    /// Scrapes answered, and what the collector took: evidence that the telemetry was on.
    pub(crate) scrapes: u64,
    pub(crate) spans: u64,
    pub(crate) log_lines: u64,
}

/// CPU times at one moment, in seconds.
struct CpuTimes {
    at_ns: u64,
    tool: f64,
    server: f64,
    /// The rest of the bench: the collector and this program.
    bench: f64,
    machine: f64,
}

impl CpuTimes {
    fn read(tool: &Process, around: &Surroundings) -> Result<Self> {
        Ok(Self {
            at_ns: now_ns(),
            tool: tool.cpu_s()?,
            server: around.server.process.cpu_s()?,
            bench: cpu_s("self")? + around.collector.process().cpu_s()?,
            machine: machine_cpu_s()?,
        })
    }
}

/// Lets one side have its turn.
pub(crate) fn take(tool: Tool, traffic: &Traffic, arguments: &Arguments) -> Result<Turn> {
    let around = Surroundings::start(traffic.service_us, arguments)?;
    let seconds = arguments.seconds();
    let total_s = WARM_UP_S + seconds + TAIL_S;
    let command = tool.command(traffic, around.server.port, total_s, &around)?;
    let mut process = Process::spawn(tool.name(), command, around.directory())?;
    let started_ns = now_ns();
    let at = |s: u64| started_ns + s * 1_000_000_000;

    sleep_until(at(WARM_UP_S));
    process.check_alive()?;
    let before = CpuTimes::read(&process, &around)?;
    let mut scrapes = 0;
    for second in 1..=seconds {
        sleep_until(at(WARM_UP_S + second));
        if tool == Tool::Plimsoll && second % arguments.scrape_every_s == 0 {
            get(around.web_port, "/metrics")?;
            scrapes += 1;
        }
    }
    let after = CpuTimes::read(&process, &around)?;
    let resident_mib = process.resident_mib_max()?;
    process.finish(END_WITHIN)?;

    let mut arrivals_ns = around.server.arrivals_ns()?;
    arrivals_ns.retain(|at_ns| (before.at_ns..after.at_ns).contains(at_ns));
    let span_s = (after.at_ns - before.at_ns) as f64 / 1e9;
    let percent = |s: f64| s / span_s * 100.0;
    let tool_s = after.tool - before.tool;
    let server_s = after.server - before.server;
    let bench_s = after.bench - before.bench;
    let others_s = after.machine - before.machine - tool_s - server_s - bench_s;
    let asked = traffic.rate();
    let late = asked.and_then(|rate| stats::lateness(&arrivals_ns, rate));
    let fitted = stats::fitted_rate(&arrivals_ns);
    Ok(Turn {
        requests: arrivals_ns.len() as u64,
        rate: arrivals_ns.len() as f64 / span_s,
        lateness_p50_ms: late.map(|l| l.p50_ms),
        lateness_p99_ms: late.map(|l| l.p99_ms),
        lateness_p999_ms: late.map(|l| l.p999_ms),
        lateness_max_ms: late.map(|l| l.max_ms),
        rate_error_ppm: asked.zip(fitted).map(|(asked, fitted)| (fitted / asked - 1.0) * 1e6),
        cpu_percent: percent(tool_s),
        server_cpu_percent: percent(server_s),
        resident_mib,
        others_percent: percent(others_s.max(0.0)),
        scrapes,
        spans: around.collector.received()?,
        log_lines: process.log().lines().count() as u64,
    })
}
