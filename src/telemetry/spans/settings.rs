//! What traces are made from, and the `OTEL_*` environment variables that override it.

use std::time::Duration;

use crate::model::MessageId;

/// How spans travel to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP over gRPC, by convention port 4317.
    #[default]
    Grpc,
    /// OTLP over HTTP with protobuf bodies, by convention port 4318.
    HttpProtobuf,
}

/// Which accepted or rejected messages are traced. Throttled and failed ones always are, up to
/// [`TracingSettings::throttled_spans_per_s`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Trace ids whose upper 63 of the lower 64 bits are below this are sampled.
    below: u64,
}

impl Sampling {
    /// The share of messages, from 0 to 1, chosen by trace id exactly as the OpenTelemetry SDK's
    /// `TraceIdRatioBased` does, so that every process that sees the trace decides alike.
    #[must_use]
    pub fn ratio(ratio: f64) -> Self {
        let full = 1_u64 << 63;
        let below = if ratio >= 1.0 { full } else { (ratio.max(0.0) * full as f64) as u64 };
        Self { below }
    }

    /// Whether a message is sampled. Its `traceparent` carries this as the sampled flag.
    #[must_use]
    pub const fn would_sample(self, message: MessageId) -> bool {
        ((message.0 as u64) >> 1) < self.below
    }
}

/// How spans are kept and exported.
#[derive(Clone, Debug, PartialEq)]
pub struct TracingSettings {
    /// `http://collector:4317`; without a scheme, `http://` is meant. For HTTP, `/v1/traces` is added
    /// when there is no path.
    pub endpoint: String,
    /// How to speak to it.
    pub protocol: Protocol,
    /// For one export, its retries included.
    pub timeout: Duration,
    /// Which accepted and rejected messages are traced.
    pub sampling: Sampling,
    /// Spans per second kept for throttled and failed messages that sampling did not choose. Ten
    /// seconds' worth may come at once.
    pub throttled_spans_per_s: f64,
    /// Spans that may wait for an export; more are dropped and counted.
    pub queue_spans_max: usize,
    /// Spans in one export.
    pub batch_spans_max: usize,
    /// Time between exports of batches that are not full.
    pub batch_delay: Duration,
    /// `service.name` of the resource.
    pub service_name: String,
    /// Further attributes of the resource.
    pub resource_attributes: Vec<(String, String)>,
}

impl Default for TracingSettings {
    /// OpenTelemetry's own defaults, and one message in a hundred.
    fn default() -> Self {
        Self {
            endpoint: "http://localhost:4317".to_owned(),
            protocol: Protocol::Grpc,
            timeout: Duration::from_secs(10),
            sampling: Sampling::ratio(0.01),
            throttled_spans_per_s: 50.0,
            queue_spans_max: 2_048,
            batch_spans_max: 512,
            batch_delay: Duration::from_secs(5),
            service_name: "plimsoll".to_owned(),
            resource_attributes: Vec::new(),
        }
    }
}

/// A variable whose value cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {got:?}; allowed: {allowed}")]
pub struct SpanSettingsError {
    /// The variable.
    pub variable: &'static str,
    /// What it says.
    pub got: String,
    /// What it may say.
    pub allowed: &'static str,
}

/// Reads one variable after the other and collects what is wrong.
struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<SpanSettingsError>,
}

impl Reader<'_> {
    /// The first of `names` that is set and not empty.
    fn text(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| {
            (self.lookup)(name).filter(|v| !v.trim().is_empty()).map(|v| (*name, v))
        })
    }

    fn read<T>(
        &mut self,
        names: &[&'static str],
        allowed: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        into: &mut T,
    ) {
        let Some((variable, got)) = self.text(names) else { return };
        match parse(got.trim()) {
            Some(value) => *into = value,
            None => self.problems.push(SpanSettingsError { variable, got, allowed }),
        }
    }
}

