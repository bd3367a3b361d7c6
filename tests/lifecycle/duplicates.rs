//! A duplicate is a real message to a real person: what may have arrived is not sent again, unless
//! the server can tell that it is the same.

use std::collections::BTreeMap;

use crate::scripted::{Reply, Scripted};
use crate::world::{Scrape, World, sending_to, stream, until};

const POLICY: &str = "[policy]\nbackoff_base = \"100ms\"\nbackoff_cap = \"200ms\"\n\
                      max_attempts = 3\nretry_budget_ratio = 1.0\n";
const KEY: &str = "idempotency_key_header = \"Idempotency-Key\"\n";

/// Runs until `count` requests were sent and all have ended; the last scrape.
fn run(world: &World, config: &str, count: &str) -> Scrape {
    let daemon = world.daemon(config, &["--count", count, "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    let scrape = daemon.scrape();
    scrape.adds_up();
    scrape
}

/// How often each message came.
fn per_message(api: &Scripted) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for request in api.seen() {
        *times.entry(request.message().to_owned()).or_default() += 1;
    }
    times
}

#[test]
fn a_connection_lost_after_the_request_is_not_tried_again_without_a_key() {
    let world = World::new();
    // Every other request is answered, so that connections are reused too.
    let api = Scripted::start(|n, _| if n % 2 == 0 { Reply::ok() } else { Reply::Close });
    let config = sending_to(&api.url) + POLICY + &stream("s", "50/s");
    let scrape = run(&world, &config, "20");
    assert_eq!(api.count(), 20);
    assert!(per_message(&api).values().all(|times| *times == 1));
    assert_eq!(scrape.sum("plimsoll_resends_total", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_errors_total", &[("kind", "transport")]), 10.0);
    let ended = |result| scrape.sum("plimsoll_messages_ended_total", &[("result", result)]);
    assert_eq!((ended("unsafe_to_resend"), ended("delivered")), (10.0, 10.0));
}

#[test]
fn with_a_key_it_is_tried_again_under_the_same_key() {
    let world = World::new();
    let api = Scripted::start(|n, _| if n < 3 { Reply::Close } else { Reply::ok() });
    let config = sending_to(&api.url) + KEY + POLICY + &stream("s", "20/s");
    let scrape = run(&world, &config, "20");
    let again = per_message(&api).values().filter(|times| **times > 1).count();
    assert!(again >= 1, "lost messages came again");
    assert_eq!(scrape.sum("plimsoll_resends_total", &[]), 3.0);
    for request in api.seen() {
        assert_eq!(request.header("idempotency-key"), Some(request.message()));
    }
    let ended = |result| scrape.sum("plimsoll_messages_ended_total", &[("result", result)]);
    assert_eq!((ended("unsafe_to_resend"), ended("delivered")), (0.0, 17.0));
}

#[test]
fn a_timeout_is_a_request_that_may_have_arrived() {
    for (key, resends) in [("", 0.0), (KEY, 2.0)] {
        let world = World::new();
        let api = Scripted::start(|n, _| if n < 2 { Reply::Stall } else { Reply::ok() });
        let target = format!("timeout = \"500ms\"\nconnect_timeout = \"250ms\"\n{key}");
        let config = sending_to(&api.url) + &target + POLICY + &stream("s", "10/s");
        let scrape = run(&world, &config, "14");
        assert_eq!(scrape.sum("plimsoll_errors_total", &[("kind", "timeout")]), 2.0);
        assert_eq!(scrape.sum("plimsoll_resends_total", &[]), resends);
        let twice = per_message(&api).values().filter(|times| **times > 1).count();
        assert_eq!(twice as f64, resends, "{key}");
    }
}

#[test]
fn resets_of_the_simulated_api_are_counted_alike_on_both_sides() {
    let world = World::new();
    let api = world.api("[faults]\nreset_after_ratio = 0.5\n");
    let config = sending_to(&api.url) + POLICY + &stream("s", "60/s");
    let scrape = run(&world, &config, "40");
    let resets = api.all("resets");
    assert!(resets > 5, "{resets} of 40");
    assert_eq!((api.all("received"), api.all("accepted")), (40, 40 - resets));
    let unsafe_ones = [("result", "unsafe_to_resend")];
    assert_eq!(scrape.sum("plimsoll_messages_ended_total", &unsafe_ones), resets as f64);
    assert_eq!(scrape.sum("plimsoll_resends_total", &[]), 0.0);
}
