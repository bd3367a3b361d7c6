//! Active hours: at which times of the week a stream may send, by the clocks of a place.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan, Zoned};

/// A part of the week: days, and times of day on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveHours {
    /// From this day ...
    first: Weekday,
    /// ... to this one, around the end of the week if need be.
    last: Weekday,
    from: Time,
    /// Not later than `from`: on the day after.
    to: Time,
}

/// A text that says no hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not active hours")]
pub struct ParseHoursError;

/// When a stream may send, and where the clock hangs that says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Timetable {
    hours: Vec<ActiveHours>,
    zone: TimeZone,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn day(text: &str) -> Option<Weekday> {
    DAYS.iter().find(|(name, _)| *name == text).map(|(_, day)| *day)
}

/// `24:00` is the midnight at the end of a day, which is the next day's `00:00`.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |t: &str| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    match (hour.parse().ok()?, minute.parse().ok()?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    }
}

impl FromStr for ActiveHours {
    type Err = ParseHoursError;

    /// `mon-fri 08:00-18:00`, `sat 22:00-02:00`, `daily 09:00-17:30`.
    fn from_str(text: &str) -> Result<Self, ParseHoursError> {
        let parse = || {
            let (days, times) = text.trim().split_once(' ')?;
            let (first, last) = match days.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None if days == "daily" => (Weekday::Monday, Weekday::Sunday),
                None => (day(days)?, day(days)?),
            };
            let (from, to) = times.trim().split_once('-')?;
            (from != "24:00").then_some(())?;
            Some(Self { first, last, from: time(from)?, to: time(to)? })
        };
        parse().ok_or(ParseHoursError)
    }
}

impl fmt::Display for ActiveHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day| DAYS.iter().find(|(_, d)| *d == day).map_or("", |(name, _)| *name);
        let hm = |t: Time| format!("{:02}:{:02}", t.hour(), t.minute());
        write!(f, "{}-{} ", name(self.first), name(self.last))?;
        write!(f, "{}-{}", hm(self.from), hm(self.to))
    }
}

impl ActiveHours {
    fn is_on(&self, day: Weekday) -> bool {
        let offset =
            |d: Weekday| (d.to_monday_zero_offset() + 7 - self.first.to_monday_zero_offset()) % 7;
        offset(day) <= offset(self.last)
    }

    fn contains(&self, day: Weekday, time: Time) -> bool {
        if self.from < self.to {
            return self.is_on(day) && (self.from..self.to).contains(&time);
        }
        (self.is_on(day) && time >= self.from) || (self.is_on(day.previous()) && time < self.to)
    }
}

impl Timetable {
    /// Hours by the clocks of a zone of the IANA database, such as `Europe/Berlin`. The database is that of
    /// this program, so that a container needs none. `None`: there is no such zone.
    #[must_use]
    pub fn new(hours: Vec<ActiveHours>, zone: &str) -> Option<Self> {
        let zone = TimeZoneDatabase::bundled().get(zone).ok()?;
        Some(Self { hours, zone })
    }

    /// Whether the hours are on at a Unix time in nanoseconds.
    #[must_use]
    pub fn is_active(&self, unix_ns: i64) -> bool {
        Timestamp::from_nanosecond(unix_ns.into())
            .is_ok_and(|at| self.is_on(&at.to_zoned(self.zone.clone())))
    }

    fn is_on(&self, at: &Zoned) -> bool {
        self.hours.iter().any(|hours| hours.contains(at.weekday(), at.time()))
    }

