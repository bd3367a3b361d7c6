//! The safety envelope: caps, pauses, hours, hosts, the circuit breaker; over restarts and kills.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::scripted::{Reply, Scripted};
use crate::support::process::wait_for;
use crate::world::{Daemon, World, plimsoll, sending_to, stream, until};

const STATE: &str = "[state]\nfile = \"state.json\"\ninterval = \"1s\"\n";
const ALL: [(&str, &str); 2] = [("stream", "s"), ("window", "all")];

#[expect(clippy::disallowed_methods, reason = "a real process runs in real time")]
fn now() -> Instant {
    Instant::now()
}

fn sent(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_slots_sent_total", &[])
}

fn skipped(daemon: &Daemon, reason: &str) -> f64 {
    daemon.sum("plimsoll_slots_skipped_total", &[("reason", reason)])
}

fn only<'a>(status: &'a Value, list: &str) -> &'a Value {
    assert_eq!(status[list].as_array().map(Vec::len), Some(1), "{status}");
    &status[list][0]
}

#[test]
fn a_reached_cap_is_seen_everywhere_outlives_a_restart_and_ends_nothing() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let capped = |cap: u32| {
        let cap = format!("messages_in_all = {cap}\n");
        sending_to(&api.url) + STATE + &stream("s", "100/s") + &cap
    };
    let mut first = world.daemon(&capped(30), &[]);
    until("the cap", || first.sum("plimsoll_cap_reached", &ALL) == 1.0);
    until("skips", || skipped(&first, "capped") > 20.0);
    assert_eq!((api.count(), sent(&first)), (30, 30.0));
    assert_eq!(first.sum("plimsoll_cap_used", &ALL), 30.0);
    assert_eq!(first.sum("plimsoll_cap_reached_times_total", &ALL), 1.0);
    assert_eq!(first.get("/readyz").status, 200);
    let status = first.status();
    let cap = only(&status["streams"][0], "caps");
    let told = (&cap["window"], &cap["limit"], &cap["used"], &cap["reached"], &cap["room_at"]);
    let wanted = (&"all".into(), &30.into(), &30.into(), &true.into(), &Value::Null);
    assert_eq!(told, wanted);
    assert!(first.line("cap on messages reached").is_some(), "{}", first.process.log());
    first.scrape().adds_up();
    assert_eq!(first.process.terminate(Duration::from_secs(5)).code(), Some(0));

    let next = world.daemon(&capped(30), &[]);
    until("skips", || skipped(&next, "capped") > 20.0);
    assert_eq!((api.count(), sent(&next)), (30, 0.0));
    world.write("plimsoll.toml", &capped(45));
    next.process.signal("HUP");
    until("ten more", || next.sum("plimsoll_cap_used", &ALL) == 45.0);
    until("skips", || skipped(&next, "capped") > 60.0);
    assert_eq!((api.count(), sent(&next)), (45, 15.0));
}

#[test]
fn a_cap_on_all_streams_counts_them_together_and_retries_not_at_all() {
    let world = World::new();
    // Each message is throttled once, so it takes two attempts.
    let api = Scripted::start(|n, _| match n % 2 {
        0 => Reply::Status(503, "retry-after: 0\r\n".to_owned()),
        _ => Reply::ok(),
    });
    let config = sending_to(&api.url)
        + "[policy]\nretry_after_jitter = \"0s\"\nretry_budget_ratio = 10.0\nbackoff_base = \"5ms\"\n"
        + "[safety]\nmessages_per_hour = 12\nmessages_per_day = 1000\n"
        + &stream("a", "60/s")
        + &stream("b", "40/s");
    let daemon = world.daemon(&config, &[]);
    let hour = [("stream", "*"), ("window", "hour")];
    until("the cap", || daemon.sum("plimsoll_cap_reached", &hour) == 1.0);
    until("the end of every message", || daemon.sum("plimsoll_messages_ended_total", &[]) == 12.0);
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_messages_started_total", &[]), 12.0);
    assert!(scrape.sum("plimsoll_resends_total", &[]) >= 1.0);
    assert_eq!(scrape.sum("plimsoll_cap_reached", &[("stream", "*"), ("window", "day")]), 0.0);
    scrape.adds_up();
    let status = daemon.status();
    let in_an_hour = status["caps"][0]["room_at"].as_f64().expect("by itself");
    let away = in_an_hour - status["at"].as_f64().expect("a time");
    assert!((3_500.0..=3_600.0).contains(&away), "{status}");
    // Without a file to keep it in, the count is this run's alone; that is said.
    assert!(
        daemon.line("configuration").is_some_and(|line| line.to_string().contains("state.file"))
    );
}

