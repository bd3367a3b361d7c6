//! Servers that answer with bytes, and not always with HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A server whose connections are each given to a function, once a request's head has been read.
pub(crate) struct Wire {
    pub(crate) url: String,
    pub(crate) requests: Arc<AtomicUsize>,
    /// Bytes of answers that the other side's system took.
    pub(crate) taken: Arc<AtomicU64>,
}

impl Wire {
    /// On a free port of loopback.
    pub(crate) fn start(answer: impl Fn(&mut Answering<'_>) + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answer)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        answer: impl Fn(&mut Answering<'_>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (requests, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let answer = Arc::new(answer);
        let (seen, written) = (Arc::clone(&requests), Arc::clone(&taken));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, seen, written) =
                    (Arc::clone(&answer), Arc::clone(&seen), Arc::clone(&written));
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while read(&mut reader).is_some() {
                        seen.fetch_add(1, Ordering::SeqCst);
                        let mut answering =
                            Answering { stream: &stream, taken: &written, on: true };
                        answer(&mut answering);
                        if !answering.on {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests, taken }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// One answer being given.
pub(crate) struct Answering<'a> {
    pub(crate) stream: &'a TcpStream,
    taken: &'a AtomicU64,
    on: bool,
}

impl Answering<'_> {
    /// Writes; false when nobody takes it any more. The connection then ends.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        let mut stream = self.stream;
        self.on = self.on && stream.write_all(bytes).is_ok();
        if self.on {
            self.taken.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        self.on
    }

    /// A plain 200.
    pub(crate) fn ok(&mut self) {
        self.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    }

    /// The connection ends after this answer.
    pub(crate) fn end(&mut self) {
        self.on = false;
    }
}

/// Reads a request with its body; the value of its first line.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = n.parse().ok()?;
        }
        first.get_or_insert_with(|| line.to_owned());
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    first
}