    /// How long after a Unix time in nanoseconds the hours are on; `None`: never. Zero: they are.
    #[must_use]
    pub fn active_in(&self, unix_ns: i64) -> Option<Duration> {
        let now = Timestamp::from_nanosecond(unix_ns.into()).ok()?.to_zoned(self.zone.clone());
        if self.is_on(&now) {
            return Some(Duration::ZERO);
        }
        // Hours begin where a range does; a gap in the clock may swallow one of them, so a day more than
        // the week is looked at. The zone says when a local time is.
        let starts = (0..=8).flat_map(|days| {
            let date = now.date().saturating_add(days.days());
            let on_that_day = self.hours.iter().filter(move |hours| hours.is_on(date.weekday()));
            on_that_day.map(move |hours| date.to_datetime(hours.from))
        });
        let starts = starts.filter_map(|local| local.to_zoned(self.zone.clone()).ok());
        let next = starts.filter(|at| *at > now && self.is_on(at)).min()?;
        Duration::try_from(now.duration_until(&next)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(hours: &[&str], zone: &str) -> Timetable {
        let hours = hours.iter().map(|h| h.parse().expect("hours")).collect();
        Timetable::new(hours, zone).expect("a zone")
    }

    fn unix(text: &str) -> i64 {
        let at: Timestamp = text.parse().expect("a time");
        i64::try_from(at.as_nanosecond()).expect("this century")
    }

    #[test]
    fn hours_are_those_of_the_place() {
        let office = table(&["mon-fri 08:00-18:00", "sat 09:00-12:00"], "Europe/Berlin");
        for (at, active) in [
            ("2026-11-23T06:59:59Z", false), // Monday 07:59:59
            ("2026-11-23T07:00:00Z", true),
            ("2026-11-23T16:59:59Z", true),
            ("2026-11-23T17:00:00Z", false),
            ("2026-11-28T08:30:00Z", true),  // Saturday
            ("2026-11-28T11:00:00Z", false), // Saturday 12:00
            ("2026-11-29T10:00:00Z", false), // Sunday
            ("2026-07-06T06:00:00Z", true),  // Monday 08:00 in summer
        ] {
            assert_eq!(office.is_active(unix(at)), active, "{at}");
        }
    }

    #[test]
    fn a_range_may_pass_midnight_and_the_end_of_the_week() {
        let night = table(&["sat-sun 22:00-02:00"], "UTC");
        for (at, active) in [
            ("2026-11-28T23:00:00Z", true), // Saturday
            ("2026-11-29T01:59:00Z", true),
            ("2026-11-29T03:00:00Z", false),
            ("2026-11-30T01:00:00Z", true), // Monday, after Sunday's
            ("2026-11-30T02:00:00Z", false),
            ("2026-11-28T01:00:00Z", false), // Saturday, after Friday's
        ] {
            assert_eq!(night.is_active(unix(at)), active, "{at}");
        }
        let always = table(&["daily 00:00-24:00"], "UTC");
        assert!(
            (0..48).all(|h| always.is_active(unix("2026-11-28T00:00:00Z") + h * 3_600_000_000_000))
        );
        assert!(table(&["fri-mon 00:00-24:00"], "UTC").is_active(unix("2026-11-29T12:00:00Z")));
        assert!(!table(&["fri-mon 00:00-24:00"], "UTC").is_active(unix("2026-11-24T12:00:00Z")));
    }

    #[test]
    fn the_next_hours_are_found_across_a_change_of_the_clocks() {
        let early = table(&["sun 02:30-04:00"], "Europe/Berlin");
        // That Sunday has no 02:30: jiff makes it 03:30, half an hour after the hours have in fact begun.
        let in_ = early.active_in(unix("2026-03-28T12:00:00Z")).expect("soon");
        assert_eq!(in_, Duration::from_secs((13 * 60 + 30) * 60));
        assert!(early.is_active(unix("2026-03-29T01:30:00Z")));
        let office = table(&["mon-fri 08:00-18:00"], "Europe/Berlin");
        let friday_evening = unix("2026-10-23T16:00:00Z");
        let monday = office.active_in(friday_evening).expect("on Monday");
        assert_eq!(monday, Duration::from_secs(63 * 3_600), "an hour more than on other weekends");
        assert_eq!(office.active_in(unix("2026-10-23T09:00:00Z")), Some(Duration::ZERO));
    }

    #[test]
    fn what_says_no_hours_is_refused() {
        for text in [
            "",
            "mon",
            "8-18",
            "mon 8:00-18:00",
            "mon-fri",
            "mon-fri 08:00",
            "mon 08:00-25:00",
            "someday 08:00-18:00",
            "mon 24:00-08:00",
            "mon 08:00-24:01",
            "mon-fri-sun 08:00-18:00",
        ] {
            assert_eq!(text.parse::<ActiveHours>(), Err(ParseHoursError), "{text}");
        }
        let hours: ActiveHours = "daily 09:00-24:00".parse().expect("hours");
        assert_eq!(hours.to_string().parse(), Ok(hours));
        assert!(Timetable::new(vec![hours], "Europe/Nowhere").is_none());
    }
}
