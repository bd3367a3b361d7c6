//! What the engine's events become: metrics in both formats, spans, and the contract in `METRICS.md`.

mod cardinality;
mod contract;
#[expect(clippy::disallowed_methods, reason = "what telemetry costs its caller is real time")]
mod cost;
mod open_metrics;
#[expect(clippy::disallowed_methods, reason = "what telemetry costs its caller is real time")]
mod otlp;
mod promtool;
#[path = "../support/mod.rs"]
mod servers;
mod sums;
mod support;
mod text;
mod told;
#[expect(clippy::disallowed_methods, reason = "what telemetry costs its caller is real time")]
mod traces;
