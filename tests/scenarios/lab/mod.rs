//! Experiments as data: read, unfolded into cases, run in virtual time, measured against an oracle.
//!
//! The test and the bench share it. It knows the engine by its inputs and outputs alone, and the server
//! by what the virtual network shows of it.

mod axis;
pub(crate) mod case;
pub(crate) mod client;
pub(crate) mod engine;
pub(crate) mod file;
mod grid;
pub(crate) mod oracle;
pub(crate) mod pool;
pub(crate) mod run;
pub(crate) mod verdict;
mod words;
