//! The daemon's own HTTP surface, as a scraper, a probe and a watching person see it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::http;
use crate::world::{Daemon, SOON, World, sending_to, stream, until};

/// Listens to `/api/v1/events` until `enough` of what was told.
pub(crate) fn events(daemon: &Daemon, enough: impl Fn(&str) -> bool) -> String {
    let address = daemon.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a positive time");
    let request = format!("GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let (mut told, mut buffer) = (String::new(), [0; 4096]);
    while !enough(&told) {
        let n = stream.read(&mut buffer).expect("events within the time");
        assert!(n > 0, "it closed after {told}");
        told += &String::from_utf8_lossy(&buffer[..n]);
    }
    told
}

#[test]
fn events_tell_the_status_and_what_changes() {
    let world = World::new();
    let api = world.api("");
    let config = sending_to(&api.url) + &stream("s", "20/s");
    let daemon = world.daemon(&config, &["--web.enable-lifecycle"]);
    until("traffic", || api.all("accepted") > 0);
    let told = events(&daemon, |told| told.matches("event: status\n").count() >= 3);
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains("content-type: text/event-stream"), "{told}");
    let data = told.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
    let status: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((&status["state"], &status["streams"][0]["name"]), (&"running".into(), &"s".into()));
    world.write("plimsoll.toml", &config.replace("20/s", "30/s"));
    let reload = std::thread::scope(|scope| {
        let listening = scope.spawn(|| events(&daemon, |told| told.contains("event: reload\n")));
        // Only what happens while somebody listens is told.
        while !listening.is_finished() {
            assert_eq!(daemon.post("/-/reload").status, 200);
        }
        listening.join().expect("it heard")
    });
    assert!(reload.contains("\"ok\":true"), "{reload}");
}

#[test]
fn metrics_come_in_the_format_that_was_asked_for() {
    let world = World::new();
    let api = world.api("");
    let daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "50/s")), &[]);
    until("traffic", || api.all("accepted") > 5);
    let text = daemon.get("/metrics");
    let kind = |answer: &http::Answer| answer.header("content-type").map(str::to_owned);
    assert!(kind(&text).is_some_and(|k| k.starts_with("text/plain")), "{:?}", kind(&text));
    assert!(!text.body.contains("# EOF"));
    let accept = "application/openmetrics-text; version=1.0.0";
    let url = format!("{}/metrics", daemon.url);
    let open = http::send(http::client().get(url).header("accept", accept)).expect("it answers");
    assert!(kind(&open).is_some_and(|k| k.starts_with("application/openmetrics-text")));
    assert!(open.body.ends_with("# EOF\n"));
    for answer in [text, open] {
        assert!(answer.body.contains("plimsoll_slots_sent_total{"), "{}", answer.body);
    }
}

#[test]
fn what_daemon_and_api_count_agrees() {
    let world = World::new();
    let api = world.api(
        "[faults]\nerror_ratio = 0.1\n[latency]\ndistribution = \"constant\"\nmean = \"20ms\"\n\
         [[limits]]\nname = \"cap\"\nkind = \"token_bucket\"\nrate = \"60/s\"\nburst = 20\n",
    );
    let config = sending_to(&api.url) + &stream("s", "90/s");
    let daemon = world.daemon(&config, &["--count", "150", "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    let scrape = daemon.scrape();
    scrape.adds_up();
    let outcome = |outcome| scrape.sum("plimsoll_attempts_total", &[("outcome", outcome)]) as u64;
    assert_eq!(api.all("received"), 150);
    assert!(api.all("refused") > 0 && api.all("errors") > 0, "{}", api.stats());
    assert_eq!(outcome("accepted"), api.all("accepted"));
    assert_eq!(outcome("throttled"), api.all("refused"));
    assert_eq!(outcome("failed"), api.all("errors"));
    let delivered = scrape.sum("plimsoll_messages_ended_total", &[("result", "delivered")]);
    assert_eq!(delivered as u64, api.all("accepted"), "none twice");
    assert_eq!(scrape.sum("plimsoll_responses_total", &[]), 150.0);
}

#[test]
fn it_listens_on_ipv6_too() {
    let world = World::new();
    let api = world.api("");
    let daemon = world.daemon(
        &(sending_to(&api.url) + &stream("s", "20/s")),
        &["--web.listen-address", "[::1]:0"],
    );
    assert!(daemon.url.starts_with("http://[::1]:"), "{}", daemon.url);
    assert_eq!(daemon.get("/livez").status, 200);
}

#[test]
fn a_client_that_says_nothing_does_not_keep_a_daemon_from_ending() {
    let world = World::new();
    let api = world.api("");
    let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "20/s")), &[]);
    let address = daemon.url.trim_start_matches("http://").to_owned();
    let silent = TcpStream::connect(&address).expect("it listens");
    let listening = TcpStream::connect(&address).expect("it listens");
    let mut asks: &TcpStream = &listening;
    asks.write_all(b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n").expect("it reads");
    until("the first event", || asks.read(&mut [0; 512]).is_ok_and(|n| n > 0));
    assert_eq!(daemon.process.terminate(Duration::from_secs(8)).code(), Some(0));
    drop(silent);
}
