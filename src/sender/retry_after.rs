//! `Retry-After` in every form that has been seen (RFC 9110 section 10.2.3, and its abuses).
//!
//! Pure. It does not know what is too long to believe: that is the policy's to decide.

use super::figure;
use super::server_time::{ServerTime, http_date};
use crate::model::{Advice, AdviceSource};

/// Reads one value: delta seconds (a fraction is tolerated) or an HTTP date, which counts from the
/// response's own time. A date that has passed is a wait of zero.
pub(super) fn read(value: &[u8], time: &ServerTime<'_>) -> Advice {
    let Some(text) = std::str::from_utf8(value).ok().map(str::trim) else {
        return Advice::Unreadable;
    };
    if let Some(wait) = figure::seconds(text) {
        return Advice::Wait(wait, AdviceSource::RetryAfterSeconds);
    }
    match http_date(text.as_bytes()) {
        Some(then) => Advice::Wait(time.until(then), AdviceSource::RetryAfterDate),
        None => Advice::Unreadable,
    }
}

/// Reads all the lines of a response. Where they disagree the longest wait counts: a proxy may have
/// added the shorter one, and coming back too early is the costlier mistake.
pub(super) fn read_all(values: &[&[u8]], time: &ServerTime<'_>) -> Advice {
    values.iter().map(|value| read(value, time)).fold(Advice::Absent, |best, next| {
        match (best.wait(), next.wait()) {
            (Some(a), Some(b)) if b > a => next,
            (Some(_), _) => best,
            (None, _) => next,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    const DATE: &[u8] = b"Tue, 14 Nov 2023 22:13:20 GMT";

    fn one(text: &str) -> Advice {
        read(text.as_bytes(), &ServerTime::new(Some(DATE), &|| panic!("there is a Date")))
    }

    #[test]
    fn seconds_in_all_their_forms() {
        for (text, wait) in [
            ("30", Duration::from_secs(30)),
            (" 30\t", Duration::from_secs(30)),
            ("0", Duration::ZERO),
            ("007", Duration::from_secs(7)),
            ("1.337", Duration::from_millis(1337)),
            ("64.57", Duration::from_millis(64_570)),
            ("86400", Duration::from_secs(86_400)),
            ("99999999999999999999999", Duration::from_secs(u64::MAX)),
        ] {
            assert_eq!(one(text), Advice::Wait(wait, AdviceSource::RetryAfterSeconds), "{text}");
        }
    }

    #[test]
    fn dates_count_from_the_servers_own_clock() {
        for (text, seconds) in [
            ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
            ("Tuesday, 14-Nov-23 22:13:50 GMT", 30),
            ("Tue Nov 14 22:13:50 2023", 30),
            ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
            ("Mon, 13 Nov 2023 22:13:20 GMT", 0),
        ] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(one(text), Advice::Wait(wait, AdviceSource::RetryAfterDate), "{text}");
        }
    }

    #[test]
    fn without_a_date_header_our_wall_clock_serves() {
        let wall = || 1_700_000_000_000_000_000_i64;
        let advice = read(b"Tue, 14 Nov 2023 22:13:50 GMT", &ServerTime::new(None, &wall));
        assert_eq!(advice.wait(), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_rest_is_unreadable() {
        let huge = "9".repeat(65);
        for text in [
            "",
            "  ",
            "-1",
            "-30",
            "+30",
            "30s",
            "1e3",
            "NaN",
            "inf",
            "30, 60",
            ".5",
            "soon",
            "Tue, 31 Feb 2023 22:13:50 GMT",
            "2023-11-14",
            &huge,
        ] {
            assert_eq!(one(text), Advice::Unreadable, "{text:?}");
        }
        let time = ServerTime::new(Some(DATE), &|| 0);
        assert_eq!(read(b"\xff\xfe", &time), Advice::Unreadable);
    }

    #[test]
    fn of_several_lines_the_longest_wait_counts() {
        let time = ServerTime::new(Some(DATE), &|| 0);
        let wait = |lines: &[&[u8]]| read_all(lines, &time);
        assert_eq!(wait(&[]), Advice::Absent);
        assert_eq!(wait(&[b"x"]), Advice::Unreadable);
        assert_eq!(wait(&[b"5", b"x", b"60", b"7"]).wait(), Some(Duration::from_secs(60)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            value in prop::collection::vec(any::<u8>(), 0..100),
            date in prop::option::of(prop::collection::vec(any::<u8>(), 0..50)),
            wall in any::<i64>(),
        ) {
            let clock = || wall;
            let advice = read(&value, &ServerTime::new(date.as_deref(), &clock));
            prop_assert_ne!(advice, Advice::Absent);
        }

        #[test]
        fn whole_seconds_survive(seconds in any::<u64>()) {
            prop_assert_eq!(one(&seconds.to_string()).wait(), Some(Duration::from_secs(seconds)));
        }
    }
}
