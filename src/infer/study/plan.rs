//! The next experiment: what a probe is told to send, and what it may cost.

use std::time::Duration;

use crate::model::{Identity, Moment};

/// What a probe may cost, as its user states it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Budget {
    /// Requests in all.
    pub requests: u64,
    /// Refusals in all.
    pub throttles: u64,
    /// Time in all.
    pub time: Duration,
    /// The highest rate, per second.
    pub rate: f64,
}

/// What the probe is to find out about.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Who can send. The limit is measured with the first; the others tell its scope.
    pub parties: Vec<Identity>,
    /// What it may cost.
    pub budget: Budget,
    /// A single request from another party may be sent while a Retry-After holds, to see whether it is
    /// refused as well.
    pub peek: bool,
}

/// What the probe wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Send so many requests of a party, evenly at a rate per second, the first of them now. Stops at its first
    /// refusal or at [`Order::Stop`].
    Send {
        /// Who.
        party: usize,
        /// How fast.
        rate: f64,
        /// How many.
        count: u64,
        /// For a reader: what this is to tell.
        why: &'static str,
    },
    /// Send nothing more of what was ordered.
    Stop,
    /// Nothing before this moment, unless something is observed first.
    WakeAt(Moment),
    /// It has found out what it can.
    Done(Ended),
}

/// Why a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Everything is known that it can find out.
    Answered,
    /// Nobody was refused at the highest rate that the budget allows.
    NeverRefused,
    /// The budget's requests are used up.
    Requests,
    /// The budget's refusals are used up.
    Throttles,
    /// The budget's time is over.
    Time,
    /// Somebody ended it.
    Interrupted,
}
