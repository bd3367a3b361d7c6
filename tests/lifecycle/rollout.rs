//! What an orchestrator does to a daemon that it replaces: SIGTERM, at moments that do not suit, and a grace
//! period that must do. Nothing is sent after the signal, and everything that was sent is accounted for.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::scripted::{Reply, Scripted};
use crate::world::{Daemon, World, plimsoll, sending_to, stream, until};

/// For an exit that has nothing to wait for: the flush of telemetry takes three seconds at most.
const AT_ONCE: Duration = Duration::from_secs(3 + 4);

/// SIGTERM, exit 0 within this time, and the last log line says that all is accounted for.
#[expect(clippy::disallowed_methods, reason = "an orchestrator waits in real time")]
fn terminated(daemon: &mut Daemon, within: Duration) -> Duration {
    let asked = Instant::now();
    assert_eq!(daemon.process.terminate(within).code(), Some(0));
    let last = daemon.line("drained, all accounted for").expect("said at the end");
    assert_eq!(last["in_flight"], 0);
    asked.elapsed()
}

#[test]
fn a_pause_is_not_slept_out() {
    let world = World::new();
    let api = Scripted::start(|number, _| match number {
        0..10 => Reply::ok(),
        _ => Reply::Status(429, "retry-after: 600\r\n".to_owned()),
    });
    let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "50/s")), &[]);
    until("the pause", || daemon.sum("plimsoll_gate_state", &[]) == 2.0);
    until("what was in flight", || daemon.sum("plimsoll_attempts_in_flight", &[]) == 0.0);
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert!(scrape.sum("plimsoll_retries_queued_total", &[]) > 0.0, "a message waits");
    let sent = scrape.sum("plimsoll_slots_sent_total", &[]);
    assert_eq!(api.count() as f64, sent);
    terminated(&mut daemon, AT_ONCE);
    assert_eq!(api.count() as f64, sent, "nothing was sent into the pause or after the signal");
}

#[test]
fn a_token_that_is_being_fetched_is_not_waited_for() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    // Grants one token, and is never heard of again.
    let grant = "{\"access_token\":\"t\",\"token_type\":\"bearer\",\"expires_in\":2}";
    let login = Scripted::start(move |number, _| match number {
        0 => Reply::Json(grant.to_owned()),
        _ => Reply::Stall,
    });
    let credential = format!(
        "credential = \"c\"\n[credentials.c]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
         client_secret = \"s\"\ntoken_url = \"{}/token\"\ntimeout = \"60s\"\n",
        login.url
    );
    let config = String::from("allow_inline_secrets = true\n") + &sending_to(&api.url);
    let mut daemon = world.daemon(&(config + &stream("s", "50/s") + &credential), &[]);
    until("the fetch that hangs", || login.count() == 2);
    let took = terminated(&mut daemon, AT_ONCE);
    assert!(took < Duration::from_secs(10), "{took:?}, and not the fetch's timeout");
    assert!(api.seen().iter().all(|r| r.header("authorization") == Some("Bearer t")));
    assert_eq!(login.count(), 2);
}

#[test]
fn a_collector_that_hangs_is_not_waited_for() {
    let world = World::new();
    let api = world.api("");
    // Connections are taken by the system, and nobody ever reads from them.
    let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", collector.local_addr().expect("bound"));
    world.write("plimsoll.toml", &(sending_to(&api.url) + &stream("s", "50/s")));
    let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
    let mut command = plimsoll(&args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_TRACES_SAMPLER", "always_on");
    let mut daemon = world.daemon_by(&mut command);
    until("spans that wait", || daemon.sum("plimsoll_spans_queued", &[]) > 50.0);
    terminated(&mut daemon, AT_ONCE);
    assert!(daemon.line("some spans were not exported before the exit").is_some());
    assert_eq!(api.all("received"), api.all("accepted"));
}

#[test]
fn five_hundred_in_flight_come_home() {
    let world = World::new();
    let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"2s\"\n");
    let mut daemon = world.daemon(&(sending_to(&api.url) + &stream("s", "400/s")), &[]);
    let in_flight = || daemon.sum("plimsoll_attempts_in_flight", &[]);
    until("five hundred in flight", || in_flight() >= 500.0);
    daemon.process.signal("TERM");
    until("the drain", || daemon.sum("plimsoll_draining", &[]) == 1.0);
    let scrape = daemon.scrape();
    scrape.adds_up();
    let left = scrape.sum("plimsoll_attempts_in_flight", &[]);
    assert!(left > 400.0, "{left} are still on their way");
    // The default grace period is 20 s, and none of them needs more than two.
    assert_eq!(daemon.process.wait(Duration::from_secs(15)).code(), Some(0));
    let sent = scrape.sum("plimsoll_slots_sent_total", &[]) as u64;
    assert_eq!(api.all("received"), sent, "nothing was sent after the signal");
    assert_eq!(api.all("accepted"), sent, "everything in flight finished");
    assert_eq!(daemon.line("drained, all accounted for").expect("said")["in_flight"], 0);
}

#[test]
fn where_it_runs_is_told_once_and_not_on_each_series() {
    let world = World::new();
    let api = world.api("");
    world.write("plimsoll.toml", &(sending_to(&api.url) + &stream("s", "50/s")));
    let attributes =
        "k8s.pod.name=plimsoll-0,k8s.namespace.name=bench,k8s.node.name=node-7,team=messaging";
    let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
    let daemon = world.daemon_by(plimsoll(&args).env("OTEL_RESOURCE_ATTRIBUTES", attributes));
    let labels = [
        ("k8s_pod_name", "plimsoll-0"),
        ("k8s_namespace_name", "bench"),
        ("k8s_node_name", "node-7"),
    ];
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_pod_info", &labels), 1.0);
    let with_pod = scrape.0.lines().filter(|line| line.contains("plimsoll-0")).count();
    assert_eq!(with_pod, 1, "{}", scrape.0);
}
