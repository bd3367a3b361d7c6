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
    /// Whether `POST /-/reload` and the other changing requests are answered.
    pub enable_lifecycle: bool,
    /// `/livez` fails when the send loop has not shown itself for this long; 1s to 1h.
    pub heartbeat: HumanDuration,
}

impl Default for WebFile {
    fn default() -> Self {
        Self {
            listen_address: "0.0.0.0:9469".to_owned(),
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
