//! Real servers for the tests: each starter brings up one program on loopback, in a directory of its own, and takes it
//! down again when it is dropped.
//!
//! It knows nothing of Plimsoll: what it says about a request is what somebody else's server says.

#![allow(dead_code, reason = "every test crate compiles all of it and uses its part")]

pub(crate) mod alertmanager;
pub(crate) mod clock;
pub(crate) mod collector;
pub(crate) mod http;
pub(crate) mod jmeter;
pub(crate) mod limited;
pub(crate) mod nginx;
pub(crate) mod process;
pub(crate) mod prometheus;
