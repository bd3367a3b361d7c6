//! What goes out, and what comes back when the server behaves.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::server::{Act, Server, reply};
use super::*;
use crate::model::{Advice, AdviceSource, Dialect, Verdict};

async fn answer(reply: String) -> Answer {
    let server = Server::start(vec![Act::Reply(reply)]).await;
    send(&client(settings(server.url.clone()))).await
}

#[tokio::test]
async fn a_request_carries_what_it_was_given() {
    let server = Server::start(vec![Act::Reply(reply(202, "", "{}"))]).await;
    let settings = settings(format!("{}/prefix", server.url));
    let extra = vec![
        (HeaderName::from_static("x-extra"), HeaderValue::from_static("once")),
        (HeaderName::from_static("content-type"), HeaderValue::from_static("text/plain")),
    ];
    let request = Rendered::new("/messages?a=b".into(), extra, "{}".into()).expect("a path");
    let trace = HeaderValue::from_static("00-trace");
    let answer = client(settings)
        .send(request, Some(&bearer()), Some(trace), MessageId(0xabc), |_, _| {})
        .await;
    assert_eq!(answer.verdict, Verdict::Accepted);
    let requests = server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    let (head, body) = request.split_once("\r\n\r\n").expect("head and body");
    assert_eq!(body, "{}");
    for line in [
        "POST /prefix/messages?a=b HTTP/1.1",
        "content-type: text/plain",
        "authorization: Bearer canary-0123456789",
        "traceparent: 00-trace",
        "idempotency-key: 00000000000000000000000000000abc",
        "x-extra: once",
        concat!("user-agent: plimsoll/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.lines().any(|l| l == line), "{line} is not in {head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn each_path_goes_where_it_says() {
    let server = Server::start(vec![Act::Reply(reply(200, "", ""))]).await;
    let client = client(settings(server.url.clone()));
    for path in ["/a", "/b", "/a", ""] {
        client.send(rendered(path), None, None, MessageId(1), |_, _| {}).await;
    }
    let lines: Vec<_> =
        server.requests().iter().map(|r| r.lines().next().expect("a line").to_owned()).collect();
    let expected = ["/a", "/b", "/a", "/"].map(|path| format!("POST {path} HTTP/1.1"));
    assert_eq!(lines, expected);
    let first = &server.requests()[0];
    assert!(!first.contains("authorization") && !first.contains("content-type"), "{first}");
}

#[test]
fn a_path_cannot_name_another_host() {
    for path in
        ["@evil.example/", ".evil.example/", ":1/", "evil", "/a b", "/a#b", "\\\\evil", "/é"]
    {
        assert_eq!(Rendered::new(path.into(), Vec::new(), Bytes::new()), Err(PathError), "{path}");
    }
}

#[tokio::test]
async fn moments_are_in_order() {
    let answer = answer(reply(200, "", "")).await;
    let headers_at = answer.headers_at.expect("a response");
    assert!(answer.sent_at < headers_at && headers_at <= answer.done_at, "{answer:?}");
    assert_eq!(answer.status, Some(200));
}

#[tokio::test]
async fn a_throttle_is_read_to_the_last_word() {
    let headers = "retry-after: 30\r\ninin-ratelimit-count: 301\r\ninin-ratelimit-allowed: 300\r\n\
                   inin-ratelimit-reset: 12\r\nratelimit: ???\r\ninin-correlation-id: c0ffee\r\n";
    let body =
        r#"{"limit":{"key":"token.rate.per.minute","namespace":"platform.api","value":300}}"#;
    let answer = answer(reply(429, headers, body)).await;
    assert_eq!(answer.verdict, Verdict::Throttled);
    let wait = Advice::Wait(Duration::from_secs(30), AdviceSource::RetryAfterSeconds);
    assert_eq!(answer.advice, wait);
    assert_eq!((answer.hints[0].dialect, answer.hints[0].remaining), (Dialect::Inin, Some(0)));
    assert_eq!(answer.malformed, [Dialect::IetfStructured]);
    assert_eq!(&*answer.named_limit.expect("a limit").key, "token.rate.per.minute");
    assert_eq!(answer.correlation_id.as_deref(), Some("c0ffee"));
}

#[tokio::test]
async fn dates_count_from_the_servers_clock() {
    let date = "date: Mon, 01 Jan 2001 00:00:00 GMT\r\n";
    let retry = "retry-after: Mon, 01 Jan 2001 00:01:00 GMT\r\n";
    let answer = answer(reply(503, &format!("{date}{retry}"), "")).await;
    assert_eq!(answer.verdict, Verdict::Throttled);
    let wait = Advice::Wait(Duration::from_secs(60), AdviceSource::RetryAfterDate);
    assert_eq!(answer.advice, wait);
}

#[tokio::test]
async fn other_refusals() {
    assert_eq!(answer(reply(401, "", "")).await.verdict, Verdict::Unauthorized);
    assert_eq!(answer(reply(404, "", "")).await.verdict, Verdict::Rejected);
    let body = r#"{"code":"conversation.message.limit.exceeded"}"#;
    assert_eq!(answer(reply(400, "", body)).await.verdict, Verdict::Throttled);
}

#[tokio::test]
async fn a_success_is_asked_for_its_body_only_where_configured() {
    let server = Server::start(vec![Act::Reply(reply(200, "", r#"{"ok":false}"#))]).await;
    let mut settings = settings(server.url.clone());
    assert_eq!(send(&client(settings.clone())).await.verdict, Verdict::Accepted);
    let equals = Some(serde_json::Value::Bool(true));
    settings.success.body = Some(BodyMatch { pointer: "/ok".into(), equals });
    assert_eq!(send(&client(settings)).await.verdict, Verdict::Rejected);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(vec![Act::Reply(reply(200, "", ""))]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {}/elsewhere\r\n", other.url);
        let answer = answer(reply(status, &location, "")).await;
        assert_eq!((answer.verdict, answer.status), (Verdict::Rejected, Some(status)));
    }
    assert_eq!(other.requests(), Vec::<String>::new(), "a token went to another server");
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = Server::start(vec![Act::Reply(reply(200, "", "unwanted but read"))]).await;
    let client = client(settings(server.url.clone()));
    for _ in 0..3 {
        assert_eq!(send(&client).await.verdict, Verdict::Accepted);
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 1));
}

#[test]
fn the_future_can_be_sent_to_another_thread() {
    fn is_static<F: Future<Output = Answer> + Send + 'static>(future: F) -> F {
        future
    }
    let client = client(settings("http://127.0.0.1:1".into()));
    drop(is_static(client.send(rendered("/"), None, None, MessageId(1), |_, _| {})));
}
