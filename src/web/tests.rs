//! The surface over real loopback sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::model::RunState;

fn snapshot() -> Status {
    Status {
        uptime_seconds: 1.0,
        at: 1.0,
        state: RunState::Running,
        in_flight: 0,
        paused: false,
        caps: Vec::new(),
        streams: Vec::new(),
        gates: Vec::new(),
        breakers: Vec::new(),
        credentials: Vec::new(),
    }
}

fn context(lifecycle: Option<Lifecycle>) -> WebContext {
    WebContext {
        metrics: Arc::new(|accept| {
            ("text/plain", format!("accept={}\n", accept.unwrap_or("none")))
        }),
        alive: Arc::new(|| true),
        ready: Arc::new(|| Err("draining".to_owned())),
        config: Arc::new(|| "rate = \"80/s\"\n".to_owned()),
        status: Arc::new(|| Box::pin(async { Some(snapshot()) })),
        feed: Feed::new(4),
        security: Security::default(),
        lifecycle,
    }
}

/// A served context; dropping the sender ends it.
async fn start(context: WebContext) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(serve(listener, context, async {
        let _ = stopped.await;
    }));
    (address, stop)
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    let text = format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

#[tokio::test]
async fn every_page_answers_and_the_probes_mean_what_they_say() {
    let (address, _stop) = start(context(None)).await;
    for (request, status, part) in [
        ("GET / HTTP/1.1", "200", "/api/v1/status"),
        ("GET /metrics HTTP/1.1\r\nAccept: text/x", "200", "accept=text/x"),
        ("GET /livez HTTP/1.1", "200", "ok"),
        ("GET /-/healthy HTTP/1.1", "200", "ok"),
        ("GET /readyz HTTP/1.1", "503", "draining"),
        ("GET /-/ready HTTP/1.1", "503", "draining"),
        ("GET /config HTTP/1.1", "200", "80/s"),
        ("GET /api/v1/status HTTP/1.1", "200", "\"state\":\"running\""),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0", "405", ""),
        ("GET /-/reload HTTP/1.1", "405", ""),
        ("GET /nothing HTTP/1.1", "404", ""),
    ] {
        let answer = ask(address, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

#[tokio::test]
async fn controls_are_forbidden_unless_enabled() {
    let (address, _stop) = start(context(None)).await;
    for path in ["/-/reload", "/-/quit", "/-/pause", "/-/resume", "/-/gates/open?gate=g"] {
        let answer = ask(address, &format!("POST {path} HTTP/1.1\r\nContent-Length: 0")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("--web.enable-lifecycle"), "{answer}");
    }
}

#[tokio::test]
async fn controls_do_what_they_are_told_and_say_what_came_of_it() {
    let quits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&quits);
    let lifecycle = Lifecycle {
        set_log_level: Arc::new(|level| level == "debug"),
        reload: Arc::new(|| Box::pin(async { Err("streams.a.rate: not a rate".to_owned()) })),
        quit: Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }),
        pause: Arc::new(|stream, _| Box::pin(async move { stream.is_none_or(|name| name == "s") })),
        open_gate: Arc::new(|gate| {
            Box::pin(async move {
                match gate.as_str() {
                    "api.example.com tenant=acme" => GateOpening::Opened,
                    "short" => GateOpening::NotLong,
                    _ => GateOpening::Unknown,
                }
            })
        }),
    };
    let (address, _stop) = start(context(Some(lifecycle))).await;
    for (path, status, part) in [
        ("/-/reload", "500", "streams.a.rate"),
        ("/-/gates/open?gate=api.example.com%20tenant%3Dacme", "200", "over"),
        ("/-/gates/open?gate=short", "409", "long"),
        ("/-/gates/open?gate=other", "404", "no gate"),
        ("/-/gates/open", "400", "?gate=NAME"),
        ("/-/pause", "200", "paused"),
        ("/-/resume?stream=s", "200", "resumed"),
        ("/-/pause?stream=other", "404", "no stream"),
        ("/-/quit", "200", "draining"),
    ] {
        let answer = ask(address, &format!("POST {path} HTTP/1.1\r\nContent-Length: 0")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(answer.contains(part), "{path}: {answer}");
    }
    let foreign = "POST /-/quit HTTP/1.1\r\nContent-Length: 0\r\nSec-Fetch-Site: cross-site";
    assert!(ask(address, foreign).await.starts_with("HTTP/1.1 403"));
    assert_eq!(quits.load(Ordering::Relaxed), 1, "somebody else's page has no say");
}

#[tokio::test]
async fn a_send_loop_that_is_stuck_shows_and_blocks_nobody() {
    let mut context = context(None);
    context.alive = Arc::new(|| false);
    context.status = Arc::new(|| Box::pin(std::future::pending()));
    let (address, _stop) = start(context).await;
    assert!(ask(address, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 503"));
    let status = ask(address, "GET /api/v1/status HTTP/1.1").await;
    assert!(status.starts_with("HTTP/1.1 503"), "{status}");
}

/// Reads until `part` has come, or fails.
async fn read_until(stream: &mut TcpStream, part: &str) -> String {
    let mut text = String::new();
    let reading = async {
        let mut buffer = [0; 4096];
        while !text.contains(part) {
            let n = stream.read(&mut buffer).await.expect("open");
            assert!(n > 0, "ended before {part:?}: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect(part);
    text
}

async fn listen(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("listening");
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    stream
}

#[tokio::test]
async fn listeners_get_snapshots_and_changes_and_are_let_go_at_the_end() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let mut context = context(None);
    context.status = Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Some(snapshot()) })
    });
    let feed = context.feed.clone();
    let (address, stop) = start(context).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody listens, so nobody asks the send loop");
    assert!(!feed.wanted());

    let mut stream = listen(address).await;
    read_until(&mut stream, "event: status").await;
    assert!(feed.wanted());
    feed.publish("gate", "{\"gate\":\"g\"}".to_owned());
    let text = read_until(&mut stream, "event: gate").await;
    assert!(text.contains("data: {\"gate\":\"g\"}"), "{text}");
    read_until(&mut stream, "event: status").await;

    drop(stop);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    ended.expect("in time").expect("a clean end");
}

#[tokio::test]
async fn a_listener_that_lags_is_told_what_it_missed() {
    let context = context(None);
    let feed = context.feed.clone();
    let (address, _stop) = start(context).await;
    let mut stream = listen(address).await;
    read_until(&mut stream, "event: status").await;
    // The runtime has one thread, so the listener's task does not run in between.
    for i in 0..10 {
        feed.publish("gate", i.to_string());
    }
    let text = read_until(&mut stream, "data: 9").await;
    let after = |mark: &str| -> usize {
        let (_, rest) = text.split_once(mark).unwrap_or_else(|| panic!("{mark}: {text}"));
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{mark}: {text}"))
    };
    let (missed, first) =
        (after("event: missed\ndata: {\"events\":"), after("event: gate\ndata: "));
    // Four are kept. A status that is due just then is one more: among what was missed, or among the four.
    assert!(matches!((missed, first), (6, 6) | (7, 6) | (7, 7)), "{text}");
}

#[tokio::test]
async fn listeners_are_bounded_and_leave_room_for_probes() {
    let (address, _stop) = start(context(None)).await;
    let mut listeners = Vec::new();
    for _ in 0..events::LISTENERS_MAX {
        let mut stream = listen(address).await;
        read_until(&mut stream, "event: status").await;
        listeners.push(stream);
    }
    let refused = ask(address, "GET /api/v1/events HTTP/1.1").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(ask(address, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_slow_render_does_not_hold_up_the_probes() {
    let (free, rendering) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (may_end, begun) = (Arc::clone(&free), Arc::clone(&rendering));
    let mut context = context(None);
    context.metrics = Arc::new(move |_| {
        begun.store(true, Ordering::SeqCst);
        while !may_end.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        ("text/plain", String::new())
    });
    let (address, _stop) = start(context).await;
    let scrape = tokio::spawn(ask(address, "GET /metrics HTTP/1.1"));
    while !rendering.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(ask(address, "GET /livez HTTP/1.1").await.starts_with("HTTP/1.1 200"));
    free.store(true, Ordering::SeqCst);
    assert!(scrape.await.expect("answered").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn slow_and_idle_clients_are_let_go_and_the_next_gets_their_place() {
    let limits = server::Limits {
        connections: 1,
        headers: Duration::from_millis(200),
        write: Duration::from_millis(200),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(server::serve_within(limits, listener, context(None), std::future::pending()));
    for begun in ["", "GET /livez HTTP/1.1\r\nHost:"] {
        let mut slow = TcpStream::connect(address).await.expect("listening");
        slow.write_all(begun.as_bytes()).await.expect("written");
        // There is one place, so this waits until the slow client has lost it.
        let waiting = ask(address, "GET /livez HTTP/1.1");
        let answer = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("in time");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let mut rest = Vec::new();
        let ended = slow.read_to_end(&mut rest);
        // With or without an answer, and reset or closed: it must be over.
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await.expect("let go");
    }
    // A client that asked once and stays is let go like one that never asked.
    let mut idle = TcpStream::connect(address).await.expect("listening");
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut answer)).await;
    ended.expect("let go").expect("closed");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}
