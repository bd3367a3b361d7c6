//! Runs that end by themselves: after so many messages, or after so long.

use std::time::Duration;

use crate::world::{World, plimsoll, sending_to, stream, until};

#[test]
fn count_sends_exactly_that_many_over_all_streams() {
    let world = World::new();
    let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"50ms\"\n");
    let config = sending_to(&api.url) + &stream("a", "150/s") + &stream("b", "70/s");
    world.write("plimsoll.toml", &config);
    let (code, log) = world.run(&["run", "--config.file", "plimsoll.toml", "--count", "101"]);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!((api.all("received"), api.all("accepted")), (101, 101));
}

#[test]
fn it_stops_after_the_given_time() {
    let world = World::new();
    let api = world.api("");
    world.write("plimsoll.toml", &(sending_to(&api.url) + &stream("s", "50/s")));
    let (code, log) = world.run(&["run", "--config.file", "plimsoll.toml", "--for", "1s"]);
    assert_eq!(code, Some(0), "{log}");
    let received = api.all("received");
    // The rate is a ceiling; how far below it a busy machine stays says nothing about the end.
    assert!((5..=51).contains(&received), "{received}");
    assert_eq!(api.all("accepted"), received);
}

#[test]
fn lingering_keeps_the_numbers_up_until_a_signal() {
    let world = World::new();
    let api = world.api("");
    let config = sending_to(&api.url) + &stream("s", "100/s");
    let mut daemon = world.daemon(&config, &["--count", "12", "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert_eq!(scrape.sum("plimsoll_slots_sent_total", &[]), 12.0);
    assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "accepted")]), 12.0);
    assert_eq!(scrape.sum("plimsoll_messages_ended_total", &[("result", "delivered")]), 12.0);
    assert_eq!(api.all("received"), 12);
    assert_eq!(daemon.get("/readyz").status, 503, "no traffic is wanted any more");
    assert_eq!(daemon.status()["state"], "drained", "the last snapshot stays to be read");
    assert_eq!(daemon.get("/livez").status, 200, "done is not dead");
    assert!(daemon.process.ended().is_none());
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_signal_that_comes_with_the_first_breath_is_obeyed() {
    let world = World::new();
    let api = world.api("");
    let config = sending_to(&api.url) + &stream("s", "50/s");
    world.write("plimsoll.toml", &config);
    let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
    for signal in ["TERM", "INT"] {
        let mut daemon = world.daemon_by(&mut plimsoll(&args));
        daemon.process.signal(signal);
        assert_eq!(daemon.process.wait(Duration::from_secs(5)).code(), Some(0), "{signal}");
    }
    let mut daemon = world.daemon_by(&mut plimsoll(&args));
    daemon.process.signal("HUP");
    let reloads = || daemon.sum("plimsoll_config_reloads_total", &[("result", "success")]);
    until("the reload", || reloads() == 2.0);
    assert!(daemon.process.ended().is_none());
}

#[test]
fn a_run_is_held_against_its_thresholds() {
    let world = World::new();
    let api = world.api("");
    let thresholds = "[run]\nthresholds = [\"failed<1\", \"throttled_ratio<0.002\"]\n";
    world.write("plimsoll.toml", &(sending_to(&api.url) + thresholds + &stream("s", "100/s")));
    let run = |more: &[&str]| {
        let mut args = vec!["run", "--config.file", "plimsoll.toml", "--count", "40"];
        args.extend(more);
        world.run(&args)
    };
    let files = ["--summary.json", "kept.json", "--summary.junit", "kept.xml"];
    let (code, log) = run(&files);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("✓ failed<1") && log.contains("✓ throttled_ratio<0.002"), "{log}");
    let read = |name: &str| std::fs::read_to_string(world.path().join(name)).expect(name);
    let summary: serde_json::Value = serde_json::from_str(&read("kept.json")).expect("JSON");
    assert_eq!(summary["passed"], true, "{summary}");
    assert_eq!(summary["attempts"]["outcomes"]["accepted"], 40, "{summary}");
    assert!(summary["durations_seconds"]["response"]["p99"].as_f64() > Some(0.0), "{summary}");
    assert!(
        read("kept.xml").contains("tests=\"2\"") && read("kept.xml").contains("failures=\"0\"")
    );

    // Flags come instead of what the file says; what is not kept is told by an exit code of its own.
    let (code, log) = run(&["--threshold", "accepted>=41", "--threshold", "response_max<1h"]);
    assert_eq!(code, Some(99), "{log}");
    assert!(log.contains("✗ accepted>=41") && log.contains("✓ response_max<1h"), "{log}");
    assert!(log.contains("1 of 2 thresholds not kept") && !log.contains("failed<1"), "{log}");

    let (code, log) = run(&["--threshold", "goodput>fast"]);
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("run.thresholds[0]: its value is not a rate"), "{log}");
}

#[test]
fn a_run_that_is_stopped_before_its_end_says_what_there_was_and_has_a_code_of_its_own() {
    let world = World::new();
    let api = world.api("");
    let thresholds = "[run]\nthresholds = [\"failed<1\", \"accepted>=100000\"]\n";
    let config = sending_to(&api.url) + thresholds + &stream("s", "100/s");
    let files = ["--summary.json", "part.json", "--summary.junit", "part.xml"];
    for (signal, end) in [("TERM", ["--for", "1h"]), ("INT", ["--count", "100000"])] {
        let before = api.all("accepted");
        let mut daemon = world.daemon(&config, &[&end[..], &files[..]].concat());
        until("traffic", || api.all("accepted") > before + 20);
        daemon.process.signal(signal);
        // Also where thresholds are not kept, as with k6.
        assert_eq!(daemon.process.wait(Duration::from_secs(10)).code(), Some(105), "{signal}");
        let log = daemon.process.log();
        assert!(log.contains("s, stopped before its end\n"), "{log}");
        assert!(log.contains("✓ failed<1") && log.contains("✗ accepted>=100000"), "{log}");
        let read = |name: &str| std::fs::read_to_string(world.path().join(name)).expect(name);
        let summary: serde_json::Value = serde_json::from_str(&read("part.json")).expect("JSON");
        assert_eq!((&summary["stopped"], &summary["passed"]), (&true.into(), &false.into()));
        let told = summary["attempts"]["outcomes"]["accepted"].as_u64();
        assert_eq!(told, Some(api.all("accepted") - before), "the drain is part of it");
        let junit = read("part.xml");
        assert!(junit.contains("errors=\"1\"") && junit.contains("failures=\"1\""), "{junit}");
    }
}
