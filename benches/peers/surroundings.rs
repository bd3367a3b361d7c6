//! What stands round the two sides during a turn: the server they send to, and the collector that takes the spans. Both
//! sides get the same, whether they use it or not, so that neither has the machine more to itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::process::{Process, free_port, get, wait_for_port};
use crate::server::ARRIVALS_PATH;
use crate::tools::testbed_tool;
use crate::{Arguments, Result};

/// The hidden argument with which this program becomes the server.
pub(crate) const SERVE: &str = "--serve-us";

/// This bench's own server, in a process of its own.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Server {
    fn start(name: &str, service_us: u64, directory: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([SERVE, &service_us.to_string()]).stdout(Stdio::piped());
        let mut process = Process::spawn(name, command, directory)?;
        let output = process.child().stdout.take().ok_or("no pipe to the server")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().map_err(|_| format!("server: said {line:?}"))?;
        Ok(Self { process, port })
    }

    /// When requests arrived, in monotonic nanoseconds, in order.
    pub(crate) fn arrivals_ns(&self) -> Result<Vec<u64>> {
        let bytes = get(self.port, ARRIVALS_PATH)?;
        let (words, _) = bytes.as_chunks::<8>();
        Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

/// Where spans go.
pub(crate) enum Collector {
    /// The real one, over gRPC.
    Real { process: Process, port: u16 },
    /// Where that is not installed: a server that answers 200 to everything, over HTTP.
    Sink(Server),
}

impl Collector {
    fn start(directory: &Path) -> Result<Self> {
        let Some(program) = testbed_tool("otelcol") else {
            return Ok(Self::Sink(Server::start("sink", 0, directory)?));
        };
        let port = free_port()?;
        let config = directory.join("otelcol.yaml");
        // JSON is YAML. The exporter writes one line for each batch, and how many spans were in it.
        let text = json!({
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": format!("127.0.0.1:{port}")}}}},
            "exporters": {"debug": {"verbosity": "basic", "sampling_initial": 1_000_000}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "info"}},
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}},
            },
        });
        fs::write(&config, text.to_string())?;
        let mut command = Command::new(program);
        command.arg(format!("--config=file:{}", config.display())).stdout(Stdio::null());
        let mut process = Process::spawn("otelcol", command, directory)?;
        wait_for_port(port, &mut process)?;
        Ok(Self::Real { process, port })
    }

    pub(crate) fn endpoint(&self) -> String {
        let (Self::Real { port, .. } | Self::Sink(Server { port, .. })) = self;
        format!("http://127.0.0.1:{port}")
    }

    pub(crate) const fn protocol(&self) -> &'static str {
        match self {
            Self::Real { .. } => "grpc",
            Self::Sink(_) => "http/protobuf",
        }
    }

    pub(crate) const fn process(&self) -> &Process {
        let (Self::Real { process, .. } | Self::Sink(Server { process, .. })) = self;
        process
    }

    /// How many spans came; for the sink, how many exports of spans.
    pub(crate) fn received(&self) -> Result<u64> {
        match self {
            Self::Real { process, .. } => Ok(process.log().lines().map(spans_of_line).sum()),
            Self::Sink(server) => Ok(server.arrivals_ns()?.len() as u64),
        }
    }
}

/// `… Traces {…, "resource spans": 1, "spans": 17}`
fn spans_of_line(line: &str) -> u64 {
    let count = line.rsplit_once(r#""spans": "#).map_or("", |(_, rest)| rest);
    count.trim_end_matches(['}', ' ']).parse().unwrap_or(0)
}

/// All of it, for one turn.
pub(crate) struct Surroundings {
    pub(crate) server: Server,
    pub(crate) collector: Collector,
    /// Where Plimsoll's own web surface is to listen.
    pub(crate) web_port: u16,
    pub(crate) sample_ratio: f64,
    /// Plimsoll's.
    pub(crate) binary: PathBuf,
    directory: TempDir,
}

impl Surroundings {
    pub(crate) fn start(service_us: u64, arguments: &Arguments) -> Result<Self> {
        // Built by cargo along with this bench, with the same optimisation as a release.
        let built = || env!("CARGO_BIN_EXE_plimsoll").into();
        let directory = tempfile::Builder::new().prefix("plimsoll-bench-").tempdir()?;
        Ok(Self {
            server: Server::start("server", service_us, directory.path())?,
            collector: Collector::start(directory.path())?,
            web_port: free_port()?,
            sample_ratio: arguments.sample_ratio,
            binary: arguments.binary.clone().unwrap_or_else(built),
            directory,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}
