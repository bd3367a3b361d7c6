//! The precise timer that wakes the send loop.
//!
//! Tokio's own timer rounds up to whole milliseconds by design, which at 1,000/s is a whole period.
//! A `timerfd` on absolute time wakes within about a tenth of one, and drifts by nothing.

use std::io;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock::Clock;
use crate::model::Moment;

/// One timer, armed for one moment at a time.
#[derive(Debug)]
pub struct Pacer {
    clock: Clock,
    timer: AsyncFd<std::os::fd::OwnedFd>,
    armed_for: Option<Moment>,
}

impl Pacer {
    /// A timer on the monotonic clock. Must be made inside the runtime that will wait for it.
    ///
    /// # Errors
    /// The kernel has no file descriptor left.
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function, for descriptors that may change; an OwnedFd \
                  cannot"
    )]
    pub fn new(clock: Clock) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { clock, timer, armed_for: None })
    }

    /// Waits until `at`. Cancelling it loses nothing: the next call arms the timer anew if it is
    /// for another moment.
    ///
    /// # Errors
    /// The timer cannot be set or read, which no valid timer refuses.
    pub async fn sleep_until(&mut self, at: Moment) -> io::Result<()> {
        if self.armed_for != Some(at) {
            self.arm(at)?;
        }
        loop {
            let mut guard = self.timer.readable().await?;
            let mut expirations = [0; 8];
            let read = guard.try_io(|timer| {
                rustix::io::read(timer.get_ref(), &mut expirations).map_err(io::Error::from)
            });
            match read {
                Ok(Ok(_)) => {
                    self.armed_for = None;
                    return Ok(());
                }
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                Ok(Err(error)) => return Err(error),
                // Readiness that was left from an earlier setting: wait again.
                Err(_would_block) => {}
            }
        }
    }

    fn arm(&mut self, at: Moment) -> io::Result<()> {
        // A value of zero would disarm it.
        let ns = self.clock.kernel_nanos(at).max(1);
        let it_value = Timespec {
            tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or_default(),
        };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval: once, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &setting)?;
        self.armed_for = Some(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn it_never_wakes_early_and_can_be_set_anew() {
        let clock = Clock::start();
        let mut pacer = Pacer::new(clock).expect("a timer");
        for ms in [0, 1, 5, 2] {
            let at = clock.now() + Duration::from_millis(ms);
            pacer.sleep_until(at).await.expect("a timer that works");
            assert!(clock.now() >= at);
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_disturb_the_next() {
        let clock = Clock::start();
        let mut pacer = Pacer::new(clock).expect("a timer");
        let soon = clock.now() + Duration::from_millis(1);
        {
            let given_up = pacer.sleep_until(soon);
            tokio::pin!(given_up);
            // Polled once, so that it is armed; then dropped.
            let _ = futures_util::poll!(given_up.as_mut());
        }
        let later = clock.now() + Duration::from_millis(20);
        pacer.sleep_until(later).await.expect("a timer that works");
        assert!(clock.now() >= later);
    }
}
