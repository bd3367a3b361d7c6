//! Listening, connections, and the end of both.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::service::Shared;
use super::stats::Stats;
use super::validate::Simulation;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 4_096;

/// After a failed accept (too many open files, mostly), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// For requests in flight when the simulator is told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// A simulated API, bound to its address.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// Reads the counts of a simulator in the same process.
#[derive(Clone, Debug)]
pub struct StatsHandle(Arc<Shared>);

impl StatsHandle {
    /// What `GET /simulator/stats` would say now.
    #[must_use]
    pub fn snapshot(&self) -> Stats {
        self.0.stats()
    }
}

impl Simulator {
    /// Binds to `address`, whatever the settings say; its port may be 0. To be called on a tokio
    /// runtime with I/O and time. Its clock starts here.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(simulation: Simulation, address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        Ok(Self { listener, shared: Arc::new(Shared::new(simulation)) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Its counts, to be read while it runs and afterwards.
    #[must_use]
    pub fn stats(&self) -> StatsHandle {
        StatsHandle(Arc::clone(&self.shared))
    }

    /// Serves until `shutdown` completes. Requests in flight then have a second to finish. Dropping
    /// the future ends everything at once.
    #[expect(
        clippy::disallowed_methods,
        reason = "a pause after a failed accept concerns no traffic"
    )]
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let places = Arc::new(Semaphore::new(self.places()));
        let (stop, stopped) = watch::channel(());
        let mut connections = JoinSet::new();
        loop {
            let accepted = async {
                // A closed semaphore is impossible: nobody closes it.
                let place = Arc::clone(&places).acquire_owned().await;
                (self.listener.accept().await, place)
            };
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                (accepted, place) = accepted => match accepted {
                    Ok((stream, peer)) => {
                        let shared = Arc::clone(&self.shared);
                        let stopped = stopped.clone();
                        connections.spawn(async move {
                            serve(shared, stream, peer, stopped).await;
                            drop(place);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(self.listener);
        drop(stop);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left after the grace period is aborted with the set.
        let _ = tokio::time::timeout(GRACE, all).await;
    }

    fn places(&self) -> usize {
        self.shared.simulation.settings.connections_max.clamp(1, Semaphore::MAX_PERMITS)
    }
}

/// Serves one connection. `stopped` changes when its sender is dropped.
async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stopped: watch::Receiver<()>,
) {
    shared.core().connections += 1;
    // Without it, small answers wait for the client's acknowledgement. A failure is a slow answer.
    let _ = stream.set_nodelay(true);
    let address: Arc<str> = peer.ip().to_string().into();
    let idle = shared.simulation.settings.idle_timeout.0;
    let service = service_fn(|request| {
        let (shared, address) = (Arc::clone(&shared), Arc::clone(&address));
        async move { shared.handle(&address, request).await }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stopped.changed() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if ended.is_err_and(|error| error.is_user()) {
        // Only a reset on purpose is an error of ours. With zero linger, close sends RST.
        let stream = connection.into_parts().io.into_inner();
        let _ = stream.set_zero_linger();
    }
}
