//! Sets up logs, metrics and traces as the configuration and the environment say.

use super::StartError;
use crate::clock;
use crate::config::{LogFormat, LogSettings, OtlpProtocol, Settings};
use crate::telemetry::{
    self, BuildInfo, LogError, LogHandle, Observer, PodInfo, Protocol, Sampling, Telemetry,
    TracingSettings,
};

/// Logging as configured.
pub(crate) fn start_logs(settings: &LogSettings) -> Result<LogHandle, LogError> {
    telemetry::init_logs(&telemetry::LogSettings {
        filter: log_filter(settings.level.as_str()),
        format: match settings.format {
            LogFormat::Pretty => telemetry::LogFormat::Pretty,
            LogFormat::Json => telemetry::LogFormat::Json,
        },
        ..telemetry::LogSettings::default()
    })
}

/// What is logged at a level. Libraries are asked for their warnings only: their debug lines would drown
/// ours, and are not ours to keep secrets out of.
pub(super) fn log_filter(level: &str) -> String {
    format!("warn,plimsoll={level}")
}

/// Metrics, and traces if an endpoint is known.
pub(super) fn start(settings: &Settings) -> Result<(Telemetry, Observer), StartError> {
    let build = build_info();
    let started = clock::unix_seconds();
    let (telemetry, observer) = match tracing_settings(settings)? {
        Some(tracing) => Telemetry::with_otlp(&build, started, &tracing)?,
        None => Telemetry::new(&build, started)?,
    };
    if let Some(pod) = PodInfo::of(&telemetry::resource_attributes(&variable)) {
        telemetry.runs_in(pod);
    }
    Ok((telemetry, observer))
}

/// The exporter's settings: configuration under the standard variables. `None`: traces are off.
fn tracing_settings(settings: &Settings) -> Result<Option<TracingSettings>, StartError> {
    let configured = &settings.tracing;
    let variables = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let named = variables.iter().any(|name| variable(name).is_some_and(|v| !v.trim().is_empty()));
    if TracingSettings::disabled_by(&variable) || (configured.endpoint.is_none() && !named) {
        return Ok(None);
    }
    let defaults = TracingSettings::default();
    let base = TracingSettings {
        endpoint: configured.endpoint.clone().unwrap_or_else(|| defaults.endpoint.clone()),
        protocol: match configured.protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::HttpProtobuf => Protocol::HttpProtobuf,
        },
        timeout: configured.timeout,
        sampling: Sampling::ratio(configured.sample_ratio),
        throttled_spans_per_s: f64::from(configured.throttled_spans_per_s),
        queue_spans_max: configured.queue_size,
        ..defaults
    };
    let overridden = base.overridden_by(&variable);
    overridden.map(Some).map_err(|problems| {
        StartError::Environment(problems.iter().map(ToString::to_string).collect())
    })
}

#[expect(clippy::disallowed_methods, reason = "the composition is where the environment is read")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub(crate) fn build_info() -> BuildInfo {
    BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: env!("PLIMSOLL_REVISION").to_owned(),
        rustc: env!("PLIMSOLL_RUSTC").to_owned(),
    }
}
