//! What is read: metrics, health, configuration, status, and the index of it all.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::watch;

use super::history::History;
use super::{WebContext, control, events, page, protect};

/// For the send loop to answer with a snapshot.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) context: WebContext,
    pub(super) history: History,
    pub(super) listeners: Arc<tokio::sync::Semaphore>,
    pub(super) closed: watch::Receiver<bool>,
}

pub(super) fn router(
    context: WebContext,
    history: History,
    closed: watch::Receiver<bool>,
) -> Router {
    let listeners = Arc::new(tokio::sync::Semaphore::new(events::LISTENERS_MAX));
    let security = context.security.clone();
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/metrics", get(metrics))
        .route("/livez", get(live))
        .route("/-/healthy", get(live))
        .route("/readyz", get(ready))
        .route("/-/ready", get(ready))
        .route("/config", get(config))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(events::events))
        .route("/api/v1/history", get(events::history))
        .route("/-/reload", post(control::reload))
        .route("/-/quit", post(control::quit))
        .route("/-/pause", post(control::pause))
        .route("/-/resume", post(control::resume))
        .route("/-/gates/open", post(control::open_gate))
        .route("/-/log/level", post(control::set_log_level))
        .layer(axum::middleware::from_fn_with_state(security, protect::protect))
        .with_state(Shared { context, history, listeners, closed })
}

async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let render = Arc::clone(&shared.context.metrics);
    // Thousands of series take milliseconds, in which the probes must still be answered.
    match tokio::task::spawn_blocking(move || render(accept.as_deref())).await {
        Ok((content_type, body)) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "rendering failed\n").into_response(),
    }
}

async fn live(State(shared): State<Shared>) -> Response {
    if (shared.context.alive)() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the send loop has not woken for too long\n").into_response()
}

async fn ready(State(shared): State<Shared>) -> Response {
    match (shared.context.ready)() {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn config(State(shared): State<Shared>) -> String {
    (shared.context.config)()
}

async fn status(State(shared): State<Shared>) -> Response {
    let asked = (shared.context.status)();
    match tokio::time::timeout(STATUS_TIMEOUT, asked).await {
        Ok(Some(status)) => Json(status).into_response(),
        Ok(None) | Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the send loop did not answer\n").into_response()
        }
    }
}
