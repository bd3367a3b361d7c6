//! How a daemon ends when it is asked to: nothing new is sent, what is in flight may finish.

use std::time::Duration;

use crate::scripted::{Reply, Scripted};
use crate::world::{World, sending_to, stream, until};

#[test]
fn either_signal_lets_what_is_in_flight_finish_and_sends_nothing_more() {
    for signal in ["TERM", "INT"] {
        let world = World::new();
        let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"1s\"\n");
        let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "40/s")), &[]);
        until("requests in flight", || daemon.sum("plimsoll_attempts_in_flight", &[]) > 5.0);
        daemon.process.signal(signal);
        until("the drain", || daemon.sum("plimsoll_draining", &[]) == 1.0);
        let scrape = daemon.scrape();
        scrape.adds_up();
        assert!(scrape.sum("plimsoll_attempts_in_flight", &[]) > 0.0, "{signal}: still waiting");
        assert_eq!(daemon.get("/readyz").status, 503, "{signal}");
        assert_eq!(daemon.get("/livez").status, 200, "{signal}");
        let status = daemon.process.wait(Duration::from_secs(10));
        assert_eq!(status.code(), Some(0), "{signal}");
        let sent = scrape.sum("plimsoll_slots_sent_total", &[]) as u64;
        assert_eq!(api.all("received"), sent, "{signal}: nothing was sent after the signal");
        assert_eq!(api.all("accepted"), sent, "{signal}: everything in flight finished");
        let last = daemon.line("drained, all accounted for").expect("said at the end");
        assert_eq!(last["in_flight"], 0);
    }
}

#[test]
fn what_outlives_the_grace_period_is_abandoned_and_counted() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Stall);
    let grace = "[lifecycle]\ngrace_period = \"500ms\"\n";
    let config = sending_to(&api.url) + grace + &stream("s", "50/s");
    let mut daemon = world.daemon(&config, &["--count", "7", "--linger"]);
    let abandoned = || daemon.sum("plimsoll_errors_total", &[("kind", "abandoned")]);
    until("the end of the grace period", || abandoned() == 7.0);
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert_eq!(scrape.sum("plimsoll_attempts_in_flight", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_messages_ended_total", &[("result", "drained")]), 7.0);
    assert_eq!(scrape.sum("plimsoll_messages_ended_total", &[]), 7.0);
    assert_eq!(api.count(), 7);
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_server_that_never_answers_cannot_hold_the_exit_up() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Stall);
    let grace = "[lifecycle]\ngrace_period = \"1s\"\n";
    let config = sending_to(&api.url) + grace + &stream("s", "50/s");
    let mut daemon = world.daemon(&config, &[]);
    until("requests in flight", || api.count() > 3);
    daemon.process.signal("TERM");
    until("the drain", || daemon.sum("plimsoll_draining", &[]) == 1.0);
    let sent = daemon.sum("plimsoll_slots_sent_total", &[]) as usize;
    // The grace period, the flush of telemetry, and room for a busy machine.
    let status = daemon.process.wait(Duration::from_secs(1 + 3 + 3));
    assert_eq!(status.code(), Some(0));
    assert_eq!(api.count(), sent, "nothing was sent after the signal");
    assert!(daemon.line("the grace period is over").is_some());
    let last = daemon.line("drained, all accounted for").expect("said at the end");
    assert_eq!(last["in_flight"], 0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Stall);
    let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "50/s")), &[]);
    until("requests in flight", || api.count() > 3);
    daemon.process.signal("TERM");
    until("the drain", || daemon.sum("plimsoll_draining", &[]) == 1.0);
    daemon.process.signal("INT");
    // The requests time out after 10 s and the grace period is 25 s.
    let status = daemon.process.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(1));
    assert!(daemon.process.log().contains("a second signal came"), "{}", daemon.process.log());
}

#[test]
fn the_first_signal_in_a_drain_of_its_own_accord_is_not_the_second() {
    let world = World::new();
    let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"2s\"\n");
    let config = sending_to(&api.url) + &stream("s", "50/s");
    let mut daemon = world.daemon(&config, &["--count", "3", "--linger"]);
    until("the drain", || daemon.sum("plimsoll_draining", &[]) == 1.0);
    daemon.process.signal("TERM");
    let status = daemon.process.wait(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "and it does not linger: somebody asked for the end");
    assert_eq!(api.all("accepted"), 3);
}

#[test]
fn quit_over_http_drains_too_where_it_is_allowed() {
    let world = World::new();
    let api = world.api("");
    let config = sending_to(&api.url) + &stream("s", "50/s");
    let mut daemon = world.daemon(&config, &["--web.enable-lifecycle"]);
    until("traffic", || api.all("accepted") > 3);
    assert_eq!(daemon.post("/-/quit").status, 200);
    assert_eq!(daemon.process.wait(Duration::from_secs(10)).code(), Some(0));
    assert_eq!(api.all("received"), api.all("accepted"));
}
