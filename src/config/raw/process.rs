//! Sections about the process itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::HumanDuration;

const fn seconds(s: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(s))
}

/// Plimsoll's own HTTP surface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebFile {
    /// Address and port to listen on; IPv6 in brackets, `:9469` for every address.
    pub listen_address: String,
    /// TLS and passwords of the surface: a web configuration file of Prometheus' exporter toolkit, relative
    /// to this file; read again when it changes. Unset: plain HTTP for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_file: Option<String>,
    /// Whether `POST /-/reload` and the other changing requests are answered.
    pub enable_lifecycle: bool,
    /// `/livez` fails when the send loop has not shown itself for this long; 1s to 1h.
    pub heartbeat: HumanDuration,
}

impl Default for WebFile {
    fn default() -> Self {
        Self {
            listen_address: "0.0.0.0:9469".to_owned(),
            config_file: None,
            enable_lifecycle: false,
            heartbeat: seconds(10),
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// Also what may soon need one.
    Warn,
    /// Also what changes: starts, reloads, gates.
    #[default]
    Info,
    /// Also single requests that were refused.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// All of them, the quietest first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word used in configuration and filters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Log lines on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogFile {
    /// How much is logged.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

/// The transport of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OtlpProtocol {
    /// OTLP over gRPC, port 4317 by custom.
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    /// OTLP over HTTP in protobuf, port 4318 by custom.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Traces over OTLP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TracingFile {
    /// The collector, such as `http://127.0.0.1:4317`. Unset: no traces, unless the environment
    /// says so by `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The transport.
    pub protocol: OtlpProtocol,
    /// For one export; 100ms to 1m.
    pub timeout: HumanDuration,
    /// Share of the accepted messages whose spans are exported. Throttled and failed ones always are.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// Throttled or failed messages a second whose spans are kept; more are dropped and counted.
    #[schemars(range(min = 1, max = 10_000))]
    pub throttled_spans_per_s: u32,
    /// Spans that wait for export; more are dropped and counted.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub queue_size: u32,
}

impl Default for TracingFile {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: OtlpProtocol::default(),
            timeout: seconds(5),
            sample_ratio: 0.01,
            throttled_spans_per_s: 50,
            queue_size: 4096,
        }
    }
}

/// What is known of each attempt, a JSON object a line, for `plimsoll infer` (docs/ATTEMPT_LOG.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptLogFile {
    /// Where it is written, relative to this file. One daemon's own; its directory must exist and be
    /// writable. Unset: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A file that would become larger than so many MiB is put aside as `PATH.1`, and a new one begun.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_size_mib: u32,
    /// Files put aside that are kept: `PATH.1` is the latest.
    #[schemars(range(min = 0, max = 1_000))]
    pub max_files: u32,
    /// Lines that wait for the disk; more are dropped and counted.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub queue_lines: u32,
}

impl Default for AttemptLogFile {
    fn default() -> Self {
        Self { path: None, max_size_mib: 64, max_files: 4, queue_lines: 8192 }
    }
}

/// Start and stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleFile {
    /// How long requests in flight may take to finish once the process is told to stop; up to 1h.
    pub grace_period: HumanDuration,
}

impl Default for LifecycleFile {
    fn default() -> Self {
        Self { grace_period: seconds(20) }
    }
}

/// Bounds on the whole process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineFile {
    /// Requests in flight at once, over all streams. Slots above it are skipped, never queued.
    #[schemars(range(min = 1, max = 100_000))]
    pub in_flight_max: u32,
}

impl Default for EngineFile {
    fn default() -> Self {
        Self { in_flight_max: 1000 }
    }
}

/// Configuration files, and the files that secrets are in, while they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReloadFile {
    /// How often to look whether one has changed; 100ms to 1h, or 0s for never. What has stood unchanged
    /// for one interval is read and applied as SIGHUP would.
    pub interval: HumanDuration,
}

impl Default for ReloadFile {
    fn default() -> Self {
        Self { interval: seconds(0) }
    }
}

/// What the daemon learned, kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateFile {
    /// Where estimates of limits and open pauses are kept, relative to this file. One daemon's own; its
    /// directory must exist and be writable. Unset: a restart learns anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How often it is written, when something has changed; 1s to 1h. It is also written at the exit.
    pub interval: HumanDuration,
}

impl Default for StateFile {
    fn default() -> Self {
        Self { file: None, interval: seconds(30) }
    }
}

/// What is good enough. Every key is exported, and the alerting rules compare with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectivesFile {
    /// Share of the attempts that may be throttled, over a month. Alerts burn at 14.4 times it, so it
    /// has to be small.
    #[schemars(range(min = 0.0001, max = 0.05))]
    pub throttled_ratio: f64,
    /// Share of the scheduled rate that is to be accepted.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub goodput_ratio: f64,
    /// A limit that falls by more than this share of what it was in the past day has changed.
    #[schemars(range(min = 0.01, max = 0.95))]
    pub limit_fall_ratio: f64,
    /// Latency and Retry-After may grow to this many times what they were in the past day.
    #[schemars(range(min = 1.1, max = 100.0))]
    pub growth_ratio: f64,
    /// A 95th percentile of the service time below this is fast enough, however much it grew; 1ms to
    /// 5m.
    pub latency: HumanDuration,
    /// Share of the time that gates may hold traffic back.
    #[schemars(range(min = 0.001, max = 1.0))]
    pub held_ratio: f64,
    /// Share of the slots that may be skipped for reasons of our own: late, no token, too many in
    /// flight.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub skipped_ratio: f64,
    /// Share of the spans that may be lost.
    #[schemars(range(min = 0.0001, max = 1.0))]
    pub spans_lost_ratio: f64,
    /// A token is to be valid for at least this long; 10s to 24h.
    pub token_validity: HumanDuration,
}

impl Default for ObjectivesFile {
    fn default() -> Self {
        Self {
            throttled_ratio: 0.01,
            goodput_ratio: 0.9,
            limit_fall_ratio: 0.15,
            growth_ratio: 2.0,
            latency: HumanDuration(Duration::from_millis(250)),
            held_ratio: 0.1,
            skipped_ratio: 0.01,
            spans_lost_ratio: 0.01,
            token_validity: seconds(600),
        }
    }
}
