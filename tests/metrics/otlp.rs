//! The real exporters, against collectors that answer, are not there, or never answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use plimsoll::model::{Event, Verdict};
use plimsoll::telemetry::{Protocol, Sampling, SpanTotals, Telemetry, TracingSettings};

use crate::support::*;

fn settings(endpoint: String, protocol: Protocol) -> TracingSettings {
    TracingSettings {
        endpoint,
        protocol,
        timeout: Duration::from_millis(500),
        sampling: Sampling::ratio(1.0),
        batch_delay: Duration::from_millis(20),
        ..Default::default()
    }
}

/// Ten messages, a flush, and what became of their twenty spans.
fn run(settings: &TracingSettings) -> SpanTotals {
    let (telemetry, mut observer) =
        Telemetry::with_otlp(&build(), 0.0, settings).expect("the endpoint is a URL");
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
    let before = Instant::now();
    for message in 1..=10 {
        feed(&mut observer, at(1), &single(0, message, Verdict::Accepted, at(1)));
    }
    assert!(before.elapsed() < Duration::from_millis(250), "the send loop did not wait");
    telemetry.shutdown(Duration::from_secs(5));
    assert!(before.elapsed() < Duration::from_secs(6));
    telemetry.span_totals()
}

/// Reads one request and answers it with an empty protobuf message.
fn answer_one(mut stream: TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let (_, rest) = head.split_once("content-length: ").expect("a body");
    let length: usize = rest.lines().next().expect("a line").parse().expect("a number");
    stream.read_exact(&mut vec![0; length]).expect("the body");
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(answer.as_bytes()).expect("written");
    head
}

#[test]
fn http_reaches_a_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = listener.local_addr().expect("bound").to_string();
    let (told, heads) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if told.send(answer_one(stream)).is_err() {
                return;
            }
        }
    });
    let totals = run(&settings(endpoint, Protocol::HttpProtobuf));
    assert_eq!((totals.exported, totals.failed), (20, 0));
    let head = heads.recv_timeout(Duration::from_secs(5)).expect("a request");
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
}

#[test]
fn a_collector_that_is_not_there_fails_every_span() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = listener.local_addr().expect("bound").to_string();
        drop(listener);
        let totals = run(&settings(endpoint, protocol));
        assert_eq!((totals.exported, totals.failed, totals.queued), (0, 20, 0), "{protocol:?}");
    }
}

#[test]
fn a_collector_that_never_answers_fails_every_span_in_time() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = listener.local_addr().expect("bound").to_string();
        let totals = run(&settings(endpoint, protocol));
        assert_eq!((totals.exported, totals.failed, totals.queued), (0, 20, 0), "{protocol:?}");
        drop(listener);
    }
}

#[tokio::test]
async fn set_up_and_flush_on_a_current_thread_runtime_do_not_hang() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = listener.local_addr().expect("bound").to_string();
        let (telemetry, mut observer) =
            Telemetry::with_otlp(&build(), 0.0, &settings(endpoint, protocol)).expect("starts");
        feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s", "t"))]);
        feed(&mut observer, at(1), &single(0, 1, Verdict::Accepted, at(1)));
        let before = Instant::now();
        let flushing = telemetry.clone();
        let flush = move || flushing.shutdown(Duration::from_secs(3));
        tokio::task::spawn_blocking(flush).await.expect("no panic");
        assert!(before.elapsed() < Duration::from_secs(4), "{protocol:?}");
        // Dropping everything in async code must not panic either.
        drop((observer, telemetry));
    }
}

#[test]
fn an_endpoint_that_is_no_url_is_told() {
    let bad = settings("http://[broken".to_owned(), Protocol::Grpc);
    let Err(error) = Telemetry::with_otlp(&build(), 0.0, &bad) else { panic!("accepted") };
    assert!(error.to_string().contains("[broken"), "{error}");
}
