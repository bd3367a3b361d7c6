//! The clock that all processes of a bench share, and waiting by it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds: the same in every process of the machine.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // Neither is ever negative.
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) fn sleep_until(at_ns: u64) {
    std::thread::sleep(Duration::from_nanos(at_ns.saturating_sub(now_ns())));
}

/// Asks again and again until there is an answer; `None` when there is none `within` the time.
pub(crate) fn wait_for<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline_ns = now_ns() + within.as_nanos() as u64;
    loop {
        let answer = ask();
        if answer.is_some() || now_ns() >= deadline_ns {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