#[test]
fn operators_pause_and_resume_by_http_signal_and_configuration() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = |paused: bool| {
        let safety = format!("[safety]\npaused = {paused}\n");
        sending_to(&api.url) + STATE + &safety + &stream("s", "50/s") + &stream("other", "50/s")
    };
    let quiet = |daemon: &Daemon| {
        // What is in flight ends; then so many slots pass that a sent one would show.
        until("nothing in flight", || daemon.sum("plimsoll_attempts_in_flight", &[]) == 0.0);
        let (before, passed) = (api.count(), skipped(daemon, "paused"));
        until("slots that pass", || skipped(daemon, "paused") > passed + 30.0);
        assert_eq!(api.count(), before);
    };
    let flows = |what: &str| {
        let before = api.count();
        until(what, || api.count() > before + 10);
    };
    let mut daemon = world.daemon(&config(true), &["--web.enable-lifecycle"]);
    quiet(&daemon);
    assert_eq!(api.count(), 0, "paused from the start");
    assert_eq!(daemon.sum("plimsoll_paused", &[("stream", "*")]), 1.0);
    assert_eq!(daemon.post("/-/resume").status, 200);
    flows("resumed by HTTP");
    assert_eq!(daemon.post("/-/pause?stream=s").status, 200);
    until("its own pause", || daemon.sum("plimsoll_paused", &[("stream", "s")]) == 1.0);
    flows("the other stream");
    let of_s = daemon.sum("plimsoll_slots_sent_total", &[("stream", "s")]);
    flows("the other stream alone");
    assert_eq!(daemon.sum("plimsoll_slots_sent_total", &[("stream", "s")]), of_s);
    assert_eq!(daemon.status()["streams"][1]["paused"], true);
    assert_eq!(daemon.post("/-/pause?stream=nobody").status, 404);
    daemon.process.signal("USR1");
    until("everything paused", || daemon.status()["paused"] == true);
    quiet(&daemon);
    daemon.process.signal("USR2");
    flows("resumed by signal");
    // A reload that changes the word counts; one that does not is no news.
    world.write("plimsoll.toml", &config(false));
    daemon.process.signal("HUP");
    flows("it was flowing already");
    world.write("plimsoll.toml", &config(true));
    daemon.process.signal("HUP");
    until("paused by configuration", || daemon.status()["paused"] == true);
    quiet(&daemon);
    assert_eq!(daemon.post("/-/resume").status, 200);
    flows("resumed");
    // What an operator has paused stays so, also after a kill.
    assert_eq!(daemon.post("/-/pause").status, 200);
    let written = || fs::read_to_string(world.path().join("state.json"));
    until("the pause in the file", || written().is_ok_and(|text| text.contains("\"*\"")));
    daemon.process.signal("KILL");
    let _ = daemon.process.wait(Duration::from_secs(5));
    let next = world.daemon(&config(false), &[]);
    quiet(&next);
    assert_eq!(next.sum("plimsoll_paused", &[("stream", "s")]), 1.0);
    assert_eq!(next.post("/-/resume").status, 403, "only with --web.enable-lifecycle");
    next.scrape().adds_up();
}

