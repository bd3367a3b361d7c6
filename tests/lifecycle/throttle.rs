//! Refusals in all their forms: who is held back, for how long, and who may end it.

use std::time::Duration;

use serde_json::Value;

use crate::scripted::{Reply, Scripted};
use crate::world::{Daemon, World, sending_to, stream, until};

const NO_JITTER: &str = "[policy]\nretry_after_jitter = \"0s\"\n";

fn only_gate(daemon: &Daemon) -> Value {
    let status = daemon.status();
    assert_eq!(status["gates"].as_array().map(Vec::len), Some(1), "{status}");
    status["gates"][0].clone()
}

#[test]
fn redirects_are_not_followed() {
    let world = World::new();
    let elsewhere = Scripted::start(|_, _| Reply::ok());
    let location = format!("location: {}/messages\r\n", elsewhere.url);
    let api = Scripted::start(move |_, _| Reply::Status(307, location.clone()));
    let config = sending_to(&api.url) + &stream("s", "50/s");
    let daemon = world.daemon(&config, &["--count", "5", "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    assert_eq!((api.count(), elsewhere.count()), (5, 0));
    assert_eq!(daemon.sum("plimsoll_attempts_total", &[("outcome", "rejected")]), 5.0);
    assert_eq!(daemon.sum("plimsoll_responses_total", &[("code", "3xx")]), 5.0);
}

#[test]
fn a_message_that_is_refused_for_its_own_sake_opens_the_gate_all_the_same() {
    let world = World::new();
    // The limit lets them pass, and the API has no use for any of these messages.
    let api = Scripted::start(|n, _| match n {
        5 => Reply::Status(429, "retry-after: 1\r\n".to_owned()),
        _ => Reply::Status(400, String::new()),
    });
    let config = sending_to(&api.url) + NO_JITTER + &stream("s", "50/s");
    let daemon = world.daemon(&config, &[]);
    until("the refusal", || daemon.sum("plimsoll_gate_epochs_total", &[]) == 1.0);
    let before = api.count();
    until("traffic after the pause", || api.count() > before + 50);
    assert_eq!(only_gate(&daemon)["state"], "open");
    assert_eq!(daemon.sum("plimsoll_gate_violations_total", &[]), 0.0);
    daemon.scrape().adds_up();
}

#[test]
fn unavailable_with_advice_holds_every_stream_for_as_long_as_it_says() {
    let world = World::new();
    let advised = "retry-after: 2\r\n".to_owned();
    let api = Scripted::start(move |n, _| match n {
        10 => Reply::Status(503, advised.clone()),
        _ => Reply::ok(),
    });
    let target = "headers = { x-stream = \"{{stream}}\" }\n";
    let streams = stream("a", "20/s") + &stream("b", "20/s");
    let daemon = world.daemon(&(sending_to(&api.url) + target + NO_JITTER + &streams), &[]);
    until("traffic after the pause", || api.count() > 40);
    let seen = api.seen();
    let refused_at = seen[10].at;
    let since = |at: std::time::Instant| at.saturating_duration_since(refused_at);
    // Requests that were on their way when the refusal came are nobody's fault.
    let on_their_way = Duration::from_millis(400);
    let early = seen[11..].iter().map(|r| since(r.at)).filter(|d| *d > on_their_way);
    let first = early.min().expect("traffic");
    assert!(first >= Duration::from_millis(1_990), "sent after {first:?}");
    let after: Vec<_> = seen[11..].iter().filter(|r| since(r.at) >= first).collect();
    for name in ["a", "b"] {
        assert!(after.iter().any(|r| r.header("x-stream") == Some(name)), "{name} goes on");
    }
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_gate_violations_total", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "throttled")]), 1.0);
    for name in ["a", "b"] {
        let gated = [("stream", name), ("reason", "gated")];
        assert!(scrape.sum("plimsoll_slots_skipped_total", &gated) > 10.0, "{name} was held");
    }
    scrape.adds_up();
}

#[test]
fn advice_may_be_a_date() {
    let world = World::new();
    let api = world.api(
        "retry_after_form = \"http_date\"\nretry_after = \"3s\"\n\
         [[limits]]\nname = \"cap\"\nkind = \"token_bucket\"\nrate = \"30/s\"\nburst = 10\n",
    );
    let config = sending_to(&api.url) + NO_JITTER + &stream("s", "60/s");
    let daemon = world.daemon(&config, &[]);
    let dated = [("source", "retry_after_date")];
    until("a refusal", || daemon.sum("plimsoll_throttle_advice_total", &dated) >= 1.0);
    let gate = only_gate(&daemon);
    assert_ne!(gate["state"], "open");
    let (until_s, at) = (gate["until"].as_f64(), daemon.status()["at"].as_f64());
    let left = until_s.expect("an end") - at.expect("a time");
    // A date has whole seconds, and the API rounds it up: never less than it asks for.
    assert!((0.5..=4.1).contains(&left), "{left} s of 3");
    let (refused, accepted) = (api.all("refused"), api.all("accepted"));
    until("the end of the pause", || api.all("accepted") > accepted + 5);
    assert!(api.all("refused") <= refused + 1);
    assert_eq!(daemon.sum("plimsoll_gate_violations_total", &[]), 0.0);
}

#[test]
fn a_long_pause_is_said_loudly_and_ended_by_an_operator_alone() {
    let world = World::new();
    let advised = "retry-after: 3600\r\n".to_owned();
    let api = Scripted::start(move |n, _| match n {
        3 => Reply::Status(429, advised.clone()),
        _ => Reply::ok(),
    });
    let config = sending_to(&api.url) + &stream("s", "20/s");
    let mut daemon = world.daemon(&config, &["--web.enable-lifecycle"]);
    until("the refusal", || daemon.sum("plimsoll_gate_long", &[]) == 1.0);
    let gate = only_gate(&daemon);
    assert_eq!((&gate["long"], &gate["state"]), (&true.into(), &"closed".into()));
    let log = daemon.process.log();
    let errors = log.lines().filter(|line| line.contains("\"ERROR\"")).count();
    assert_eq!(errors, 1, "one line, however long it lasts: {log}");
    assert_eq!(daemon.sum("plimsoll_gate_extensions_total", &[]), 0.0, "one refusal is one");
    let until_s = daemon.sum("plimsoll_gate_closed_until_timestamp_seconds", &[]);
    assert!(until_s > daemon.status()["at"].as_f64().expect("a time") + 3_000.0);
    for path in ["/livez", "/readyz"] {
        assert_eq!(daemon.get(path).status, 200, "{path}: throttled is not ill");
    }
    let gated = [("reason", "gated")];
    until("slots that pass", || daemon.sum("plimsoll_slots_skipped_total", &gated) > 10.0);
    let sent = api.count();

    assert_eq!(daemon.post("/-/gates/open?gate=nobody").status, 404);
    let name = gate["name"].as_str().expect("a name").replace(':', "%3A").replace(' ', "%20");
    let open = format!("/-/gates/open?gate={name}");
    assert_eq!(daemon.post(&open).status, 200);
    until("traffic", || api.count() > sent + 10);
    assert_eq!(daemon.post(&open).status, 409, "there is no long pause any more");
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_gate_long", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_gate_state", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_gate_violations_total", &[]), 0.0);
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_gate_that_holds_the_traffic_does_not_hold_up_the_drain() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::Status(429, "retry-after: 600\r\n".to_owned()));
    let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "20/s")), &[]);
    until("the refusal", || daemon.sum("plimsoll_gate_state", &[]) == 2.0);
    let sent = api.count();
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
    assert_eq!(api.count(), sent);
}
