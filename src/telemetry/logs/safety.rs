//! What is worth a line about the safety envelope: that sending stops, or begins again, and why.

use super::narrate::time;
use crate::model::{BreakerChange, SafetyChange, WallOffset, subject_name};

pub(super) fn envelope(wall: WallOffset, change: &SafetyChange) {
    match change {
        SafetyChange::Paused { subject, by } => {
            tracing::warn!(stream = subject_name(subject), by = by.as_str(), "paused");
        }
        SafetyChange::Resumed { subject, by } => {
            tracing::info!(stream = subject_name(subject), by = by.as_str(), "resumed");
        }
        SafetyChange::CapReached { subject, window, cap, room_at } => tracing::warn!(
            stream = subject_name(subject),
            window = window.as_str(),
            cap,
            room_at = room_at.map(|at| time(wall, at)),
            "cap on messages reached: no new message is sent"
        ),
        SafetyChange::CapFreed { subject, window } => tracing::info!(
            stream = subject_name(subject),
            window = window.as_str(),
            "cap on messages leaves room again"
        ),
        SafetyChange::Hours { stream, active: true } => {
            tracing::info!(%stream, "active hours begin");
        }
        SafetyChange::Hours { stream, active: false } => {
            tracing::info!(%stream, "active hours are over: nothing is sent");
        }
    }
}

pub(super) fn breaker(domain: &str, wall: WallOffset, change: BreakerChange) {
    match change {
        BreakerChange::Opened { until, failures } => tracing::warn!(
            domain,
            until = time(wall, until),
            failures,
            "circuit breaker open: too many requests in a row failed, nothing is sent"
        ),
        BreakerChange::HalfOpen => {
            tracing::info!(
                domain,
                "circuit breaker half open: one request asks if the API is back"
            );
        }
        BreakerChange::Closed { held } => {
            tracing::info!(domain, held_s = held.as_secs_f64(), "circuit breaker closed");
        }
    }
}