/// The variable that says what runs where.
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Attributes of the resource as the standard variable states them; none where it cannot be read, which whoever
/// exports spans is told.
pub fn resource_attributes(lookup: &dyn Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    lookup(RESOURCE).and_then(|text| pairs(&text)).unwrap_or_default()
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

fn millis(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

fn positive(text: &str) -> Option<usize> {
    text.parse().ok().filter(|n| *n > 0)
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "grpc" => Some(Protocol::Grpc),
        "http/protobuf" => Some(Protocol::HttpProtobuf),
        _ => None,
    }
}

impl TracingSettings {
    /// Lets the standard variables override these settings. `lookup` reads one variable. The exporter
    /// itself reads `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, which hold
    /// credentials and so have no place here.
    ///
    /// # Errors
    /// Every variable whose value cannot be used.
    pub fn overridden_by(
        mut self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<SpanSettingsError>> {
        let mut env = Reader { lookup, problems: Vec::new() };
        env.read(
            &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
            "grpc, http/protobuf",
            protocol,
            &mut self.protocol,
        );
        if let Some((_, endpoint)) = env.text(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) {
            self.endpoint = endpoint;
        } else if let Some((_, base)) = env.text(&["OTEL_EXPORTER_OTLP_ENDPOINT"]) {
            // The general endpoint is a base for HTTP, whatever its path.
            self.endpoint = match self.protocol {
                Protocol::Grpc => base,
                Protocol::HttpProtobuf => format!("{}/v1/traces", base.trim_end_matches('/')),
            };
        }
        env.read(
            &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
            "milliseconds, at least 1",
            millis,
            &mut self.timeout,
        );
        env.read(&["OTEL_BSP_SCHEDULE_DELAY"], "milliseconds", millis, &mut self.batch_delay);
        env.read(
            &["OTEL_BSP_MAX_QUEUE_SIZE"],
            "a count of at least 1",
            positive,
            &mut self.queue_spans_max,
        );
        env.read(
            &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
            "a count of at least 1",
            positive,
            &mut self.batch_spans_max,
        );
        self.read_sampler(&mut env);
        self.read_resource(&mut env);
        if env.problems.is_empty() { Ok(self) } else { Err(env.problems) }
    }

    /// Whether the standard variables turn traces off, whatever the settings say.
    #[must_use]
    pub fn disabled_by(lookup: &dyn Fn(&str) -> Option<String>) -> bool {
        let says =
            |name, word: &str| lookup(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(word));
        says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none")
    }

    fn read_sampler(&mut self, env: &mut Reader<'_>) {
        let mut ratio = 1.0;
        let argument = |t: &str| t.parse().ok().filter(|r| (0.0..=1.0).contains(r));
        env.read(&["OTEL_TRACES_SAMPLER_ARG"], "a ratio from 0 to 1", argument, &mut ratio);
        let sampler = |name: &str| match name {
            "always_on" | "parentbased_always_on" => Some(Sampling::ratio(1.0)),
            "always_off" | "parentbased_always_off" => Some(Sampling::ratio(0.0)),
            "traceidratio" | "parentbased_traceidratio" => Some(Sampling::ratio(ratio)),
            _ => None,
        };
        // There is never a parent: each message is the root of its trace.
        env.read(
            &["OTEL_TRACES_SAMPLER"],
            "[parentbased_]always_on, [parentbased_]always_off, [parentbased_]traceidratio",
            sampler,
            &mut self.sampling,
        );
    }

    fn read_resource(&mut self, env: &mut Reader<'_>) {
        let mut further = Vec::new();
        env.read(&[RESOURCE], "key=value, comma separated", pairs, &mut further);
        for (key, value) in further {
            if key == "service.name" {
                self.service_name = value;
            } else {
                self.resource_attributes.push((key, value));
            }
        }
        let name = |text: &str| Some(text.to_owned());
        env.read(&["OTEL_SERVICE_NAME"], "a name", name, &mut self.service_name);
    }

    /// The endpoint as the exporter wants it.
    pub(super) fn url(&self) -> String {
        let url = if self.endpoint.contains("://") {
            self.endpoint.clone()
        } else {
            format!("http://{}", self.endpoint)
        };
        let has_path = url.split_once("://").is_some_and(|(_, rest)| {
            rest.split_once('/').is_some_and(|(_, path)| !path.is_empty())
        });
        if self.protocol == Protocol::HttpProtobuf && !has_path {
            return format!("{}/v1/traces", url.trim_end_matches('/'));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<TracingSettings, Vec<SpanSettingsError>> {
        let lookup =
            |name: &str| vars.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
        TracingSettings::default().overridden_by(&lookup)
    }

    #[test]
    fn nothing_set_changes_nothing() {
        assert_eq!(read(&[]), Ok(TracingSettings::default()));
        assert_eq!(read(&[("OTEL_TRACES_SAMPLER", "")]), Ok(TracingSettings::default()));
    }

    #[test]
    fn traces_can_be_turned_off_from_outside() {
        let set = |name: &'static str, value: &'static str| {
            TracingSettings::disabled_by(&move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert!(set("OTEL_SDK_DISABLED", "true"));
        assert!(set("OTEL_TRACES_EXPORTER", "none"));
        assert!(!set("OTEL_TRACES_EXPORTER", "otlp"));
        assert!(!set("OTEL_SDK_DISABLED", "false"));
    }

    #[test]
    fn the_specific_variable_beats_the_general_one() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318/"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_SERVICE_NAME", "mine"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, zone=a"),
        ])
        .expect("usable");
        assert_eq!(settings.url(), "http://general:4318/v1/traces");
        assert_eq!(settings.timeout, Duration::from_millis(250));
        assert_eq!(settings.service_name, "mine");
        assert_eq!(settings.resource_attributes, [("zone".to_owned(), "a".to_owned())]);
    }

    #[test]
    fn endpoints_take_the_form_their_protocol_needs() {
        let url = |endpoint: &str, protocol| {
            TracingSettings { endpoint: endpoint.to_owned(), protocol, ..Default::default() }.url()
        };
        assert_eq!(url("collector:4317", Protocol::Grpc), "http://collector:4317");
        assert_eq!(url("http://c:4318", Protocol::HttpProtobuf), "http://c:4318/v1/traces");
        assert_eq!(url("https://c/own/path", Protocol::HttpProtobuf), "https://c/own/path");
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let problems = read(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ])
        .expect_err("four problems");
        let named: Vec<_> = problems.iter().map(|p| p.variable).collect();
        assert_eq!(
            named,
            [
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "OTEL_BSP_MAX_QUEUE_SIZE",
                "OTEL_TRACES_SAMPLER_ARG",
                "OTEL_TRACES_SAMPLER"
            ]
        );
    }

    #[test]
    fn samplers_by_their_standard_names() {
        let (high, low) = (MessageId(u128::MAX), MessageId(1 << 62));
        for (vars, expect_high, expect_low) in [
            (&[("OTEL_TRACES_SAMPLER", "always_on")][..], true, true),
            (&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], false, false),
            (
                &[
                    ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                    ("OTEL_TRACES_SAMPLER_ARG", "0.5"),
                ],
                false,
                true,
            ),
        ] {
            let sampling = read(vars).expect("usable").sampling;
            assert_eq!(sampling.would_sample(high), expect_high, "{vars:?}");
            assert_eq!(sampling.would_sample(low), expect_low, "{vars:?}");
        }
    }
}
