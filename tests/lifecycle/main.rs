//! The binary as its users have it: a daemon as a process of its own, against the simulated API or a
//! scripted server, from its start over signals and reloads to its exit code.
//!
//! It knows the command line, the files, the HTTP surface and the log lines, and nothing of the code
//! behind them. Everything is on loopback and every wait is for a condition.

mod cli;
mod demo;
mod drain;
mod duplicates;
mod ending;
mod envelope;
mod full;
mod mounted;
mod oauth;
mod payload;
mod probe;
mod recorded;
mod reload;
mod rollout;
mod scripted;
mod secrets;
mod start;
mod state;
#[path = "../support/mod.rs"]
mod support;
mod surface;
mod throttle;
mod watched;
mod world;
