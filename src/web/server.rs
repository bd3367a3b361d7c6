//! Accepts connections, within bounds, and ends them when told to.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::history::History;
use super::timeout::WriteTimeout;
use super::{Security, WebContext, events, pages};

/// What one client, and all together, may take.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once. Scrapers, probes and a few people need far fewer.
    pub(super) connections: usize,
    /// From the start of a connection, or the end of the previous request on it, until the headers of
    /// the next are complete.
    pub(super) headers: Duration,
    /// Without the client reading anything.
    pub(super) write: Duration,
}

const LIMITS: Limits =
    Limits { connections: 128, headers: Duration::from_secs(10), write: Duration::from_secs(10) };
/// Request line and header fields together; far beyond what a browser with cookies sends.
const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// After the end of `shutdown`, for responses that are on their way.
const LINGER: Duration = Duration::from_secs(2);
/// After an accept failed, as it does when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` completes and the open connections have ended, which is bounded too. A
/// connection that fails ends alone, so there is no error to return.
pub async fn serve(
    listener: TcpListener,
    context: WebContext,
    shutdown: impl Future<Output = ()> + Send,
) {
    serve_within(LIMITS, listener, context, shutdown).await;
}

#[expect(clippy::disallowed_methods, reason = "a pause after a failed accept concerns no traffic")]
pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    context: WebContext,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (closing, closed) = watch::channel(false);
    let history = History::default();
    let polling = events::poll_status(context.clone(), history.clone(), closed.clone());
    let poller = tokio::spawn(polling);
    let security = context.security.clone();
    let app = pages::router(context, history, closed.clone());
    let places = Arc::new(Semaphore::new(limits.connections));
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let serving = Serving { limits, app: app.clone(), closed: closed.clone() };
                tokio::spawn(connection(serving, stream, security.clone(), place));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // Fails only when nobody is there to be told.
    let _ = closing.send(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(LINGER, places.acquire_many(all)).await;
    poller.abort();
}

/// Waits for a place first, so that connections beyond the bound wait in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// What a connection is served with.
struct Serving {
    limits: Limits,
    app: Router,
    closed: watch::Receiver<bool>,
}

async fn connection(
    serving: Serving,
    stream: TcpStream,
    security: Security,
    _place: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    match security.guard().tls.clone() {
        None => serving.serve(stream).await,
        Some(tls) => {
            let shaking = TlsAcceptor::from(tls).accept(stream);
            // What a client does wrong ends its connection and concerns nobody else.
            if let Ok(Ok(stream)) = tokio::time::timeout(serving.limits.headers, shaking).await {
                serving.serve(stream).await;
            }
        }
    }
}

impl Serving {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self { limits, app, mut closed } = self;
        let io = TokioIo::new(WriteTimeout::new(stream, limits.write));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.headers)
            .max_buf_size(REQUEST_HEAD_BYTES_MAX)
            .serve_connection(io, TowerToHyperService::new(app));
        tokio::pin!(connection);
        tokio::select! {
            // What a client does wrong ends its connection and concerns nobody else.
            _ = connection.as_mut() => return,
            _ = closed.wait_for(|closed| *closed) => connection.as_mut().graceful_shutdown(),
        }
        let _ = tokio::time::timeout(LINGER, connection).await;
    }
}
