//! What counts as good enough: the thresholds that alerts compare with.

use std::time::Duration;

/// Thresholds, exported so that alerting rules hold no numbers of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// Share of the attempts that may be throttled, 0 to 1.
    pub throttled_ratio: f64,
    /// Share of the scheduled rate that is to be accepted, 0 to 1.
    pub goodput_ratio: f64,
    /// A limit that falls by more than this share has changed, 0 to 1.
    pub limit_fall_ratio: f64,
    /// Latency and Retry-After may grow to this many times their own past; above 1.
    pub growth_ratio: f64,
    /// A 95th percentile of the service time below this is fast enough, however much it grew.
    pub latency: Duration,
    /// Share of the time that gates may hold traffic back, 0 to 1.
    pub held_ratio: f64,
    /// Share of the slots that may be skipped for reasons of our own, 0 to 1.
    pub skipped_ratio: f64,
    /// Share of the spans that may be lost, 0 to 1.
    pub spans_lost_ratio: f64,
    /// A token is to be valid for at least this long.
    pub token_validity: Duration,
    /// The send loop counts as dead when it has not shown itself for this long.
    pub heartbeat: Duration,
}
