//! A server that does what the simulated API cannot: it answers as a test scripts it, request by
//! request, and remembers every byte of what came.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /messages HTTP/1.1`
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// When it had been read.
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The message's id, out of the trace context.
    pub(crate) fn message(&self) -> &str {
        let traceparent = self.header("traceparent").expect("a trace context");
        traceparent.split('-').nth(1).expect("a trace id")
    }
}

/// What to do about it.
#[allow(dead_code, reason = "each crate that includes this file uses its part")]
pub(crate) enum Reply {
    /// A status and further header lines.
    Status(u16, String),
    /// 200 and this body.
    Json(String),
    /// A status and a body.
    Body(u16, String),
    /// Nothing at all, until the client gives up.
    Stall,
    /// The connection is closed without a word.
    Close,
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::Status(200, String::new())
    }
}

type Seen = Arc<Mutex<Vec<Request>>>;
type Script = dyn Fn(usize, &Request) -> Reply + Send + Sync;

/// The server. Its threads end with the process or with their connections.
pub(crate) struct Scripted {
    pub(crate) url: String,
    seen: Seen,
}

impl Scripted {
    /// `script` is told the number of the request, from 0, and the request.
    pub(crate) fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let seen = Seen::default();
        let (log, script) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &log, &*script));
            }
        });
        Self { url, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.seen).len()
    }
}

fn lock(seen: &Seen) -> MutexGuard<'_, Vec<Request>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one connection until it ends.
fn serve(stream: &TcpStream, seen: &Seen, script: &Script) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut seen = lock(seen);
            seen.push(request.clone());
            seen.len() - 1
        };
        match script(number, &request) {
            Reply::Status(status, headers) => {
                if answer(stream, status, &headers, "{}").is_err() {
                    return;
                }
            }
            Reply::Json(body) => {
                if answer(stream, 200, "content-type: application/json\r\n", &body).is_err() {
                    return;
                }
            }
            Reply::Body(status, body) => {
                let length = body.len();
                let whole =
                    format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n\r\n{body}");
                let mut out: &TcpStream = stream;
                if out.write_all(whole.as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Stall => {
                // Until the other side closes.
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
            Reply::Close => return,
        }
    }
}

fn answer(mut stream: &TcpStream, status: u16, headers: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all((head + body).as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "real requests come in real time")]
fn read(reader: &mut impl BufRead) -> Option<Request> {
    let line = text(reader).filter(|line| !line.is_empty())?;
    let mut headers = Vec::new();
    loop {
        let line = text(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { line, headers, body: Vec::new(), at: Instant::now() };
    let length = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    request.at = Instant::now();
    Some(request)
}

fn text(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    Some(line.trim_end().to_owned())
}
