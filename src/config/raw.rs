//! The file format: what a person may write. Each field's comment is its description in the
//! JSON Schema, and [`Default`] of each section is the one place where defaults live.
//!
//! It is flat (sections, keys, no variants with data), so that every key can also be an
//! environment variable. It must not know what the rest of the program makes of it.

mod connection;
mod credential;
mod process;
mod safety;
mod stream;
mod target;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use connection::{ConnectionFile, TlsVersionName};
pub use credential::{CredentialFile, CredentialType};
pub use process::{
    AttemptLogFile, EngineFile, LifecycleFile, LogFile, LogFormat, LogLevel, ObjectivesFile,
    OtlpProtocol, ReloadFile, StateFile, TracingFile, WebFile,
};
pub use safety::{BreakerFile, RunFile, SafetyFile};
pub use stream::{ArrivalsName, JitterName, ModeName, PolicyFile, ScheduleFile, StreamFile};
pub use target::{DialectName, HttpVersionName, MethodName, TargetFile};

/// Configuration of `plimsoll run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Plimsoll configuration")]
pub struct ConfigFile {
    /// Lets `token` and `client_secret` stand in a file. They never should outside of a test bench.
    pub allow_inline_secrets: bool,
    /// Plimsoll's own HTTP surface.
    pub web: WebFile,
    /// Log lines on standard error.
    pub log: LogFile,
    /// Traces over OTLP.
    pub tracing: TracingFile,
    /// What is known of each attempt, for `plimsoll infer`.
    pub attempt_log: AttemptLogFile,
    /// Start and stop.
    pub lifecycle: LifecycleFile,
    /// Configuration files, and the files that secrets are in, while they change.
    pub reload: ReloadFile,
    /// What the daemon learned, kept over a restart.
    pub state: StateFile,
    /// What is good enough: what alerts compare with.
    pub objectives: ObjectivesFile,
    /// Bounds on the whole process.
    pub engine: EngineFile,
    /// What holds sending back whatever the API admits: caps, pauses, hours, hosts.
    pub safety: SafetyFile,
    /// When a limit domain counts as down, and how it is asked then.
    pub breaker: BreakerFile,
    /// Runs that have an end.
    pub run: RunFile,
    /// How streams find their rate and what they do when refused, unless they say otherwise.
    pub policy: PolicyFile,
    /// How streams lay out their requests in time, unless they say otherwise.
    pub schedule: ScheduleFile,
    /// How servers are reached, by name; `default` is for targets and credentials that name none.
    #[schemars(extend("propertyNames" = name_schema()))]
    pub connections: BTreeMap<String, ConnectionFile>,
    /// The APIs and operations that requests go to, by name.
    #[schemars(extend("propertyNames" = name_schema()))]
    pub targets: BTreeMap<String, TargetFile>,
    /// What authenticates requests, by name.
    #[schemars(extend("propertyNames" = name_schema()))]
    pub credentials: BTreeMap<String, CredentialFile>,
    /// Target × credential × rate, by name.
    #[schemars(extend("propertyNames" = name_schema()))]
    pub streams: BTreeMap<String, StreamFile>,
}

/// Names end up in labels, file names and environment variables, so they are plain.
fn name_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "string",
        "description": "1 to 63 lower-case letters, digits, _ and -, the first a letter or digit",
        "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$",
    })
}
