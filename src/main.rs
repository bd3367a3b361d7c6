//! The `plimsoll` binary: composition lives in the library, so that tests can reach it.

fn main() {}
