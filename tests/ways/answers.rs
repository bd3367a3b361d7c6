//! Answers that a client could choke on.

use std::io::Write;
use std::time::Duration;

use crate::scripted::{Reply, Scripted};
use crate::support::process::wait_for;
use crate::wire::Wire;
use crate::world::{Daemon, SOON, World, plimsoll, sending_to, stream, until};

const COUNT: u64 = 8;
/// What a daemon may grow by while it reads answers of any length.
const GROWTH_BYTES_MAX: f64 = 24e6;

/// A daemon that sends [`COUNT`] requests to this server, and has heard back of all of them.
fn told_of_all(world: &World, url: &str, keys: &str) -> Daemon {
    let config = sending_to(url) + keys + "[policy]\nmax_attempts = 1\n" + &stream("s", "20/s");
    let count = COUNT.to_string();
    let daemon = world.daemon(&config, &["--count", &count, "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    daemon
}

/// How often it failed in this way, everything being accounted for.
fn failed(daemon: &Daemon, kind: &str) -> u64 {
    let scrape = daemon.scrape();
    scrape.adds_up();
    scrape.sum("plimsoll_errors_total", &[("kind", kind)]) as u64
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the server is slow on purpose")]
fn an_answer_of_one_byte_at_a_time_runs_out_of_time() {
    let head = "HTTP/1.1 200 OK\r\nx-slow: ";
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
    for begin in [head, body] {
        let server = Wire::start(move |answer| {
            answer.write(begin.as_bytes());
            while answer.write(b"a") {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let world = World::new();
        let daemon = told_of_all(&world, &server.url, "timeout = \"400ms\"\n");
        assert_eq!(failed(&daemon, "timeout"), COUNT, "{begin}");
        assert_eq!(server.count() as u64, COUNT, "none was sent twice");
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let long_field = "x-long: ".to_owned() + &"a".repeat(8_000);
    let endless_field = move |answer: &mut crate::wire::Answering<'_>| {
        answer.write(b"HTTP/1.1 200 OK\r\nx-endless: ");
        while answer.write(&[b'a'; 4_096]) {}
    };
    let endless_fields = move |answer: &mut crate::wire::Answering<'_>| {
        answer.write(b"HTTP/1.1 200 OK\r\n");
        while answer.write(long_field.as_bytes()) && answer.write(b"\r\n") {}
    };
    for server in [Wire::start(endless_field), Wire::start(endless_fields)] {
        let world = World::new();
        let daemon = told_of_all(&world, &server.url, "timeout = \"9s\"\n");
        assert_eq!(
            failed(&daemon, "bad_response"),
            COUNT,
            "by its length, not by the time it took"
        );
        // What the kernel holds between the two is the larger part of that.
        let taken = server.taken.load(std::sync::atomic::Ordering::SeqCst) / COUNT;
        assert!(taken < 8_000_000, "{taken} bytes of each head were taken");
        let resident = daemon.sum("process_resident_memory_bytes", &[]);
        assert!(resident < 200e6, "{resident}");
    }
}

#[test]
fn a_compressed_bomb_is_just_its_bytes() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..40 {
        bomb.write_all(&vec![b' '; 1_000_000]).expect("memory");
    }
    let bomb = bomb.finish().expect("memory");
    assert!(bomb.len() < 60_000, "{}", bomb.len());
    let server = Wire::start(move |answer| {
        let length = bomb.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
             content-length: {length}\r\n\r\n"
        );
        let _ = answer.write(head.as_bytes()) && answer.write(&bomb);
    });
    let world = World::new();
    // The body is looked into, and is not what was asked for.
    let keys = "success_body_pointer = \"/id\"\nresponse_bytes_max = 65536\n";
    let daemon = told_of_all(&world, &server.url, keys);
    let scrape = daemon.scrape();
    scrape.adds_up();
    assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "rejected")]) as u64, COUNT);
    let before = world.daemon(&(sending_to(&server.url) + &stream("idle", "1/h")), &[]);
    let idle = before.sum("process_resident_memory_bytes", &[]);
    let grown = daemon.sum("process_resident_memory_bytes", &[]) - idle;
    assert!(grown < GROWTH_BYTES_MAX, "grew by {grown} over {idle}");
}