#[test]
fn outside_of_the_active_hours_nothing_is_sent() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    // Both edges are hours away, whatever the time is.
    let now = plimsoll::clock::unix_seconds() as u64;
    let hour = |later: u64| (now / 3_600 + later) % 24;
    let config = |from: u64, to: u64| {
        let hours = format!("active_hours = [\"daily {:02}:00-{:02}:00\"]\n", hour(from), hour(to));
        sending_to(&api.url) + "[safety]\ntime_zone = \"UTC\"\n" + &hours + &stream("s", "50/s")
    };
    let daemon = world.daemon(&config(3, 20), &[]);
    until("slots that pass", || skipped(&daemon, "off_hours") > 30.0);
    assert_eq!(api.count(), 0);
    until("is told", || daemon.sum("plimsoll_stream_active", &[("stream", "s")]) == 0.0);
    let status = daemon.status();
    let wait = status["streams"][0]["active_at"].as_f64().expect("later")
        - status["at"].as_f64().expect("now");
    assert!((2.0 * 3_600.0..=3.0 * 3_600.0).contains(&wait), "{wait} s");
    world.write("plimsoll.toml", &config(20, 4));
    daemon.process.signal("HUP");
    until("traffic", || api.count() > 10);
    until("is told", || daemon.sum("plimsoll_stream_active", &[("stream", "s")]) == 1.0);
    daemon.scrape().adds_up();
}

#[test]
fn a_host_that_is_not_on_the_list_is_never_sent_to() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = |host: &str| {
        sending_to(&api.url) + &format!("[safety]\nhosts = [\"{host}\"]\n") + &stream("s", "50/s")
    };
    world.write("plimsoll.toml", &config("api.example.com"));
    let (code, log) = world.run(&["run", "--config.file", "plimsoll.toml"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("targets.t.base_url: 127.0.0.1 may not be sent to"), "{log}");
    let daemon = world.daemon(&config("127.0.0.1"), &[]);
    until("traffic", || api.count() > 5);
    world.write("plimsoll.toml", &config("*.example.com"));
    daemon.process.signal("HUP");
    until("the refusal", || daemon.sum("plimsoll_config_last_reload_successful", &[]) == 0.0);
    let before = api.count();
    until("the old configuration goes on", || api.count() > before + 5);
}

#[test]
fn an_api_that_is_down_is_asked_by_single_requests_until_it_is_back() {
    let world = World::new();
    let up = now() + Duration::from_secs(4);
    let api = Scripted::start(move |_, _| match now() < up {
        true => Reply::Status(500, String::new()),
        false => Reply::ok(),
    });
    let breaker = "[breaker]\nfailures = 10\npause = \"500ms\"\npause_max = \"2s\"\n";
    let policy = "[policy]\nmax_attempts = 1\n";
    let config =
        sending_to(&api.url) + policy + breaker + &stream("s", "100/s") + &stream("b", "50/s");
    let daemon = world.daemon(&config, &[]);
    until("it opens", || daemon.sum("plimsoll_breaker_state", &[]) == 2.0);
    let opened = api.count();
    assert!((10..40).contains(&opened), "{opened} requests until it opened");
    assert!(daemon.line("circuit breaker open").is_some());
    until("skips", || skipped(&daemon, "circuit_open") > 30.0);
    let status = daemon.status();
    assert_eq!(only(&status, "breakers")["state"], "open", "{status}");
    assert_eq!(only(&status, "gates")["state"], "open", "a failure is no throttle");
    until("it closes", || daemon.sum("plimsoll_breaker_state", &[]) == 0.0);
    let failed = daemon.sum("plimsoll_attempts_total", &[("outcome", "failed")]);
    // In four seconds at 150/s there would have been 600.
    assert!(failed - opened as f64 <= 8.0, "{failed} failures, {opened} of them before it opened");
    assert!(daemon.sum("plimsoll_breaker_opened_total", &[]) >= 2.0);
    until("traffic", || daemon.sum("plimsoll_attempts_total", &[("outcome", "accepted")]) > 50.0);
    assert!(daemon.line("circuit breaker closed").is_some());
    daemon.scrape().adds_up();
}

#[test]
fn a_port_that_nobody_listens_on_opens_the_breaker_too() {
    let world = World::new();
    let [port] = crate::support::process::free_ports();
    let config = sending_to(&format!("http://127.0.0.1:{port}")) + &stream("s", "200/s");
    let daemon = world.daemon(&config, &[]);
    until("it opens", || daemon.sum("plimsoll_breaker_state", &[]) == 2.0);
    until("skips", || skipped(&daemon, "circuit_open") > 300.0);
    let sent = sent(&daemon);
    assert!(sent < 100.0, "{sent} requests");
    daemon.scrape().adds_up();
}

