//! What the simulator counted: the truth that a client's own numbers can be held against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything counted since the start. Every request is in exactly one place of each sum, at any
/// instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// When the simulator started, Unix seconds.
    pub started_at: f64,
    /// Seconds since then.
    pub uptime_seconds: f64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests that call no operation.
    pub unmatched: u64,
    /// By operation, as `POST /messages`.
    pub routes: BTreeMap<String, RouteStats>,
    /// By limit.
    pub limits: BTreeMap<String, LimitStats>,
    /// Token requests.
    pub login: LoginStats,
}

/// One operation. `received = reset_before + too_large + unauthorized + refused + admitted`, and
/// `admitted = accepted + invalid + errors + resets + stalls`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteStats {
    /// Requests.
    pub received: u64,
    /// Connections reset before the body was read.
    pub reset_before: u64,
    /// Bodies that were too long.
    pub too_large: u64,
    /// No token, or none that is known.
    pub unauthorized: u64,
    /// Refused by a limit.
    pub refused: u64,
    /// Admitted by every limit.
    pub admitted: u64,
    /// Answered with success.
    pub accepted: u64,
    /// Answered 400 for what they said.
    pub invalid: u64,
    /// Answered with an injected error.
    pub errors: u64,
    /// Connections reset after the request was acted on.
    pub resets: u64,
    /// Never answered.
    pub stalls: u64,
    /// The first request, Unix seconds.
    pub first_at: Option<f64>,
    /// The latest request, Unix seconds.
    pub last_at: Option<f64>,
}

/// One limit. Requests that an earlier limit refused are not seen by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitStats {
    /// Requests that it let pass.
    pub admitted: u64,
    /// Requests that it refused.
    pub refused: u64,
}

/// Token requests: `received = granted + refused + rejected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoginStats {
    /// Requests.
    pub received: u64,
    /// Tokens granted.
    pub granted: u64,
    /// Refused by a limit.
    pub refused: u64,
    /// Refused for what they said.
    pub rejected: u64,
}
