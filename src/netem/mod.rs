//! A seeded virtual network and server in virtual time, around a stack of limiters.
//!
//! Tests drive an engine against it: orders go in with [`World::send`], answers come out of
//! [`World::deliver`] in order of time, and [`World::log`] tells what truly arrived, which no client
//! can see. Nothing here waits, reads a clock or opens a socket; the same seed and the same calls
//! give the same world. It must not know how an engine decides when to send.

mod answers;
mod hints;
mod neighbours;
mod settings;
mod world;

#[cfg(test)]
mod tests;

pub use neighbours::NeighbourCount;
pub use settings::{
    AdviceStyle, HintStyle, LimitChange, Neighbour, NetworkSettings, ResetStyle, ServerSettings,
};
pub use world::{Arrival, World};
