//! Plimsoll: an observability-first daemon that sends messaging traffic at a steady rate, meets
//! rate limits politely, and tells the whole story in metrics and traces.
//!
//! The rooms and what each may import are listed in `ARCHITECTURE.md`; `tests/rooms.rs` holds the code
//! to that table.

pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod engine;
pub mod findings;
pub mod infer;
pub mod infer_files;
pub mod limiter;
pub mod model;
pub mod netem;
pub mod pacer;
pub mod panics;
pub mod policy;
pub mod probe;
pub mod records;
pub mod report;
pub mod schedule;
pub mod sender;
pub mod simulate;
pub mod simulator;
pub mod telemetry;
pub mod verdict;
pub mod web;
