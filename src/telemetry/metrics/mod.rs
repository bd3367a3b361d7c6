//! Numbers: their names, how events change them, and how a scrape reads them.
//!
//! All numbers that events change are plain integers in one [`book::Book`] behind one mutex. The
//! send loop takes it with `try_lock` and a scrape holds it only to copy the numbers out, so every
//! scrape sees the state between two events: sums agree in each, by construction. The observer
//! never waits for a scrape (see [`super::Observer`]).

pub(super) mod book;
pub(super) mod catalog;
pub(super) mod cells;
mod collect;
pub(super) mod exemplars;
pub(super) mod histogram;
mod limit;
mod objectives;
pub(super) mod pace;
mod safety;
pub(super) mod shared;
pub(super) mod sheet;
