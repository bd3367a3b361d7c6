//! A wall clock that is stepped by an hour, forwards and back, under a daemon that sends. The binary is the one that
//! everybody runs: libfaketime answers in the place of the system's wall clock, and leaves the monotonic ones alone.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::scripted::{Reply, Scripted};
use crate::support::clock::unix_now_s;
use crate::support::process::testbed_tool;
use crate::world::{Daemon, World, plimsoll, sending_to, stream, until};

const HOUR_S: f64 = 3_600.0;
const STATE: &str = "[state]\nfile = \"state.json\"\ninterval = \"1s\"\n";

#[expect(clippy::disallowed_methods, reason = "a real process runs in real time")]
fn now() -> Instant {
    Instant::now()
}

/// The wall clock of the daemons of one world.
struct Wall<'a> {
    world: &'a World,
    file: PathBuf,
}

impl<'a> Wall<'a> {
    fn of(world: &'a World) -> Self {
        let wall = Self { world, file: world.path().join("wall") };
        wall.set(0);
        wall
    }

    /// So many hours beside the true time.
    fn set(&self, hours: i32) {
        let next = self.world.write("wall.next", &format!("{:+}s\n", hours * 3_600));
        fs::rename(next, &self.file).expect("renamed");
    }

    fn daemon(&self, config: &str) -> Daemon {
        self.world.write("plimsoll.toml", config);
        let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
        let mut command = plimsoll(&args);
        command.env("LD_PRELOAD", testbed_tool("libfaketimeMT.so.1"));
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        self.world.daemon_by(&mut command)
    }

    /// Steps the clock under a daemon, and waits until it has seen it.
    fn step(&self, daemon: &Daemon, hours: i32) {
        self.set(hours);
        until("the daemon to see the step", || {
            let at = daemon.status()["at"].as_f64().expect("a time");
            (at - unix_now_s() - f64::from(hours) * HOUR_S).abs() < 2.0
        });
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn messages_flow_as_planned_whatever_the_wall_clock_does() {
    let world = World::new();
    let wall = Wall::of(&world);
    let api = Scripted::start(|_, _| Reply::ok());
    let cap = "[safety]\nmessages_per_hour = 1000000\n";
    let mut daemon = wall.daemon(&(sending_to(&api.url) + STATE + cap + &stream("s", "100/s")));
    until("traffic", || api.count() > 50);
    let scheduled = || daemon.sum("plimsoll_slots_scheduled_total", &[]);
    let (began, first) = (now(), scheduled());
    // An hour on, back, an hour back, and on again.
    for hours in [1, 0, -1, 0] {
        let (before, stepped) = (api.count(), now());
        wall.step(&daemon, hours);
        until("traffic after the step", || api.count() > before + 200);
        let arrivals: Vec<Instant> = api.seen()[before..].iter().map(|r| r.at).collect();
        assert!(arrivals[199] < stepped + Duration::from_secs(6), "{hours}: a stall");
        // Ten are due in this time. What is late is made up for within the catch-up bound, and sockets bunch.
        let span = Duration::from_millis(100);
        let burst = (0..arrivals.len())
            .map(|i| arrivals[i..].iter().take_while(|at| **at < arrivals[i] + span).count())
            .max();
        assert!(burst <= Some(10 + 20), "{hours}: {burst:?} in {span:?}");
        let scrape = daemon.scrape();
        scrape.adds_up();
        assert_eq!(daemon.get("/livez").status, 200);
        let beat = scrape.sum("plimsoll_send_loop_heartbeat_timestamp_seconds", &[]);
        assert!((beat - unix_now_s() - f64::from(hours) * HOUR_S).abs() < 3.0, "{beat}");
    }
    let (planned, slots) = (now().duration_since(began).as_secs_f64() * 100.0, scheduled() - first);
    assert!((slots - planned).abs() < 50.0, "{slots} slots, {planned} planned");
    let scrape = daemon.scrape();
    let count = scrape.sum("plimsoll_attempts_total", &[("outcome", "accepted")]);
    for duration in ["send_lateness", "service_duration", "response_duration"] {
        let sum = scrape.sum(&format!("plimsoll_{duration}_seconds_sum"), &[]);
        assert!((0.0..count).contains(&sum), "{duration}: {sum} s in {count} attempts");
    }
    assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(count_of(&daemon, "drained, all accounted for"), 1);
}

fn count_of(daemon: &Daemon, message: &str) -> usize {
    daemon.process.log().matches(message).count()
}

/// An API that refuses one request when it is told to: in seconds, or by a date.
struct Refusing {
    api: Scripted,
    refuse: Arc<AtomicBool>,
}

const ASKED: Duration = Duration::from_secs(4);

#[expect(
    clippy::disallowed_methods,
    reason = "a server states the time, which nobody steps for it"
)]
fn dates() -> String {
    let now = SystemTime::now();
    let text = httpdate::fmt_http_date;
    format!("date: {}\r\nretry-after: {}\r\n", text(now), text(now + ASKED))
}

