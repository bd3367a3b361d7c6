//! A real OpenTelemetry Collector that takes OTLP in over gRPC and HTTP, and hands on what it accepted, as JSON, to the
//! test. So the test reads what a collector understood, not what was sent.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::http::Server;
use super::process::{Process, free_ports, temp_dir, testbed_tool, wait_for, write_file};

/// A span as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// 32 hexadecimal digits.
    pub(crate) trace_id: String,
    /// 16 hexadecimal digits.
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, Value>,
    /// The attributes of who sent it: `service.name` and the like.
    pub(crate) resource: BTreeMap<String, Value>,
    /// All of it, as OTLP's JSON words it: `kind`, `status`, `events`, `startTimeUnixNano`.
    pub(crate) raw: Value,
}

/// What arrived, as OTLP export requests.
type Received = Arc<Mutex<Vec<Value>>>;

/// A running collector.
pub(crate) struct Collector {
    process: Process,
    grpc_port: u16,
    http_port: u16,
    received: Received,
    /// The receiving end, and the collector's files: both live as long as it does.
    _sink: Server,
    _directory: TempDir,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let received = Received::default();
        let sink = Server::start(
            Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&received)),
        );
        let directory = temp_dir();
        let [grpc_port, http_port] = free_ports();
        let configuration = write_file(
            directory.path(),
            // JSON is YAML, and needs no care with quoting.
            "otelcol.yaml",
            &configuration(grpc_port, http_port, &sink.url()).to_string(),
        );
        let mut process = Process::spawn(
            "otelcol",
            Command::new(testbed_tool("otelcol"))
                .arg(format!("--config=file:{}", configuration.display())),
            &directory.path().join("otelcol.log"),
        );
        process.wait_for_answer(
            &format!("http://127.0.0.1:{http_port}/v1/traces"),
            Duration::from_secs(30),
        );
        Self { process, grpc_port, http_port, received, _sink: sink, _directory: directory }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with protocol `grpc`.
    pub(crate) fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT` with protocol `http/protobuf` or `http/json`.
    pub(crate) fn http_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// To make it silent (`STOP`), awake again (`CONT`), or down (`TERM`).
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Every span so far, in the order of arrival.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().flat_map(spans_of_request).collect()
    }

    /// Waits until what arrived is `enough`, and returns it.
    pub(crate) fn wait_for_spans(
        &self,
        within: Duration,
        enough: impl Fn(&[Span]) -> bool,
    ) -> Vec<Span> {
        wait_for(within, || Some(self.spans()).filter(|spans| enough(spans))).unwrap_or_else(|| {
            panic!(
                "the spans waited for did not arrive within {within:?}; {} did",
                self.spans().len()
            )
        })
    }
}

/// The receiving end of its exporter. The answer is OTLP's for "all accepted".
async fn keep(
    State(received): State<Received>,
    axum::Json(request): axum::Json<Value>,
) -> axum::Json<Value> {
    received.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    axum::Json(json!({}))
}

/// No queue and no batches: what it has answered for has reached the test. No metrics of its own, or two collectors
/// would want the same port.
fn configuration(grpc_port: u16, http_port: u16, sink: &str) -> Value {
    json!({
        "receivers": {"otlp": {"protocols": {
            "grpc": {"endpoint": format!("127.0.0.1:{grpc_port}")},
            "http": {"endpoint": format!("127.0.0.1:{http_port}")},
        }}},
        "exporters": {"otlp_http": {
            "endpoint": sink,
            "encoding": "json",
            "compression": "none",
            "sending_queue": {"enabled": false},
        }},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
        },
    })
}

fn spans_of_request(request: &Value) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in array(&request["resourceSpans"]) {
        let resource = attributes(&of_resource["resource"]["attributes"]);
        for of_scope in array(&of_resource["scopeSpans"]) {
            spans.extend(array(&of_scope["spans"]).iter().map(|raw| span(raw, &resource)));
        }
    }
    spans
}

fn span(raw: &Value, resource: &BTreeMap<String, Value>) -> Span {
    let text = |name: &str| raw[name].as_str().unwrap_or_default().to_owned();
    Span {
        trace_id: text("traceId"),
        span_id: text("spanId"),
        parent_span_id: Some(text("parentSpanId")).filter(|id| !id.is_empty()),
        name: text("name"),
        attributes: attributes(&raw["attributes"]),
        resource: resource.clone(),
        raw: raw.clone(),
    }
}

/// OTLP's list of `{key, value: {stringValue: …}}` as a map.
fn attributes(list: &Value) -> BTreeMap<String, Value> {
    array(list)
        .iter()
        .filter_map(|entry| Some((entry["key"].as_str()?.to_owned(), plain(&entry["value"]))))
        .collect()
}

/// An OTLP value as plain JSON. Its 64-bit integers come as text, for the sake of JavaScript.
fn plain(value: &Value) -> Value {
    let Some((kind, content)) = value.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        "intValue" => content
            .as_str()
            .and_then(|text| text.parse::<i64>().ok())
            .map_or_else(|| content.clone(), Value::from),
        "arrayValue" => array(&content["values"]).iter().map(plain).collect(),
        "kvlistValue" => Value::Object(Map::from_iter(attributes(&content["values"]))),
        _ => content.clone(),
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
