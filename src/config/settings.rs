//! What configuration comes to once it is valid: typed, every default filled in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::engine::{SafetyPlan, StreamSafety, TokenPlan};
use crate::model::{Objectives, Scope};
use crate::policy::{AdaptiveSettings, Mode, PolicySettings};
use crate::schedule::{RequestTemplate, ScheduleSettings};
use crate::sender::{
    AuthSettings, ConnectionSettings, CredentialSettings, EndpointSettings, SecretSource,
};
use crate::verdict::Threshold;

use super::raw::{LogFormat, LogLevel, OtlpProtocol};

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Plimsoll's own HTTP surface.
    pub web: WebSettings,
    /// Log lines.
    pub log: LogSettings,
    /// Traces.
    pub tracing: TracingSettings,
    /// What is kept over a restart.
    pub state: StateSettings,
    /// What is written of each attempt.
    pub attempt_log: AttemptLogSettings,
    /// What alerts compare with.
    pub objectives: Objectives,
    /// How often to look whether [`Self::files`] have changed; zero is never.
    pub reload_interval: Duration,
    /// How long requests in flight may take to finish at a stop.
    pub grace_period: Duration,
    /// Requests in flight at once, over all streams.
    pub in_flight_max: u32,
    /// How the rate of a scope with adaptive streams is found and held.
    pub adaptive: AdaptiveSettings,
    /// Time of sending to a false alarm of a change of the limit, at least and on average.
    pub false_alarm_interval: Duration,
    /// What holds everything back, whatever the API admits.
    pub safety: SafetyPlan,
    /// What the figures of a run with an end must keep.
    pub thresholds: Vec<Threshold>,
    /// Targets that streams use, in the order of their names.
    pub targets: Vec<TargetSettings>,
    /// Credentials that streams use, in the order of their names.
    pub credentials: Vec<NamedCredential>,
    /// Streams, in the order of their names. At least one.
    pub streams: Vec<StreamSettings>,
    /// What is allowed and yet probably not meant.
    pub warnings: Vec<String>,
    /// The files that it was read from.
    pub(super) sources: Vec<PathBuf>,
    /// The whole configuration with defaults filled in and secrets masked.
    pub(super) effective: Value,
}

/// Plimsoll's own HTTP surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Where it listens.
    pub listen_address: SocketAddr,
    /// TLS and passwords, in the exporter toolkit's format; `None`: plain HTTP for everybody.
    pub config_file: Option<PathBuf>,
    /// Whether requests that change something are answered.
    pub enable_lifecycle: bool,
    /// The send loop counts as dead when it has not shown itself for this long.
    pub heartbeat: Duration,
}

/// Log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How much is logged.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

/// Traces.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingSettings {
    /// The collector; `None`: off, unless the environment says so.
    pub endpoint: Option<String>,
    /// The transport.
    pub protocol: OtlpProtocol,
    /// For one export.
    pub timeout: Duration,
    /// Share of accepted messages that are exported, 0 to 1.
    pub sample_ratio: f64,
    /// Throttled or failed messages a second whose spans are kept.
    pub throttled_spans_per_s: u32,
    /// Spans that wait for export.
    pub queue_size: usize,
}

/// What is kept over a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// Where; `None`: nothing is.
    pub file: Option<PathBuf>,
    /// How often it is written, when something has changed.
    pub interval: Duration,
}

/// What is written of each attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptLogSettings {
    /// Where; `None`: nowhere.
    pub path: Option<PathBuf>,
    /// A file that would become longer is put aside.
    pub max_bytes: u64,
    /// Files put aside that are kept.
    pub max_files: u32,
    /// Lines that wait for the disk.
    pub queue_lines: usize,
}

/// A target. Its endpoint has no id until a [`super::Registry`] assigns one.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    /// How to send and how to read the answers.
    pub endpoint: EndpointSettings,
    /// What a request says.
    pub template: RequestTemplate,
    /// How its server is reached.
    pub connection: Arc<ConnectionSettings>,
    /// The limit domain.
    pub domain: Arc<str>,
    /// Who shares the limit.
    pub scope: Scope,
    /// Host, without the brackets of IPv6.
    pub server_address: Arc<str>,
    /// Port.
    pub server_port: u16,
}

/// A credential. It has no id until a [`super::Registry`] assigns one.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedCredential {
    /// How it authenticates.
    pub settings: CredentialSettings,
    /// How its token comes to be.
    pub token: TokenPlan,
    /// How its login server is reached.
    pub connection: Arc<ConnectionSettings>,
    /// The organisation it belongs to; empty when not stated.
    pub tenant: Arc<str>,
    /// The user it acts for; empty when not stated.
    pub user: Arc<str>,
    /// The OAuth client or API key; empty when not stated.
    pub client: Arc<str>,
}

/// A stream.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSettings {
    /// Its name.
    pub name: Arc<str>,
    /// The name of its target.
    pub target: Arc<str>,
    /// The name of its credential.
    pub credential: Arc<str>,
    /// Requests in flight at once.
    pub in_flight_max: u32,
    /// Who decides how fast it sends.
    pub mode: Mode,
    /// Its part of an adaptive scope's rate.
    pub weight: f64,
    /// When its slots are due; in adaptive mode its rate is a ceiling.
    pub schedule: ScheduleSettings,
    /// What it does when refused.
    pub policy: PolicySettings,
    /// What holds it back, whatever the API admits.
    pub safety: StreamSafety,
}

impl Settings {
    /// The effective configuration as YAML, with `<secret>` in place of secrets.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        super::dump::yaml(&self.effective)
    }

    /// Every file whose change would change what runs: those that it was read from, and those that its
    /// secrets are in.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let secrets = self.credentials.iter().flat_map(|c| match &c.settings.auth {
            None => vec![],
            Some(AuthSettings::Bearer(token)) => vec![token],
            Some(AuthSettings::Oauth(oauth)) => vec![&oauth.client_id, &oauth.client_secret],
        });
        let secrets = secrets.filter_map(|source| match source {
            SecretSource::File(path) => Some(path),
            SecretSource::Env(_) | SecretSource::Inline(_) => None,
        });
        let connections = self.targets.iter().map(|target| &target.connection);
        let connections = connections.chain(self.credentials.iter().map(|c| &c.connection));
        let material = connections.flat_map(|connection| connection.files());
        let mut files: Vec<_> =
            self.sources.iter().chain(secrets).chain(material).cloned().collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The keys that differ from `running` and take effect only at the next start.
    #[must_use]
    pub fn restart_needed(&self, running: &Self) -> Vec<String> {
        let sections = ["web", "log", "tracing", "reload", "state", "attempt_log"];
        let mut differing = super::dump::differing(&running.effective, &self.effective, &sections);
        // This one can be changed while it runs.
        differing.retain(|said| !said.starts_with("log.level:"));
        differing
    }
}
