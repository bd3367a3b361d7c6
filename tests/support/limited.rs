//! Limiters of the npm and Python worlds behind the small servers of `tests/testbed/servers/`: the libraries decide, and
//! the servers write down what was decided.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::http;
use super::process::{Process, free_ports, temp_dir, testbed_tool};

/// Which library of npm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Npm {
    /// A window that begins with a client's first request, and the next with the first after it has ended.
    ExpressRateLimit,
    /// `RateLimiterMemory` of `rate-limiter-flexible`: such a window too; a client that was refused stays so for
    /// `block_s`, where that is more than 0.
    Flexible { block_s: u32 },
}

/// What a server says of the quota with every answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    None,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    Legacy,
    /// The drafts of `RateLimit`, by their number: 6, 7 or 8, of which only `express-rate-limit` knows.
    Draft(u8),
}

impl Headers {
    fn argument(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Legacy => "legacy".to_owned(),
            Self::Draft(number) => format!("draft-{number}"),
        }
    }
}

/// An API of Express behind a limiter from npm.
#[derive(Clone, Debug)]
pub(crate) struct Express {
    pub(crate) limiter: Npm,
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) headers: Headers,
    /// Whether a refusal says `Retry-After`: the rest of the window in whole seconds, rounded up.
    pub(crate) retry_after: bool,
    /// What counts as one client: `address`, `path`, or the name of a request header.
    pub(crate) key: String,
    /// How long an accepted request takes.
    pub(crate) delay: Duration,
}

impl Default for Express {
    fn default() -> Self {
        Self {
            limiter: Npm::ExpressRateLimit,
            limit: 100,
            window: Duration::from_secs(1),
            headers: Headers::None,
            retry_after: true,
            key: "address".to_owned(),
            delay: Duration::ZERO,
        }
    }
}

impl Express {
    pub(crate) fn start(&self) -> Limited {
        let mut command = Command::new(testbed_tool("node-limited"));
        command.arg(server("express_limited.js"));
        match self.limiter {
            Npm::ExpressRateLimit => command.arg("--limiter=express-rate-limit"),
            Npm::Flexible { block_s } => {
                command.arg("--limiter=flexible").arg(format!("--block-s={block_s}"))
            }
        };
        command
            .arg(format!("--limit={}", self.limit))
            .arg(format!("--window-ms={}", self.window.as_millis()))
            .arg(format!("--headers={}", self.headers.argument()))
            .arg(format!("--retry-after={}", on_off(self.retry_after)))
            .arg(format!("--key={}", self.key))
            .arg(format!("--delay-ms={}", self.delay.as_millis()));
        Limited::start("express", command)
    }
}

/// A strategy of `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// A window that begins with a client's first request.
    FixedWindow,
    /// This window's count, and the last one's for as much of it as is still in sight.
    SlidingWindowCounter,
    /// The time of every request that was admitted.
    MovingWindow,
}

impl Strategy {
    fn argument(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed-window",
            Self::SlidingWindowCounter => "sliding-window-counter",
            Self::MovingWindow => "moving-window",
        }
    }
}

/// What the server around `limits` does with whoever was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lockout {
    None,
    /// Refused for so long, whatever it sends.
    Fixed(Duration),
    /// And anew from every request that it sends meanwhile.
    Extended(Duration),
}

/// An API behind `limits` from PyPI.
#[derive(Clone, Debug)]
pub(crate) struct PyLimits {
    /// As `limits` words it: `100/second`, `300/minute`.
    pub(crate) rate: String,
    pub(crate) strategy: Strategy,
    /// It knows no draft.
    pub(crate) headers: Headers,
    /// Whether a refusal says `Retry-After`: until the lockout or the window ends, in whole seconds, rounded up.
    pub(crate) retry_after: bool,
    pub(crate) lockout: Lockout,
    /// What counts as one client: `address`, `path`, or the name of a request header.
    pub(crate) key: String,
    /// How long an accepted request takes.
    pub(crate) delay: Duration,
}

impl Default for PyLimits {
    fn default() -> Self {
        Self {
            rate: "100/second".to_owned(),
            strategy: Strategy::MovingWindow,
            headers: Headers::None,
            retry_after: true,
            lockout: Lockout::None,
            key: "address".to_owned(),
            delay: Duration::ZERO,
        }
    }
}

impl PyLimits {
    pub(crate) fn start(&self) -> Limited {
        let mut command = Command::new(testbed_tool("python-limited"));
        command.arg(server("limits_limited.py"));
        let lockout = match self.lockout {
            Lockout::None => Duration::ZERO,
            Lockout::Fixed(lockout) => lockout,
            Lockout::Extended(lockout) => {
                command.arg("--extend");
                lockout
            }
        };
        command
            .arg(format!("--rate={}", self.rate))
            .arg(format!("--strategy={}", self.strategy.argument()))
            .arg(format!("--headers={}", self.headers.argument()))
            .arg(format!("--retry-after={}", on_off(self.retry_after)))
            .arg(format!("--lockout-s={}", lockout.as_secs_f64()))
            .arg(format!("--key={}", self.key))
            .arg(format!("--delay-ms={}", self.delay.as_millis()));
        Limited::start("limits", command)
    }
}

/// What was decided about one request: a line of a server's log.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Decision {
    /// When the server had read the request: nanoseconds since 1970, to the microsecond.
    pub(crate) arrived_ns: u64,
    pub(crate) admitted: bool,
    /// Whose limit it counted for.
    pub(crate) key: String,
    pub(crate) path: String,
    /// The request's `X-Request-Id`, empty when it had none.
    pub(crate) request_id: String,
    /// What the refusal said in `Retry-After`.
    pub(crate) retry_after_s: Option<u32>,
}

impl Decision {
    /// When the request arrived: seconds since 1970.
    pub(crate) fn arrived_s(&self) -> f64 {
        self.arrived_ns as f64 / 1e9
    }
}

/// A running server. Every path answers a POST with 202 and a small JSON body, or 429 above the limit.
pub(crate) struct Limited {
    process: Process,
    port: u16,
    directory: TempDir,
}

impl Limited {
    fn start(name: &str, mut command: Command) -> Self {
        let directory = temp_dir();
        let [port] = free_ports();
        command
            .arg(format!("--port={port}"))
            .arg("--log")
            .arg(directory.path().join("limited.log"));
        let mut process = Process::spawn(name, &mut command, &directory.path().join("process.log"));
        // Not under the limit, or the wait would spend some of it.
        process.wait_for_answer(
            &format!("http://127.0.0.1:{port}/-/healthy"),
            Duration::from_secs(20),
        );
        Self { process, port, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it counted: how many it admitted, and how many it refused.
    pub(crate) fn stats(&self) -> (u64, u64) {
        let answer = http::get(&format!("{}/stats", self.url())).expect("the server answers");
        let stats = answer.json();
        let count = |name: &str| stats[name].as_u64().expect("a count is a number");
        (count("admitted"), count("refused"))
    }

    /// What it decided so far, in order. It writes before it answers.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        let path = self.directory.path().join("limited.log");
        let log = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // Read in the middle of a line, it is not whole yet; its answer has not been sent.
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        whole
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|e| panic!("limited.log ({e}): {line}"))
            })
            .collect()
    }
}

fn server(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed/servers").join(name)
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
