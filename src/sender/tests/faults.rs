//! What comes back when the server or the network does not behave, and above all whether the
//! request may have arrived.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::server::{Act, Server, reply};
use super::*;
use crate::model::{Failure, FailureKind, Verdict};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";

fn failed(kind: FailureKind, may_have_arrived: bool) -> Verdict {
    Verdict::Failed(Failure { kind, may_have_arrived })
}

/// The answer to a request with a short timeout, and how many requests the server saw.
async fn fault(act: Act) -> (Answer, usize) {
    let server = Server::start(vec![act]).await;
    let mut settings = settings(server.url.clone());
    settings.timeout = Duration::from_millis(100);
    let answer = send(&client(settings)).await;
    (answer, server.requests().len())
}

#[tokio::test]
async fn a_refused_connection_carried_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let answer = send(&client(settings(format!("http://{address}")))).await;
    assert_eq!(answer.verdict, failed(FailureKind::Connect, false));
    assert_eq!((answer.status, answer.headers_at), (None, None));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_carried_nothing() {
    // RFC 6761 keeps `.invalid` from ever resolving.
    let answer = send(&client(settings("http://plimsoll.invalid".into()))).await;
    assert_eq!(answer.verdict, failed(FailureKind::Connect, false));
}

/// An address whose server greets every connection with these bytes and keeps it.
async fn greeter(greeting: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(greeting.as_bytes()).await.expect("written");
            kept.push(stream);
        }
    });
    format!("https://{address}")
}

