//! The daemon's own HTTP surface: metrics, health, status, events.