/// What a kill must never leave behind: a file that cannot be read.
fn readable(path: &Path) -> bool {
    match fs::read_to_string(path.join("state.json")) {
        Ok(text) => serde_json::from_str::<Value>(&text).is_ok(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// A process that is killed at a random moment, fifty times over; four of these are two hundred kills.
fn killed_again_and_again(lane: u64) {
    const KILLS: u64 = 50;
    const CAP: usize = 120;
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + STATE
        + &format!("[safety]\nmessages_in_all = {CAP}\n")
        + &stream("s", "20/s")
        + "messages_per_hour = 90\n"
        + &stream("t", "20/s");
    world.write("plimsoll.toml", &config);
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(lane + 1);
    for kill in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let after = Duration::from_millis(20 + (seed >> 33) % 400);
        let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
        let mut process = world.spawn(&mut plimsoll(&args));
        assert!(wait_for(after, || process.ended()).is_none(), "{}", process.log());
        process.signal("KILL");
        let _ = process.wait(Duration::from_secs(5));
        assert!(readable(world.path()), "after kill {kill} of lane {lane}");
        assert!(!process.log().contains("the state file cannot be used"), "{}", process.log());
        assert!(api.count() <= CAP, "{} of {CAP} messages after kill {kill}", api.count());
    }
    // A run in peace spends what is left, and not one more.
    let daemon = world.daemon(&config, &[]);
    until("the cap", || {
        daemon.sum("plimsoll_cap_reached", &[("stream", "*"), ("window", "all")]) == 1.0
    });
    assert!(api.count() <= CAP, "{}", api.count());
    let of_s = api.seen().iter().filter(|r| r.message().len() == 32).count();
    assert_eq!(of_s, api.count());
    assert_eq!(daemon.sum("plimsoll_cap_used", &[("stream", "*"), ("window", "all")]), CAP as f64);
    eprintln!(
        "lane {lane}: {} of {CAP} messages arrived, the rest was lost to {KILLS} kills",
        api.count()
    );
}

#[test]
fn two_hundred_kills_overrun_no_cap_and_leave_a_readable_file() {
    std::thread::scope(|scope| {
        for lane in 0..4 {
            scope.spawn(move || killed_again_and_again(lane));
        }
    });
}

/// Stops a daemon for a while, and continues it.
fn stopped_for(length: Duration) {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url) + &stream("s", "100/s") + "catch_up_slots = 3\n";
    let daemon = world.daemon(&config, &[]);
    until("traffic", || api.count() > 20);
    daemon.process.signal("STOP");
    let before = api.count();
    let stopped = now();
    assert!(wait_for(length, || None::<()>).is_none());
    daemon.process.signal("CONT");
    let went_on = now();
    until("traffic again", || api.count() > before + 60);
    let after: Vec<_> = api.seen()[before..].iter().map(|request| request.at).collect();
    let at_once = after.iter().filter(|at| **at < went_on + Duration::from_millis(200)).count();
    // 20 are due in that time, three may be made up for, and what was in a socket when it stopped arrives.
    assert!(at_once <= 20 + 3 + 5, "{at_once} at once after {:?}", went_on - stopped);
    let late = skipped(&daemon, "late");
    let due = (went_on - stopped).as_secs_f64() * 100.0;
    assert!(late >= due * 0.95 - 20.0, "{late} of {due} slots passed");
    assert_eq!(daemon.get("/livez").status, 200);
    daemon.scrape().adds_up();
}

#[test]
fn a_process_that_was_stopped_does_not_catch_up() {
    stopped_for(Duration::from_secs(3));
}

#[test]
#[ignore = "takes a minute; tests/run runs it"]
fn a_process_that_was_stopped_for_a_minute_does_not_catch_up_either() {
    stopped_for(Duration::from_secs(60));
}