#[tokio::test]
async fn a_failed_tls_handshake_carried_nothing() {
    let url = greeter("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let answer = send(&client(settings(url))).await;
    assert_eq!(answer.verdict, failed(FailureKind::Connect, false));
    assert!(answer.done_at.since(answer.sent_at) < Duration::from_secs(2), "not by a timeout");
}

#[tokio::test]
async fn a_connection_that_takes_too_long_carried_nothing() {
    let mut settings = settings(greeter("").await);
    settings.connect_timeout = Duration::from_millis(50);
    let answer = send(&client(settings)).await;
    assert_eq!(answer.verdict, failed(FailureKind::Connect, false));
    assert!(answer.done_at.since(answer.sent_at) < Duration::from_secs(2));
}

#[tokio::test]
async fn silence_is_a_timeout_of_a_request_that_may_have_arrived() {
    let (answer, seen) = fault(Act::ReplyAndHang(String::new())).await;
    assert_eq!(answer.verdict, failed(FailureKind::Timeout, true));
    assert!(answer.done_at.since(answer.sent_at) >= Duration::from_millis(100));
    assert!(answer.done_at.since(answer.sent_at) < Duration::from_secs(2));
    assert_eq!(seen, 1);
}

#[tokio::test]
async fn a_connection_broken_after_the_request_was_read_is_not_tried_again() {
    for act in [Act::Close, Act::Reset] {
        let (answer, seen) = fault(act.clone()).await;
        assert_eq!(answer.verdict, failed(FailureKind::Transport, true), "{act:?}");
        assert_eq!(seen, 1, "{act:?}");
    }
}

#[tokio::test]
async fn a_reused_connection_broken_after_the_request_was_read_is_not_tried_again() {
    let server = Server::start(vec![Act::Reply(reply(200, "", "")), Act::Close]).await;
    let client = client(settings(server.url.clone()));
    assert_eq!(send(&client).await.verdict, Verdict::Accepted);
    assert_eq!(send(&client).await.verdict, failed(FailureKind::Transport, true));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = Server::start(vec![Act::ReplyAndClose(reply(200, "", ""))]).await;
    let client = client(settings(server.url.clone()));
    for sent in 1..=5 {
        assert_eq!(send(&client).await.verdict, Verdict::Accepted);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(server.requests().len(), sent);
    }
}

#[tokio::test]
async fn closing_connections_under_load_neither_doubles_nor_hides_a_request() {
    let server = Server::start(vec![Act::ReplyAndClose(reply(200, "", ""))]).await;
    let client = client(settings(server.url.clone()));
    let (mut accepted, mut unsure) = (0, 0);
    for _ in 0..200 {
        // At once after the last answer, so that some are handed to a connection that is closing.
        match send(&client).await.verdict {
            Verdict::Accepted => accepted += 1,
            Verdict::Failed(failure) if failure.may_have_arrived => unsure += 1,
            _ => {}
        }
    }
    let seen = server.requests().len();
    assert!((accepted..=accepted + unsure).contains(&seen), "{accepted} {unsure} {seen}");
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_response() {
    let (answer, _) = fault(Act::Reply("SSH-2.0-OpenSSH\r\n\r\n".into())).await;
    assert_eq!(answer.verdict, failed(FailureKind::BadResponse, true));
}

#[tokio::test]
async fn a_body_over_the_bound_is_a_bad_response() {
    let long = "x".repeat(1001);
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n");
    for reply in [reply(200, "", &long), chunked] {
        let (answer, _) = fault(Act::Reply(reply)).await;
        assert_eq!(answer.verdict, failed(FailureKind::BadResponse, true));
        assert_eq!(answer.status, Some(200));
    }
    let (answer, _) = fault(Act::Reply(reply(200, "", &long[1..]))).await;
    assert_eq!(answer.verdict, Verdict::Accepted);
}

#[tokio::test]
async fn a_success_whose_body_never_ends_may_have_been_one() {
    let (answer, _) = fault(Act::ReplyAndHang(OK.into())).await;
    assert_eq!(answer.verdict, failed(FailureKind::Timeout, true));
    assert_eq!(answer.status, Some(200));
    let (answer, _) = fault(Act::ReplyAndClose(OK.into())).await;
    assert_eq!(answer.verdict, failed(FailureKind::Transport, true));
}

#[tokio::test]
async fn a_throttle_counts_from_its_head_even_if_its_body_never_ends() {
    let head = "HTTP/1.1 429 X\r\nretry-after: 30\r\ncontent-length: 10\r\n\r\n";
    for act in [Act::ReplyAndHang(head.into()), Act::ReplyAndClose(head.into())] {
        let (answer, _) = fault(act.clone()).await;
        assert_eq!(answer.verdict, Verdict::Throttled, "{act:?}");
        assert_eq!(answer.advice.wait(), Some(Duration::from_secs(30)), "{act:?}");
        assert!(answer.headers_at.is_some_and(|at| at < answer.done_at), "{act:?}");
    }
}

#[tokio::test]
async fn a_throttle_is_told_at_its_headers_and_not_at_the_end_of_its_body() {
    let head = "HTTP/1.1 429 X\r\nretry-after: 30\r\ncontent-length: 10\r\n\r\n";
    let server = Server::start(vec![Act::ReplyAndHang(head.into())]).await;
    let mut settings = settings(server.url.clone());
    settings.timeout = Duration::from_millis(500);
    let client = client(settings);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let on_refusal = move |at, advice| tell.send((at, advice)).expect("somebody listens");
    let answer = client.send(rendered("/"), None, None, MessageId(1), on_refusal);
    tokio::pin!(answer);
    let (at, advice) = tokio::select! {
        answer = &mut answer => panic!("the body has stalled, and yet: {answer:?}"),
        refusal = told.recv() => refusal.expect("the request is not over"),
    };
    assert_eq!(advice.wait(), Some(Duration::from_secs(30)));
    let answer = answer.await;
    assert_eq!((answer.headers_at, answer.advice), (Some(at), advice), "the same once more");
    assert!(answer.done_at.since(at) > Duration::from_millis(100), "{answer:?}");
    assert!(told.try_recv().is_err(), "told once");
}

#[tokio::test]
async fn server_errors_tell_whether_the_request_may_have_been_acted_on() {
    for (status, may_have_arrived) in [(500, true), (502, true), (503, false), (504, true)] {
        let (answer, seen) = fault(Act::Reply(reply(status, "", "<html>"))).await;
        assert_eq!(answer.verdict, failed(FailureKind::ServerError, may_have_arrived));
        assert_eq!(seen, 1);
    }
}
