//! The ways out of the daemon and into it, through the binary: proxies, private authorities, names that
//! move, servers that misbehave, networks that fail; and its own surface behind TLS and passwords.
//!
//! After each the books are balanced: whatever a server did, every slot and every attempt is accounted for.

#[allow(dead_code, reason = "shared with tests/lifecycle; this crate uses its part")]
#[path = "../lifecycle/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "shared with tests/lifecycle; this crate uses its part")]
#[path = "../lifecycle/world.rs"]
mod world;

mod answers;
mod canary;
mod certificates;
mod clock;
mod faults;
mod names;
mod proxy;
mod secure;
mod tls;
mod wire;
