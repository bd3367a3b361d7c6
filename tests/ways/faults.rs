//! Networks and neighbours that fail while messages flow; the books are balanced afterwards.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use crate::certificates::Authority;
use crate::support::collector::Collector;
use crate::support::process::free_ports;
use crate::tls::Nginx;
use crate::wire::{Answering, Wire};
use crate::world::{Daemon, Scrape, World, plimsoll, sending_to, stream, until};

fn outcome(scrape: &Scrape, outcome: &str) -> f64 {
    scrape.sum("plimsoll_attempts_total", &[("outcome", outcome)])
}

/// Ends it, and looks at what it said last: everything accounted for, exit 0.
fn ends_well(mut daemon: Daemon) {
    daemon.scrape().adds_up();
    assert_eq!(daemon.process.terminate(Duration::from_secs(20)).code(), Some(0));
    let log = daemon.process.log();
    assert!(log.contains("drained, all accounted for") && !log.contains("panicked"), "{log}");
}

const OK: u8 = 0;
const HALF_CLOSE: u8 = 1;
const CUT: u8 = 2;
const HANG: u8 = 3;

#[test]
fn a_target_that_half_closes_cuts_off_and_hangs_is_accounted_for() {
    let mode = Arc::new(AtomicU8::new(OK));
    let now = Arc::clone(&mode);
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    let server = Wire::start(move |answer: &mut Answering<'_>| match now.load(Ordering::SeqCst) {
        HALF_CLOSE => {
            let _ = answer.stream.shutdown(Shutdown::Write);
            let mut stream = answer.stream;
            let _ = stream.read(&mut [0; 64]);
            answer.end();
        }
        CUT => {
            answer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{");
            answer.end();
        }
        HANG => {
            // Until the other side gives up.
            let mut stream = answer.stream;
            let _ = stream.read(&mut [0; 64]);
            answer.end();
        }
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            answer.ok();
        }
    });
    let world = World::new();
    let config = sending_to(&server.url)
        + "timeout = \"300ms\"\n[breaker]\nfailures = 0\n"
        + &stream("s", "50/s");
    let daemon = world.daemon(&config, &[]);
    for (fault, kind) in [(HALF_CLOSE, "transport"), (CUT, "transport"), (HANG, "timeout")] {
        let healthy = accepted.load(Ordering::SeqCst);
        until("good answers", || accepted.load(Ordering::SeqCst) > healthy + 20);
        let before = daemon.sum("plimsoll_errors_total", &[("kind", kind)]);
        mode.store(fault, Ordering::SeqCst);
        until("bad answers", || {
            daemon.sum("plimsoll_errors_total", &[("kind", kind)]) > before + 20.0
        });
        mode.store(OK, Ordering::SeqCst);
    }
    until("nothing in flight of the bad times", || {
        let scrape = daemon.scrape();
        scrape.adds_up();
        // What failed may have arrived, so that none was sent again: each request is one message.
        let sent = scrape.sum("plimsoll_slots_sent_total", &[]);
        sent == scrape.sum("plimsoll_messages_started_total", &[])
    });
    let url = server.url.clone();
    let (seen, good) = (server.count(), accepted.load(Ordering::SeqCst));
    assert!(seen > good + 60, "{url}");
    ends_well(daemon);
}

#[test]
fn a_target_that_refuses_and_resets_and_comes_back_is_accounted_for() {
    let [port] = free_ports();
    let world = World::new();
    let url = format!("http://127.0.0.1:{port}");
    // Without the circuit breaker, which would spare such a server.
    let config = sending_to(&url) + "[breaker]\nfailures = 0\n" + &stream("s", "50/s");
    let daemon = world.daemon(&config, &[]);
    let errors = |kind| daemon.sum("plimsoll_errors_total", &[("kind", kind)]);
    until("refusals", || errors("connect") > 20.0);
    // A server that closes with the request still unread: the kernel resets the connection.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("still free");
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    let resetting = std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if stopped.load(Ordering::SeqCst) > 0 {
                return;
            }
            let mut stream = &stream;
            let _ = stream.read(&mut [0; 10]);
        }
    });
    until("resets", || errors("transport") > 20.0);
    stop.store(1, Ordering::SeqCst);
    until("the server's end", || resetting.is_finished());
    let server = Wire::start_at((Ipv4Addr::LOCALHOST, port).into(), |answer| answer.ok());
    until("good answers", || outcome(&daemon.scrape(), "accepted") > 20.0);
    assert!(server.count() > 20);
    assert!(
        daemon.line("requests fail").is_some_and(|l| l["reason"].to_string().contains("refused"))
    );
    ends_well(daemon);
}

