//! Server-sent events: a snapshot once a second while somebody listens, and changes as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::pages::{STATUS_TIMEOUT, Shared};
use super::{LiveEvent, WebContext};

/// People who may listen at once; few enough to leave connections for scrapes and probes.
pub(super) const LISTENERS_MAX: usize = 32;
/// Between two snapshots.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) async fn events(State(shared): State<Shared>) -> Response {
    let Ok(place) = Arc::clone(&shared.listeners).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many listeners\n").into_response();
    };
    let feed = shared.context.feed.listen();
    // The first snapshot at once; the next ones come with the feed.
    let first = snapshot(&shared.context).await;
    let listener = Listener { first, feed, closed: shared.closed, _place: place };
    Sse::new(told(listener)).keep_alive(KeepAlive::default()).into_response()
}

struct Listener {
    first: Option<String>,
    feed: Receiver<Arc<LiveEvent>>,
    closed: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// What one listener is told, until the server closes.
fn told(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, |mut listener| async move {
        if let Some(json) = listener.first.take() {
            return Some((Ok(Event::default().event("status").data(json)), listener));
        }
        let next = tokio::select! {
            _ = listener.closed.wait_for(|closed| *closed) => return None,
            next = listener.feed.recv() => next,
        };
        let event = match next {
            Ok(live) => Event::default().event(live.kind).data(&live.json),
            Err(RecvError::Lagged(missed)) => {
                Event::default().event("missed").data(format!("{{\"events\":{missed}}}"))
            }
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), listener))
    })
}

/// Publishes a snapshot once a second, for all listeners together and only while there are some.
#[expect(clippy::disallowed_methods, reason = "people who watch are told in real time")]
pub(super) async fn poll_status(context: WebContext, mut closed: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            _ = ticks.tick() => {}
        }
        if context.feed.wanted()
            && let Some(json) = snapshot(&context).await
        {
            context.feed.publish("status", json);
        }
    }
}

async fn snapshot(context: &WebContext) -> Option<String> {
    let status = tokio::time::timeout(STATUS_TIMEOUT, (context.status)()).await.ok()??;
    serde_json::to_string(&status).ok()
}
