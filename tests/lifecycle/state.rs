//! What the daemon learned, over a restart: with its file, with a file that is broken, and without a
//! place to put it.

use std::fs;
use std::time::Duration;

use crate::scripted::{Reply, Scripted};
use crate::world::{Daemon, World, sending_to, stream, until};

const STATE: &str = "[policy]\nretry_after_jitter = \"0s\"\n\
                     [state]\nfile = \"state.json\"\ninterval = \"1s\"\n";

#[test]
fn an_open_retry_after_outlives_the_daemon_that_was_asked() {
    let world = World::new();
    let advised = "retry-after: 6\r\n".to_owned();
    let api = Scripted::start(move |n, _| match n {
        5 => Reply::Status(429, advised.clone()),
        _ => Reply::ok(),
    });
    let config = sending_to(&api.url) + STATE + &stream("s", "20/s");
    let mut first = world.daemon(&config, &[]);
    until("the refusal", || first.sum("plimsoll_gate_state", &[]) == 2.0);
    assert!(first.line("no state file yet").is_some());
    assert_eq!(first.process.terminate(Duration::from_secs(5)).code(), Some(0));
    let (sent, refused_at) = (api.count(), api.seen()[5].at);
    let text = fs::read_to_string(world.path().join("state.json")).expect("was written");
    assert!(text.contains("\"left_s\""), "{text}");

    let next = world.daemon(&config, &[]);
    until("the line", || next.line("a pause of an earlier run is not over").is_some());
    until("traffic after the pause", || api.count() > sent + 5);
    let resumed = api.seen()[sent].at.saturating_duration_since(refused_at);
    assert!(resumed >= Duration::from_millis(5_990), "sent after {resumed:?}");
    let scrape = next.scrape();
    assert_eq!(scrape.sum("plimsoll_gate_violations_total", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_gate_epochs_total", &[]), 0.0, "it began in the first run");
    scrape.adds_up();
}

#[test]
fn what_is_written_between_is_there_after_a_kill() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Status(429, "retry-after: 600\r\n".to_owned()));
    let config = sending_to(&api.url) + STATE + &stream("s", "20/s");
    let mut first = world.daemon(&config, &[]);
    let file = world.path().join("state.json");
    let noted = || fs::read_to_string(&file).is_ok_and(|text| text.contains("\"left_s\""));
    until("the pause in the file", noted);
    assert!(first.sum("plimsoll_state_writes_total", &[("result", "ok")]) >= 1.0);
    assert!(first.sum("plimsoll_state_written_timestamp_seconds", &[]) > 1e9);
    first.process.signal("KILL");
    let _ = first.process.wait(Duration::from_secs(5));
    let sent = api.count();
    let next = world.daemon(&config, &[]);
    until("slots that pass", || next.sum("plimsoll_slots_skipped_total", &[]) > 10.0);
    assert_eq!(api.count(), sent);
    assert_eq!(next.sum("plimsoll_gate_long", &[]), 1.0);
}

#[test]
fn a_file_that_cannot_be_used_is_kept_aside_and_said() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    world.write("state.json", "{\"version\": 7}\n");
    let config = sending_to(&api.url) + STATE + &stream("s", "20/s");
    let daemon = world.daemon(&config, &[]);
    let line = daemon.line("the state file cannot be used").expect("is said");
    assert!(line["file"].as_str().is_some_and(|file| file.ends_with("state.json")), "{line}");
    assert!(line["problem"].as_str().is_some_and(|p| p.contains("version: 7")), "{line}");
    let kept = fs::read_to_string(world.path().join("state.json.bad")).expect("is kept aside");
    assert_eq!(kept, "{\"version\": 7}\n");
    until("traffic", || api.count() > 5);
    until("a new one", || world.path().join("state.json").exists());
}

#[test]
fn with_a_cap_a_file_that_cannot_be_used_pauses_everything_until_an_operator_resumes_it() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    world.write("state.json", "{\"version\": 3, \"counts\": [{\"stream\": \"*\", \"in_all\": 4");
    let capped = stream("s", "20/s") + "messages_in_all = 50\n";
    let config = sending_to(&api.url) + STATE + &capped;
    let mut first = world.daemon(&config, &[]);
    assert!(first.line("is not known: everything is paused").is_some(), "{}", first.process.log());
    let paused = |daemon: &Daemon| {
        let reason = [("reason", "paused")];
        // Metrics are served a moment before the first stream begins.
        until("streams", || daemon.scrape().0.contains("plimsoll_slots_skipped_total{"));
        until("slots", || daemon.sum("plimsoll_slots_skipped_total", &reason) > 20.0);
        assert_eq!(daemon.sum("plimsoll_paused", &[("stream", "*")]), 1.0);
        assert_eq!(daemon.get("/readyz").status, 200, "it waits for a person, not for a restart");
    };
    paused(&first);
    // A restart does not forget that it does not know.
    assert_eq!(first.process.terminate(Duration::from_secs(5)).code(), Some(0));
    let next = world.daemon(&config, &[]);
    paused(&next);
    assert_eq!(api.count(), 0);
    // Where neither signals nor HTTP can reach it, configuration can: paused, and then not.
    for (paused, reloads) in [(true, 2.0), (false, 3.0)] {
        world.write("plimsoll.toml", &(format!("[safety]\npaused = {paused}\n") + &config));
        next.process.signal("HUP");
        until("the reload", || {
            next.sum("plimsoll_config_reloads_total", &[("result", "success")]) == reloads
        });
    }
    until("traffic", || api.count() > 5);
    next.scrape().adds_up();
}

#[test]
fn two_daemons_do_not_count_in_one_file() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let capped = stream("s", "20/s") + "messages_in_all = 100000\n";
    let config = sending_to(&api.url) + STATE + &capped;
    let mut first = world.daemon(&config, &[]);
    until("traffic", || api.count() > 5);
    let (code, said) = world.run(&["run", "--config.file", "plimsoll.toml"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("state.json: another process keeps it"), "{said}");
    let sent = api.count();
    until("the first goes on", || api.count() > sent + 5);
    // However it ends, the file is free then.
    first.process.signal("KILL");
    let _ = first.process.wait(Duration::from_secs(5));
    let sent = api.count();
    let next = world.daemon(&config, &[]);
    until("traffic", || api.count() > sent + 5);
    next.scrape().adds_up();
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_counted() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let state = STATE.replace("state.json", "missing/state.json");
    let config = sending_to(&api.url) + &state + &stream("s", "20/s");
    let mut daemon = world.daemon(&config, &[]);
    let failed = [("result", "failed")];
    until("two failures", || daemon.sum("plimsoll_state_writes_total", &failed) >= 2.0);
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
    let said = daemon.process.log().matches("the state file cannot be written").count();
    assert_eq!(said, 1, "{}", daemon.process.log());
}
