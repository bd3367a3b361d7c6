//! What the engine's events become: metrics in both formats, spans, and the contract in `METRICS.md`.

mod cardinality;
mod contract;
mod cost;
mod open_metrics;
mod otlp;
mod promtool;
mod sums;
mod support;
mod text;
mod told;
mod traces;
