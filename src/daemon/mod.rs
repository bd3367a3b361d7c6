//! The daemon: everything composed.

mod outbound;
mod send_loop;