impl Refusing {
    fn start(by_date: bool) -> Self {
        let refuse = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&refuse);
        let api = Scripted::start(move |_, _| match asked.swap(false, Ordering::SeqCst) {
            true if by_date => Reply::Status(429, dates()),
            true => Reply::Status(429, format!("retry-after: {}\r\n", ASKED.as_secs())),
            false => Reply::ok(),
        });
        Self { api, refuse }
    }

    /// Lets one request be refused; the requests before it, and when it came.
    fn refuse_one(&self, daemon: &Daemon) -> (usize, Instant) {
        self.refuse.store(true, Ordering::SeqCst);
        until("the refusal", || daemon.sum("plimsoll_gate_state", &[]) == 2.0);
        // At 20/s, the last of those that arrived is the one that was refused, or one that was under way.
        let seen = self.api.seen();
        (seen.len(), seen.last().expect("one").at)
    }

    /// How long after a refusal the next request came.
    fn pause(&self, (before, refused): (usize, Instant)) -> Duration {
        until("traffic after the pause", || self.api.count() > before + 10);
        self.api.seen()[before].at.duration_since(refused)
    }
}

fn keeps_a_pause_over_steps(by_date: bool) {
    let world = World::new();
    let wall = Wall::of(&world);
    let refusing = Refusing::start(by_date);
    let policy = "[policy]\nretry_after_jitter = \"0s\"\n";
    let daemon =
        wall.daemon(&(sending_to(&refusing.api.url) + policy + STATE + &stream("s", "20/s")));
    until("traffic", || refusing.api.count() > 20);
    // A date has whole seconds, and counts from the server's own clock whatever ours says.
    let least = if by_date { ASKED - Duration::from_secs(1) } else { ASKED };
    for hours in [1, 0, -1] {
        let refused = refusing.refuse_one(&daemon);
        wall.step(&daemon, hours);
        let paused = refusing.pause(refused);
        let allowed = least - Duration::from_millis(10)..ASKED + Duration::from_secs(2);
        assert!(allowed.contains(&paused), "{hours}: {paused:?}");
    }
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert_eq!(scrape.sum("plimsoll_gate_violations_total", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_gate_epochs_total", &[]), 3.0);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_retry_after_in_seconds_is_neither_cut_nor_lengthened_by_a_step() {
    keeps_a_pause_over_steps(false);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_retry_after_by_date_is_neither_cut_nor_lengthened_by_a_step() {
    keeps_a_pause_over_steps(true);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_pause_is_as_long_as_was_asked_when_the_clock_is_stepped_between_two_runs() {
    let world = World::new();
    let wall = Wall::of(&world);
    let refusing = Refusing::start(false);
    let policy = "[policy]\nretry_after_jitter = \"0s\"\n";
    let config = sending_to(&refusing.api.url) + policy + STATE + &stream("s", "20/s");
    for hours in [1, -1] {
        let mut daemon = wall.daemon(&config);
        until("traffic", || daemon.sum("plimsoll_slots_sent_total", &[]) > 10.0);
        let refused = refusing.refuse_one(&daemon);
        assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
        wall.set(hours);
        let mut daemon = wall.daemon(&config);
        let paused = refusing.pause(refused);
        let allowed = ASKED - Duration::from_millis(10)..ASKED + Duration::from_secs(3);
        assert!(allowed.contains(&paused), "{hours}: {paused:?}");
        assert_eq!(daemon.sum("plimsoll_gate_violations_total", &[]), 0.0);
        assert_eq!(daemon.process.terminate(Duration::from_secs(10)).code(), Some(0));
    }
}

const CAP: usize = 40;
const HOURLY: [(&str, &str); 2] = [("stream", "s"), ("window", "hour")];

/// Holds a daemon at its cap for a while: nothing is sent, and how long until there is room, by its own clock.
fn held_at_the_cap(daemon: &Daemon, api: &Scripted) -> f64 {
    let capped = || daemon.sum("plimsoll_slots_skipped_total", &[("reason", "capped")]);
    let before = capped();
    until("slots that pass", || capped() > before + 60.0);
    assert_eq!(api.count(), CAP, "the cap is lost");
    assert_eq!(daemon.sum("plimsoll_cap_used", &HOURLY), CAP as f64);
    assert_eq!(daemon.sum("plimsoll_cap_reached", &HOURLY), 1.0);
    let status: Value = daemon.status();
    let time = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no time in {status}"));
    time(&status["streams"][0]["caps"][0]["room_at"]) - time(&status["at"])
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_cap_is_neither_lost_nor_lengthened_by_a_step() {
    let world = World::new();
    let wall = Wall::of(&world);
    let api = Scripted::start(|_, _| Reply::ok());
    let cap = format!("messages_per_hour = {CAP}\n");
    let config = sending_to(&api.url) + STATE + &stream("s", "50/s") + &cap;
    let mut daemon = wall.daemon(&config);
    until("the cap", || daemon.sum("plimsoll_cap_reached", &HOURLY) == 1.0);
    let (began, first) = (now(), held_at_the_cap(&daemon, &api));
    assert!((HOUR_S - 60.0..=HOUR_S).contains(&first), "{first} s");
    let is_as_planned = |daemon: &Daemon, what: &str| {
        let left = held_at_the_cap(daemon, &api);
        let wanted = first - now().duration_since(began).as_secs_f64();
        // When it is asked, and how much later than `began` the first was asked.
        assert!((left - wanted).abs() < 10.0, "{what}: room in {left} s instead of {wanted} s");
    };
    for hours in [1, 0, -1] {
        wall.step(&daemon, hours);
        is_as_planned(&daemon, &format!("{hours} h"));
    }
    // Between two runs, ended and killed.
    for (signal, hours) in [("TERM", 1), ("KILL", -1)] {
        daemon.process.signal(signal);
        let _ = daemon.process.wait(Duration::from_secs(10));
        wall.set(hours);
        daemon = wall.daemon(&config);
        is_as_planned(&daemon, &format!("{signal}, {hours} h"));
    }
    daemon.scrape().adds_up();
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn active_hours_follow_the_wall_clock() {
    let world = World::new();
    let wall = Wall::of(&world);
    let api = Scripted::start(|_, _| Reply::ok());
    let clock = |later_s: f64| {
        let minute = ((unix_now_s() + later_s) / 60.0) as u64 % (24 * 60);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    let hours = format!("active_hours = [\"daily {}-{}\"]\n", clock(-1_200.0), clock(1_200.0));
    let safety = format!("[safety]\ntime_zone = \"UTC\"\n{hours}");
    let daemon = wall.daemon(&(sending_to(&api.url) + &safety + &stream("s", "50/s")));
    let off_hours = || daemon.sum("plimsoll_slots_skipped_total", &[("reason", "off_hours")]);
    for hours in [1, -1] {
        let before = api.count();
        until("traffic", || api.count() > before + 20);
        let skipped = off_hours();
        wall.step(&daemon, hours);
        until("slots that pass", || off_hours() > skipped + 60.0);
        let before = api.count();
        let skipped = off_hours();
        until("more slots that pass", || off_hours() > skipped + 60.0);
        assert_eq!(api.count(), before, "{hours}: outside of the hours");
        assert_eq!(daemon.sum("plimsoll_stream_active", &[]), 0.0);
        wall.step(&daemon, 0);
    }
    let before = api.count();
    until("traffic", || api.count() > before + 20);
    daemon.scrape().adds_up();
}
