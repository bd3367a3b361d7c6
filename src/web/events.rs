//! Server-sent events: a snapshot once a second while somebody listens, and changes as they happen.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::history::{History, PERIOD_S};
use super::pages::{STATUS_TIMEOUT, Shared};
use super::{LiveEvent, WebContext};
use crate::model::Status;

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

/// The past hour: samples, and the events that stay worth knowing.
pub(super) async fn history(State(shared): State<Shared>) -> Response {
    let told = shared.context.feed.lasting();
    let event = |e: &Arc<LiveEvent>| format!(r#"{{"kind":"{}","data":{}}}"#, e.kind, e.json);
    let events: Vec<String> = told.iter().map(event).collect();
    let (samples, events) = (shared.history.json(), events.join(","));
    let body =
        format!(r#"{{"period_seconds":{PERIOD_S},"samples":{samples},"events":[{events}]}}"#);
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Publishes a snapshot once a second, for all listeners together and only while there are some; keeps one for
/// the history every few seconds.
#[expect(clippy::disallowed_methods, reason = "people who watch are told in real time")]
pub(super) async fn poll_status(
    context: WebContext,
    history: History,
    mut closed: watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut since_kept_s = 0.0;
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            _ = ticks.tick() => {}
        }
        since_kept_s += PERIOD.as_secs_f64();
        let wanted = context.feed.wanted();
        if !wanted && since_kept_s <= PERIOD_S {
            continue;
        }
        let Some(status) = status(&context).await else { continue };
        if since_kept_s > PERIOD_S {
            history.keep(&status);
            since_kept_s = PERIOD.as_secs_f64();
        }
        if wanted && let Ok(json) = serde_json::to_string(&status) {
            context.feed.publish("status", json);
        }
    }
}

async fn snapshot(context: &WebContext) -> Option<String> {
    serde_json::to_string(&status(context).await?).ok()
}

async fn status(context: &WebContext) -> Option<Status> {
    tokio::time::timeout(STATUS_TIMEOUT, (context.status)()).await.ok()?
}
