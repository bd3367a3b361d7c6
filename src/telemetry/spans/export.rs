//! The way of a kept span to the collector: admission, the SDK's batch thread, the exporter.
//!
//! Whatever the collector does, the send loop only ever pays for a place in a bounded queue. An
//! export runs on the batch processor's thread; gRPC needs a tokio runtime, which is one thread of
//! its own here and never the send loop's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor,
};
use tokio::runtime::{Handle, Runtime};

use super::build::Builder;
use super::counts::{SpanCounts, SpanDrop};
use super::settings::{Protocol, TracingSettings};
use crate::telemetry::TelemetryError;

/// The exporter's own client would follow a redirect, and carry `OTEL_EXPORTER_OTLP_HEADERS`, which often hold a
/// key, to whatever host it names. Like that one it is made on a thread that belongs to no runtime.
fn http_client(timeout: Duration) -> Result<reqwest::blocking::Client, TelemetryError> {
    let failed = |what: &str| TelemetryError::Exporter(format!("no HTTP client: {what}"));
    let client = reqwest::blocking::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none());
    let making = std::thread::Builder::new().spawn(move || client.build())?;
    let made = making.join().map_err(|_| failed("the thread that makes it panicked"))?;
    made.map_err(|error| failed(&error.to_string()))
}

/// Takes spans and gets them exported.
pub(in crate::telemetry) struct Pipeline {
    processor: BatchSpanProcessor,
    pub(super) counts: Arc<SpanCounts>,
    pub(super) builder: Builder,
    closed: AtomicBool,
    runtime: Option<Runtime>,
}

impl Pipeline {
    /// Over OTLP.
    pub(in crate::telemetry) fn otlp(
        settings: &TracingSettings,
        version: &str,
        counts: Arc<SpanCounts>,
    ) -> Result<Self, TelemetryError> {
        let failed = |e: opentelemetry_otlp::ExporterBuildError| {
            TelemetryError::Exporter(format!("{}: {e}", settings.endpoint))
        };
        // Two more attempts at most: an export that takes long holds up the spans behind it.
        let retries = opentelemetry_otlp::RetryPolicy::recommended().with_max_retries(2);
        match settings.protocol {
            Protocol::Grpc => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("otlp")
                    .enable_all()
                    .build()?;
                let exporter = {
                    let _inside = runtime.enter();
                    let mut builder = opentelemetry_otlp::SpanExporter::builder()
                        .with_tonic()
                        .with_retry_policy(retries)
                        .with_endpoint(settings.url())
                        .with_timeout(settings.timeout);
                    if settings.url().starts_with("https://") {
                        // By itself the exporter trusts no certificate at all.
                        let tls = ClientTlsConfig::new().with_enabled_roots();
                        builder = builder.with_tls_config(tls);
                    }
                    builder.build().map_err(failed)?
                };
                Ok(Self::start(exporter, Some(runtime), settings, version, counts))
            }
            Protocol::HttpProtobuf => {
                let exporter = opentelemetry_otlp::SpanExporter::builder()
                    .with_http()
                    .with_http_client(http_client(settings.timeout)?)
                    .with_retry_policy(retries)
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_endpoint(settings.url())
                    .with_timeout(settings.timeout)
                    .build()
                    .map_err(failed)?;
                Ok(Self::start(exporter, None, settings, version, counts))
            }
        }
    }

    /// Through any exporter. With a runtime, exports run on it, under a timeout; without, on the batch
    /// thread.
    pub(in crate::telemetry) fn start<E: SpanExporter + 'static>(
        exporter: E,
        runtime: Option<Runtime>,
        settings: &TracingSettings,
        version: &str,
        counts: Arc<SpanCounts>,
    ) -> Self {
        let queue = settings.queue_spans_max.max(1);
        counts.set_capacity(queue as u64);
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(queue)
            .with_max_export_batch_size(settings.batch_spans_max.clamp(1, queue))
            .with_scheduled_delay(settings.batch_delay)
            .build();
        let counting = Counting {
            inner: Arc::new(exporter),
            counts: Arc::clone(&counts),
            runtime: runtime.as_ref().map(|r| r.handle().clone()),
            timeout: settings.timeout,
            failing: AtomicBool::new(false),
        };
        let mut processor = BatchSpanProcessor::new(counting, config);
        let further = settings.resource_attributes.iter();
        let resource = Resource::builder_empty()
            .with_attribute(KeyValue::new("service.version", version.to_owned()))
            .with_attributes(further.map(|(k, v)| KeyValue::new(k.clone(), v.clone())))
            .with_service_name(settings.service_name.clone())
            .build();
        processor.set_resource(&resource);
        let builder = Builder::new(version);
        Self { processor, counts, builder, closed: AtomicBool::new(false), runtime }
    }

    /// Queues the spans of one trace: all or none. False when they are lost, which is then counted.
    pub(super) fn queue(&self, count: u64, spans: impl FnOnce(&Builder) -> Vec<SpanData>) -> bool {
        if self.closed.load(Ordering::Acquire) {
            self.counts.drop_spans(SpanDrop::Shutdown, count);
            return false;
        }
        if !self.counts.admit(count) {
            return false;
        }
        let spans = spans(&self.builder);
        debug_assert_eq!(spans.len() as u64, count, "each span takes one place");
        // The SDK's queue is as long as the admission allows and is emptied before a batch is
        // settled, so it always has room.
        for span in spans {
            self.processor.on_end(span);
        }
        true
    }

    /// Exports what waits, for at most `timeout`, and counts the rest as lost. True when nothing was.
    pub(in crate::telemetry) fn shutdown(&self, timeout: Duration) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return true;
        }
        if let Err(error) = self.processor.shutdown_with_timeout(timeout) {
            tracing::warn!(%error, "the flush of spans did not end in time");
        }
        self.counts.abandon() == 0
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Waiting for it could take as long as the collector likes, and is forbidden in async code.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts what becomes of each batch, and tells once when exports begin to fail and once when they
/// work again.
struct Counting<E> {
    inner: Arc<E>,
    counts: Arc<SpanCounts>,
    runtime: Option<Handle>,
    timeout: Duration,
    failing: AtomicBool,
}

impl<E> fmt::Debug for Counting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counting").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl<E: SpanExporter + 'static> SpanExporter for Counting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = match &self.runtime {
            Some(runtime) => {
                let (inner, timeout) = (Arc::clone(&self.inner), self.timeout);
                let export =
                    async move { tokio::time::timeout(timeout, inner.export(batch)).await };
                match runtime.spawn(export).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_elapsed)) => Err(OTelSdkError::Timeout(timeout)),
                    Err(e) => Err(OTelSdkError::InternalFailure(e.to_string())),
                }
            }
            None => self.inner.export(batch).await,
        };
        self.counts.settle(spans, result.is_ok());
        let failed_before = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match &result {
            Err(error) if !failed_before => {
                tracing::warn!(%error, spans, "spans are lost: the collector does not take them");
            }
            Ok(()) if failed_before => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called before the first export, so nobody else holds it yet.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}
