//! A simulated messaging API over HTTP, with configurable limiters and faults.
