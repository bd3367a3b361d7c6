//! The server that both sides send to: HTTP/1.1 on one thread, in a process of its own.
//!
//! It notes when each request arrived and says so at the end. It must not know who sends, nor judge what it saw.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use crate::Result;
use crate::clock::now_ns;

/// Where the arrivals are read.
pub(crate) const ARRIVALS_PATH: &str = "/arrivals";

/// Arrivals that are noted, 32 MiB of them; later ones are answered all the same. Three times what the longest turn
/// at the highest rate brings.
const ARRIVALS_MAX: usize = 4 << 20;

const ANSWER: &[u8] = br#"{"id":"message-id"}"#;

struct Arrivals {
    /// Monotonic nanoseconds. The room is taken at the start, so that noting one never allocates.
    at_ns: RefCell<Vec<u64>>,
    service: Option<Rc<ServiceTime>>,
}

/// Serves until standard input ends, which it does when whoever started this is gone. Says its port on standard output.
pub(crate) fn run(service_us: u64) -> Result<()> {
    std::thread::spawn(|| {
        let mut nothing = [0; 1];
        // An error and the end mean the same: nobody is there any more.
        let _ = std::io::stdin().read(&mut nothing);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(Duration::from_micros(service_us)))
}

async fn serve(service: Duration) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let service = if service.is_zero() { None } else { Some(ServiceTime::start(service)?) };
    let at_ns = RefCell::new(Vec::with_capacity(ARRIVALS_MAX));
    let arrivals = Rc::new(Arrivals { at_ns, service });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let arrivals = Rc::clone(&arrivals);
        spawn_local(async move {
            let answer = service_fn(move |request| answer(Rc::clone(&arrivals), request));
            // A connection that the client drops is no news: both sides end their turn that way.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    arrivals: Rc<Arrivals>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    // First of all: hyper calls this as soon as it has parsed the head.
    let arrived_ns = now_ns();
    if request.uri().path() == ARRIVALS_PATH {
        let list = arrivals.at_ns.borrow().iter().flat_map(|at| at.to_le_bytes()).collect();
        return Ok(Response::new(Full::new(list)));
    }
    {
        let mut at_ns = arrivals.at_ns.borrow_mut();
        if at_ns.len() < at_ns.capacity() {
            at_ns.push(arrived_ns);
        }
    }
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    if let Some(service) = &arrivals.service {
        service.pass(arrived_ns).await;
    }
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER)));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// A service time that is the same for all, kept to some tens of microseconds: tokio's own timers round up to a
/// millisecond, and sleeping on the thread would hold up everybody else.
struct ServiceTime {
    length_ns: u64,
    timer: AsyncFd<OwnedFd>,
    /// Whom to wake and when; equal lengths keep it in order. The timer is set for the first of them.
    waiting: RefCell<VecDeque<(u64, oneshot::Sender<()>)>>,
    broken: Cell<bool>,
}

impl ServiceTime {
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function, for types whose descriptor may change; an OwnedFd's cannot"
    )]
    fn start(length: Duration) -> Result<Rc<Self>> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let this = Rc::new(Self {
            length_ns: u64::try_from(length.as_nanos())?,
            timer: AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?,
            waiting: RefCell::default(),
            broken: Cell::new(false),
        });
        let driver = Rc::clone(&this);
        spawn_local(async move {
            if let Err(e) = driver.drive().await {
                eprintln!("service time: {e}");
                driver.broken.set(true);
                driver.waiting.borrow_mut().clear();
            }
        });
        Ok(this)
    }

    async fn pass(&self, from_ns: u64) {
        if self.broken.get() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let until_ns = from_ns + self.length_ns;
        let first = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push_back((until_ns, wake));
            waiting.len() == 1
        };
        if first {
            // The timer exists and the time is valid, so this cannot fail; if it did, the turn's count would show it.
            let _ = self.arm(until_ns);
        }
        // An error means that the driver has given up, and said so.
        let _ = woken.await;
    }

    async fn drive(&self) -> Result<()> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut expirations = [0; 8];
            // The number says nothing here; reading it is what makes the timer unready.
            let _ = rustix::io::read(self.timer.get_ref(), &mut expirations);
            ready.clear_ready();
            let now = now_ns();
            let mut waiting = self.waiting.borrow_mut();
            while waiting.front().is_some_and(|(until_ns, _)| *until_ns <= now) {
                if let Some((_, wake)) = waiting.pop_front() {
                    // The client may have gone away meanwhile.
                    let _ = wake.send(());
                }
            }
            if let Some((until_ns, _)) = waiting.front() {
                self.arm(*until_ns)?;
            }
        }
    }

    fn arm(&self, at_ns: u64) -> Result<()> {
        let value = Timespec {
            tv_sec: i64::try_from(at_ns / 1_000_000_000)?,
            tv_nsec: i64::try_from(at_ns % 1_000_000_000)?,
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }
}
