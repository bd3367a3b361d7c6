//! The time at the server when it answered, so that dates in a response become waits.
//!
//! A server's clock may be minutes away from ours. Its own `Date` header cancels that error, so our
//! wall clock is asked only where `Date` is missing or unreadable. Pure: the clock is an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time of a response, worked out only when something needs it.
#[derive(Clone, Copy)]
pub(super) struct ServerTime<'a> {
    date: Option<&'a [u8]>,
    wall: &'a dyn Fn() -> i64,
}

impl<'a> ServerTime<'a> {
    /// The time that the value of a `Date` header states; without a readable one, that of `wall`
    /// (nanoseconds since the Unix epoch).
    pub(super) const fn new(date: Option<&'a [u8]>, wall: &'a dyn Fn() -> i64) -> Self {
        Self { date, wall }
    }

    /// From this time to `then`; zero when it has passed.
    pub(super) fn until(&self, then: SystemTime) -> Duration {
        then.duration_since(self.now()).unwrap_or(Duration::ZERO)
    }

    fn now(&self) -> SystemTime {
        self.date.and_then(http_date).unwrap_or_else(|| {
            let ns = u64::try_from((self.wall)()).unwrap_or(0);
            UNIX_EPOCH + Duration::from_nanos(ns)
        })
    }
}

/// Reads any of the three date forms of RFC 9110 section 5.6.7.
pub(super) fn http_date(value: &[u8]) -> Option<SystemTime> {
    /// The longest form, `Wednesday, 09-Nov-94 08:49:37 GMT`, has 34 characters.
    const BYTES_MAX: usize = 40;
    if value.len() > BYTES_MAX {
        return None;
    }
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_clock_is_asked_only_where_the_date_is_missing() {
        let wall = || 1_000_000_000_000_000_000_i64;
        let then = UNIX_EPOCH + Duration::from_secs(1_000_000_010);
        let ten = Duration::from_secs(10);
        assert_eq!(ServerTime::new(None, &wall).until(then), ten);
        assert_eq!(ServerTime::new(Some(b"yesterday"), &wall).until(then), ten);
        let asked = || panic!("the response has a Date");
        let date = Some(b"Sun, 09 Sep 2001 01:46:39 GMT".as_slice());
        assert_eq!(ServerTime::new(date, &asked).until(then), Duration::from_secs(11));
    }

    #[test]
    fn what_has_passed_is_no_wait() {
        let wall = || 1_000_000_000_000_000_000_i64;
        assert_eq!(ServerTime::new(None, &wall).until(UNIX_EPOCH), Duration::ZERO);
        let before_the_epoch = || -5_i64;
        assert_eq!(ServerTime::new(None, &before_the_epoch).until(UNIX_EPOCH), Duration::ZERO);
    }
}