#[test]
fn a_daemon_without_file_descriptors_left_goes_on_when_there_are_some() {
    let hang = Arc::new(AtomicU8::new(HANG));
    let now = Arc::clone(&hang);
    let server = Wire::start(move |answer: &mut Answering<'_>| {
        if now.load(Ordering::SeqCst) == HANG {
            let mut stream = answer.stream;
            let _ = stream.read(&mut [0; 64]);
            answer.end();
        } else {
            answer.ok();
        }
    });
    let world = World::new();
    let config = sending_to(&server.url) + "timeout = \"3s\"\n" + &stream("s", "60/s");
    world.write("plimsoll.toml", &config);
    let mut command = Command::new("prlimit");
    command.args(["--nofile=64:64", env!("CARGO_BIN_EXE_plimsoll"), "run"]);
    command.args(["--config.file", "plimsoll.toml", "--log.format", "json"]);
    let daemon = world.daemon_by(&mut command);
    // Scrapes need descriptors, too: what it says comes from its log.
    until("descriptors to run out", || {
        daemon.line("requests fail").is_some_and(|l| l["reason"].to_string().contains("open files"))
    });
    hang.store(OK, Ordering::SeqCst);
    until("good answers", || {
        let answer = crate::support::http::get(&format!("{}/metrics", daemon.url));
        answer.is_ok_and(|a| a.status == 200 && outcome(&Scrape(a.body), "accepted") > 100.0)
    });
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert!(scrape.sum("plimsoll_errors_total", &[("kind", "connect")]) > 0.0);
    ends_well(daemon);
}

/// A daemon that traces every message to this collector, and what it accepts is counted.
fn traced(world: &World, target: &str, endpoint: &str, protocol: &str) -> Daemon {
    let config = sending_to(target)
        + &format!(
            "[tracing]\nendpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\nsample_ratio = 1.0\n\
             timeout = \"1s\"\nqueue_size = 256\n"
        )
        + &stream("s", "100/s");
    world.write("plimsoll.toml", &config);
    let mut command = plimsoll(&["run", "--config.file", "plimsoll.toml", "--log.format", "json"]);
    // Batches leave soon, so that what became of them is seen soon.
    world.daemon_by(command.env("OTEL_BSP_SCHEDULE_DELAY", "200"))
}

/// Every span that there was: exported, failed, dropped or still queued; and sending was not disturbed.
fn spans_add_up(daemon: &Daemon, server: &Wire) {
    until("as many spans as attempts and messages", || {
        let scrape = daemon.scrape();
        scrape.adds_up();
        let sum = |name: &str| scrape.sum(name, &[]);
        let spans = sum("plimsoll_spans_exported_total")
            + sum("plimsoll_spans_failed_total")
            + sum("plimsoll_spans_dropped_total")
            + sum("plimsoll_spans_queued");
        spans == sum("plimsoll_attempts_total") + sum("plimsoll_messages_ended_total")
    });
    let scrape = daemon.scrape();
    assert_eq!(outcome(&scrape, "failed"), 0.0);
    // Late ones tell of a machine that is busy with other tests.
    let held_up = scrape.sum("plimsoll_slots_skipped_total", &[("reason", "in_flight")]);
    assert_eq!(held_up, 0.0, "nothing was held up");
    assert!(server.count() > 100);
}

#[test]
fn a_collector_that_is_no_collector_disturbs_nothing() {
    // Speaks TLS with nobody's certificate; and takes TLS for rubbish.
    let garbage = Wire::start(|answer| answer.end());
    for (endpoint, protocol) in [
        (garbage.url.replace("http:", "https:"), "grpc"),
        (garbage.url.replace("http:", "https:"), "http/protobuf"),
    ] {
        let server = Wire::start(|answer| answer.ok());
        let world = World::new();
        let daemon = traced(&world, &server.url, &endpoint, protocol);
        until("lost spans", || daemon.sum("plimsoll_spans_failed_total", &[]) > 200.0);
        spans_add_up(&daemon, &server);
        assert!(daemon.line("spans are lost").is_some(), "{}", daemon.process.log());
        ends_well(daemon);
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_collector_whose_certificate_is_nobodys_gets_no_span() {
    for protocol in ["grpc", "http/protobuf"] {
        let server = Wire::start(|answer| answer.ok());
        let world = World::new();
        let ca = Authority::new("nobody");
        let nginx = Nginx::start(world.path(), &ca.server(world.path(), "s", &["127.0.0.1"]), "");
        let daemon = traced(&world, &server.url, &nginx.url(), protocol);
        until("lost spans", || daemon.sum("plimsoll_spans_failed_total", &[]) > 200.0);
        spans_add_up(&daemon, &server);
        assert!(nginx.visits().is_empty(), "{:?}", nginx.visits());
        ends_well(daemon);
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_collector_that_hangs_and_is_killed_disturbs_nothing() {
    for protocol in ["grpc", "http/protobuf"] {
        let server = Wire::start(|answer| answer.ok());
        let world = World::new();
        let mut collector = Collector::start();
        let endpoint = match protocol {
            "grpc" => collector.grpc_endpoint(),
            _ => collector.http_endpoint(),
        };
        let daemon = traced(&world, &server.url, &endpoint, protocol);
        until("exported spans", || daemon.sum("plimsoll_spans_exported_total", &[]) > 200.0);
        collector.process().signal("STOP");
        let lost = || {
            let scrape = daemon.scrape();
            scrape.sum("plimsoll_spans_failed_total", &[])
                + scrape.sum("plimsoll_spans_dropped_total", &[])
        };
        until("spans lost to a silent one", || lost() > 100.0);
        let before = lost();
        collector.process().signal("CONT");
        collector.process().signal("KILL");
        until("spans lost to a dead one", || lost() > before + 100.0);
        spans_add_up(&daemon, &server);
        ends_well(daemon);
    }
}
