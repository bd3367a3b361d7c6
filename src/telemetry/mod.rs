//! Every metric name, span and log line: what the engine's events become.
//!
//! The send loop owns an [`Observer`] and tells it each event; that call only adds numbers up and
//! moves pointers, and never waits for anybody. Everything slow (rendering, exporting, writing
//! lines) happens on other threads through a shared [`Telemetry`]. This room must not know how a
//! request is sent, who scrapes, or why the engine decided what it did.

mod exposition;
mod live;
mod logs;
mod metrics;
mod observer;
mod spans;

use std::sync::Arc;
use std::time::Duration;

pub use exposition::Exposition;
pub use live::LiveSink;
pub use logs::{LogError, LogFormat, LogHandle, LogSettings, init as init_logs};
pub use metrics::catalog::{CATALOG, Family, Kind};
pub use metrics::shared::AttemptLogCounts;
pub use observer::Observer;
pub use spans::{
    Protocol, Sampling, SpanDrop, SpanExporter, SpanSettingsError, SpanTotals, TracingSettings,
    mix_span_id, resource_attributes,
};

use crate::model::Objectives;
use metrics::shared::Shared;
use spans::Pipeline;

/// What the binary says about itself in `plimsoll_build_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Version of the crate.
    pub version: String,
    /// Commit it was built from, or `unknown`.
    pub revision: String,
    /// Compiler version, or `unknown`.
    pub rustc: String,
}

/// Where in Kubernetes the process runs, for `plimsoll_pod_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodInfo {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Node.
    pub node: String,
}

impl PodInfo {
    /// What attributes of a resource say by OpenTelemetry's names; `None` when they name no pod.
    #[must_use]
    pub fn of(attributes: &[(String, String)]) -> Option<Self> {
        let of = |key| attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
        Some(Self {
            namespace: of("k8s.namespace.name").unwrap_or_default(),
            pod: of("k8s.pod.name")?,
            node: of("k8s.node.name").unwrap_or_default(),
        })
    }
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Two metrics clash, or a name is invalid: a defect of the catalog.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The span exporter could not be built.
    #[error("span exporter: {0}")]
    Exporter(String),
    /// A thread or runtime could not be started.
    #[error("starting a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The shared side of telemetry: scrapes, facts that no event tells, and the flush at exit. Cheap
/// to clone; every method may be called from any thread.
#[derive(Clone)]
pub struct Telemetry {
    shared: Arc<Shared>,
    pipeline: Option<Arc<Pipeline>>,
}

impl Telemetry {
    /// Metrics without traces.
    ///
    /// # Errors
    /// [`TelemetryError::Metrics`] when the catalog contradicts itself.
    pub fn new(build: &BuildInfo, started_unix_s: f64) -> Result<(Self, Observer), TelemetryError> {
        let shared = Shared::new(build, started_unix_s)?;
        let observer = Observer::new(Arc::clone(&shared), None, Sampling::ratio(0.0), 0.0);
        Ok((Self { shared, pipeline: None }, observer))
    }

    /// Metrics, and spans exported over OTLP as `settings` say.
    ///
    /// # Errors
    /// When the exporter cannot be built (its endpoint is no URL, for example) or its threads cannot
    /// be started. A collector that is down is no error: spans then fail, and are counted.
    pub fn with_otlp(
        build: &BuildInfo,
        started_unix_s: f64,
        settings: &TracingSettings,
    ) -> Result<(Self, Observer), TelemetryError> {
        let shared = Shared::new(build, started_unix_s)?;
        let pipeline = Pipeline::otlp(settings, &build.version, Arc::clone(&shared.spans))?;
        Ok(Self::joined(shared, pipeline, settings))
    }

    /// Metrics, and spans handed to an exporter of the caller's.
    ///
    /// # Errors
    /// As [`Telemetry::new`].
    pub fn with_exporter<E: SpanExporter + 'static>(
        build: &BuildInfo,
        started_unix_s: f64,
        settings: &TracingSettings,
        exporter: E,
    ) -> Result<(Self, Observer), TelemetryError> {
        let shared = Shared::new(build, started_unix_s)?;
        let pipeline =
            Pipeline::start(exporter, None, settings, &build.version, Arc::clone(&shared.spans));
        Ok(Self::joined(shared, pipeline, settings))
    }

    fn joined(
        shared: Arc<Shared>,
        pipeline: Pipeline,
        settings: &TracingSettings,
    ) -> (Self, Observer) {
        let pipeline = Arc::new(pipeline);
        let observer = Observer::new(
            Arc::clone(&shared),
            Some(Arc::clone(&pipeline)),
            settings.sampling,
            settings.throttled_spans_per_s,
        );
        (Self { shared, pipeline: Some(pipeline) }, observer)
    }

    /// Everything as one scrape sees it, in the format that the `Accept` header asks for. Takes
    /// milliseconds when there are thousands of streams: call it from a thread that may block.
    #[must_use]
    pub fn render(&self, accept: Option<&str>) -> Exposition {
        exposition::render(&self.shared, accept)
    }

    /// A configuration was applied, or refused, at this Unix time in seconds.
    pub fn config_reloaded(&self, unix_s: f64, successful: bool) {
        self.shared.reloads.record(unix_s, successful);
    }

    /// What counts as good enough from now on.
    pub fn objectives(&self, objectives: Objectives) {
        self.shared.set_objectives(objectives);
    }

    /// The state file was written, or could not be, at this Unix time in seconds.
    pub fn state_written(&self, unix_s: f64, successful: bool) {
        self.shared.state_writes.record(unix_s, successful);
    }

    /// Lets the scrape read what a runtime does, under this name. Once for each.
    pub fn watch_runtime(&self, name: &'static str, metrics: tokio::runtime::RuntimeMetrics) {
        self.shared.watch_runtime(name, metrics);
    }

    /// Lets the scrape read how many log lines were lost.
    pub fn watch_logs(&self, logs: &LogHandle) {
        self.shared.watch_log_losses(logs.lost_lines());
    }

    /// Where the lines of the attempt log are counted.
    #[must_use]
    pub fn attempt_log(&self) -> Arc<AttemptLogCounts> {
        Arc::clone(&self.shared.attempt_log)
    }

    /// Lets the scrape tell where the process runs.
    pub fn runs_in(&self, pod: PodInfo) {
        self.shared.runs_in(pod);
    }

    /// What became of the spans so far.
    #[must_use]
    pub fn span_totals(&self) -> SpanTotals {
        self.shared.spans.totals()
    }

    /// Unix time of the send loop's last heartbeat, in seconds; 0 before the first.
    #[must_use]
    pub fn heartbeat_unix_s(&self) -> f64 {
        self.shared.heartbeat_unix_s()
    }

    /// Flushes the spans that wait and ends the exporter, for at most `timeout`. Blocks: call it from
    /// a thread of its own (`spawn_blocking`), never from an async task. True when all were handed
    /// over in time; what was not counts as dropped.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        self.pipeline.as_ref().is_none_or(|p| p.shutdown(timeout))
    }
}
