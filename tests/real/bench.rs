//! The binary under test, and the configuration that drives it.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::http;
use crate::support::process::{Process, free_ports, temp_dir, wait_for, write_file};

/// The job of the daemon in Prometheus.
pub(crate) const JOB: &str = "plimsoll";

/// The bearer token that the daemon is given.
pub(crate) const TOKEN: &str = "not-a-secret-4711";

/// The path of every request. nginx sees it with the stream's name in it.
const PATH: &str = "/{{stream}}/messages";
/// The same as `url.template`: OpenTelemetry writes placeholders with one brace.
pub(crate) const URL_TEMPLATE: &str = "/{stream}/messages";

/// Two streams, with rates in slots per second: a pause has to hold for both, and numbers must not end up at the other.
pub(crate) const STREAMS: [(&str, u32); 2] = [("left", 25), ("right", 15)];

/// How spans travel.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http/protobuf",
        }
    }
}

/// Where spans go, and which.
#[derive(Clone, Debug)]
pub(crate) struct Tracing {
    pub(crate) transport: Transport,
    pub(crate) endpoint: String,
    /// Of the messages that were delivered at once.
    pub(crate) sample_ratio: f64,
}

/// A daemon that runs, or has.
pub(crate) struct Daemon {
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl Daemon {
    /// `plimsoll run`, sending to `target` until `count` requests are out.
    pub(crate) fn start(
        port: u16,
        target: &str,
        tracing: &Tracing,
        count: u64,
        linger: bool,
    ) -> Self {
        let count = count.to_string();
        let mut arguments = vec!["--count", &count];
        arguments.extend(linger.then_some("--linger"));
        Self::spawn(port, &configuration(target, tracing), &arguments)
    }

    /// `plimsoll run` with any configuration, and arguments besides those that every run has.
    pub(crate) fn spawn(port: u16, configuration: &str, arguments: &[&str]) -> Self {
        let directory = temp_dir();
        let file = write_file(directory.path(), "plimsoll.yaml", configuration);
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command
            // Whoever runs the tests may have OTEL_ variables of their own.
            .env_clear()
            .env("BENCH_TOKEN", TOKEN)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .args(["run", "--log.format", "json"])
            .args(arguments)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--config.file")
            .arg(file);
        let log = directory.path().join("plimsoll.log");
        let process = Process::spawn("plimsoll", &mut command, &log);
        Self { process, port, _directory: directory }
    }

    /// On a port that nobody else has to know.
    pub(crate) fn start_anywhere(
        target: &str,
        tracing: &Tracing,
        count: u64,
        linger: bool,
    ) -> Self {
        let [port] = free_ports();
        Self::start(port, target, tracing, count, linger)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn wait_until_up(&mut self) {
        self.process.wait_for_answer(&self.url("/livez"), Duration::from_secs(10));
    }

    /// Waits until everything was sent and answered: `/readyz` then says so, for as long as it lingers.
    pub(crate) fn wait_until_drained(&mut self, within: Duration) {
        self.wait_until_up();
        let url = self.url("/readyz");
        let said = wait_for(within, || {
            let answer = http::get(&url).expect("a daemon that lingers answers");
            (answer.body.trim() == "drained").then_some(answer.status)
        });
        assert_eq!(said, Some(503), "not drained within {within:?}:\n{}", self.log());
    }

    /// The sum of a metric's series that carry `label`, from `/metrics` itself.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let value = self.find_metric(name, label);
        value.unwrap_or_else(|| panic!("no series of {name} with {label:?}"))
    }

    /// The same; `None` without such a series.
    pub(crate) fn find_metric(&self, name: &str, label: &str) -> Option<f64> {
        let answer = http::get(&self.url("/metrics")).expect("/metrics is up");
        assert_eq!(answer.status, 200);
        let of_name = answer.body.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values: Vec<f64> = of_name
            .filter(|line| line.contains(label))
            .map(|line| {
                let value = line.rsplit(' ').next().and_then(|text| text.parse().ok());
                value.unwrap_or_else(|| panic!("not a sample: {line}"))
            })
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// SIGTERM, and the exit.
    pub(crate) fn terminate(&mut self, within: Duration) -> ExitStatus {
        self.process.terminate(within)
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }
}

/// No jitter on top of an advised wait: the request that ends a pause comes as early as it may, so that one that came
/// too early would show. A retry for everybody: resends are part of what is to be seen.
fn configuration(target: &str, tracing: &Tracing) -> String {
    let streams: serde_json::Map<_, _> = STREAMS
        .iter()
        .map(|(name, rate)| {
            let stream =
                json!({"target": "limited", "credential": "bench", "rate": format!("{rate}/s")});
            ((*name).to_owned(), stream)
        })
        .collect();
    // JSON is YAML, and needs no care with quoting.
    json!({
        "tracing": {
            "endpoint": tracing.endpoint,
            "protocol": tracing.transport.name(),
            "sample_ratio": tracing.sample_ratio,
        },
        "policy": {
            "retry_after_jitter": "0s",
            "retry_budget_ratio": 1.0,
            "retry_budget_reserve": 20,
        },
        "schedule": {"ramp": "0s"},
        "targets": {"limited": {
            "base_url": target,
            "path": PATH,
            "headers": {"x-request-id": "{{message_id}}"},
            "body": r#"{"to":{"id":"participant-id"},"text":"message {{sequence}}"}"#,
        }},
        "credentials": {"bench": {"type": "bearer", "token_env": "BENCH_TOKEN"}},
        "streams": streams,
    })
    .to_string()
}