#[test]
fn a_body_over_the_bound_is_read_no_further() {
    let server = Wire::start(move |answer| {
        answer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
        while answer.write(chunk.as_bytes()) {}
    });
    let world = World::new();
    let daemon = told_of_all(&world, &server.url, "timeout = \"9s\"\nresponse_bytes_max = 65536\n");
    assert_eq!(failed(&daemon, "bad_response"), COUNT);
    let taken = server.taken.load(std::sync::atomic::Ordering::SeqCst) / COUNT;
    assert!(taken < 8_000_000, "{taken} bytes of each body were taken");
}

#[test]
fn a_redirect_to_another_host_is_not_followed_and_the_token_stays() {
    for status in [301, 302, 303, 307, 308] {
        let other = Scripted::start(|_, _| Reply::ok());
        let location =
            format!("location: {}/stolen\r\n", other.url.replace("127.0.0.1", "localhost"));
        let target = Scripted::start(move |_, _| Reply::Status(status, location.clone()));
        let world = World::new();
        world.write("token", "canary-token");
        let config = sending_to(&target.url)
            + "[credentials.c]\ntype = \"bearer\"\ntoken_file = \"token\"\n"
            + &stream("s", "20/s")
            + "credential = \"c\"\n";
        let daemon = world.daemon(&config, &["--count", "3", "--linger"]);
        until("the end of the run", || daemon.line("the run is over").is_some());
        let scrape = daemon.scrape();
        scrape.adds_up();
        assert_eq!(scrape.sum("plimsoll_attempts_total", &[("outcome", "rejected")]), 3.0);
        let sent = target.seen();
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|r| r.header("authorization") == Some("Bearer canary-token")));
        assert_eq!(other.count(), 0, "status {status} was followed");
    }
}

#[test]
fn a_login_that_redirects_keeps_the_client_secret_to_itself() {
    let other = Scripted::start(|_, _| Reply::ok());
    let location = format!("location: {}/stolen\r\n", other.url);
    let login = Scripted::start(move |_, _| Reply::Status(307, location.clone()));
    let target = Scripted::start(|_, _| Reply::ok());
    let world = World::new();
    world.write("secret", "canary-secret");
    let config = sending_to(&target.url)
        + &format!(
            "[credentials.c]\ntype = \"oauth_client_credentials\"\nclient_id = \"app\"\n\
             client_secret_file = \"secret\"\ntoken_url = \"{}/oauth/token\"\n",
            login.url
        )
        + &stream("s", "20/s")
        + "credential = \"c\"\n";
    let daemon = world.daemon(&config, &[]);
    let refused = wait_for(SOON, || daemon.line("the login server refused the client"));
    assert!(refused.is_some());
    assert!(login.count() > 0);
    assert_eq!((other.count(), target.count()), (0, 0), "nothing goes out without a token");
}

#[test]
fn a_collector_that_redirects_keeps_its_key_to_itself() {
    let other = Scripted::start(|_, _| Reply::ok());
    for status in [302, 307] {
        let location = format!("location: {}/stolen\r\n", other.url);
        let collector = Scripted::start(move |_, _| Reply::Status(status, location.clone()));
        let target = Scripted::start(|_, _| Reply::ok());
        let world = World::new();
        let tracing = format!(
            "[tracing]\nendpoint = \"{}/v1/traces\"\nprotocol = \"http/protobuf\"\n\
             sample_ratio = 1.0\n",
            collector.url
        );
        let config = sending_to(&target.url) + &tracing + &stream("s", "20/s");
        world.write("plimsoll.toml", &config);
        let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
        let mut command = plimsoll(&args);
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-key");
        command.env("OTEL_BSP_SCHEDULE_DELAY", "200");
        let daemon = world.daemon_by(&mut command);
        until("lost spans", || daemon.sum("plimsoll_spans_failed_total", &[]) > 0.0);
        let asked = collector.seen();
        assert!(asked.iter().any(|request| request.header("api-key") == Some("canary-key")));
        assert_eq!(other.count(), 0, "status {status} was followed");
        daemon.scrape().adds_up();
    }
}

#[test]
fn connections_start_from_the_address_that_is_configured() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = std::sync::Arc::clone(&seen);
    let server = Wire::start(move |answer| {
        let peer = answer.stream.peer_addr().expect("connected").ip();
        noted.lock().expect("not poisoned").push(peer.to_string());
        answer.ok();
    });
    let world = World::new();
    let keys = "connection = \"c\"\n[connections.c]\nsource_address = \"127.0.0.77\"\n";
    let daemon = told_of_all(&world, &server.url, keys);
    daemon.scrape().adds_up();
    let seen = seen.lock().expect("not poisoned");
    assert_eq!(*seen, vec!["127.0.0.77"; COUNT as usize]);
}
