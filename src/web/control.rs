//! What is changed over HTTP, for those who started the daemon with `--web.enable-lifecycle`.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::pages::Shared;
use super::{GateOpening, Lifecycle};

/// The controls, or the answer that says why they are not to be had.
fn lifecycle<'a>(
    shared: &'a Shared,
    headers: &HeaderMap,
) -> Result<&'a Lifecycle, (StatusCode, &'static str)> {
    let Some(lifecycle) = &shared.context.lifecycle else {
        let how = "start the daemon with --web.enable-lifecycle to allow this\n";
        return Err((StatusCode::FORBIDDEN, how));
    };
    // A page of somebody else's, open in an operator's browser, must not drain the daemon.
    let foreign = |site: &HeaderValue| site != "same-origin" && site != "none";
    if headers.get("sec-fetch-site").is_some_and(foreign) {
        return Err((StatusCode::FORBIDDEN, "not from another site\n"));
    }
    Ok(lifecycle)
}

pub(super) async fn reload(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let lifecycle = match lifecycle(&shared, &headers) {
        Ok(lifecycle) => lifecycle,
        Err(forbidden) => return forbidden.into_response(),
    };
    match (lifecycle.reload)().await {
        Ok(()) => "reloaded\n".into_response(),
        Err(why) => {
            let text = format!("nothing was changed:\n{why}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

pub(super) async fn quit(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    match lifecycle(&shared, &headers) {
        Ok(lifecycle) => {
            (lifecycle.quit)();
            "draining\n".into_response()
        }
        Err(forbidden) => forbidden.into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct WhichStream {
    stream: Option<String>,
}

type StreamQuery = Result<Query<WhichStream>, axum::extract::rejection::QueryRejection>;

pub(super) async fn pause(
    State(shared): State<Shared>,
    headers: HeaderMap,
    query: StreamQuery,
) -> Response {
    set_paused(&shared, &headers, query, true).await
}

pub(super) async fn resume(
    State(shared): State<Shared>,
    headers: HeaderMap,
    query: StreamQuery,
) -> Response {
    set_paused(&shared, &headers, query, false).await
}

async fn set_paused(
    shared: &Shared,
    headers: &HeaderMap,
    query: StreamQuery,
    paused: bool,
) -> Response {
    let lifecycle = match lifecycle(shared, headers) {
        Ok(lifecycle) => lifecycle,
        Err(forbidden) => return forbidden.into_response(),
    };
    let Ok(Query(WhichStream { stream })) = query else {
        let text = "?stream=NAME for one stream, nothing for all\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    if !(lifecycle.pause)(stream, paused).await {
        return (StatusCode::NOT_FOUND, "no stream of that name\n").into_response();
    }
    if paused { "paused\n" } else { "resumed\n" }.into_response()
}

#[derive(Deserialize)]
pub(super) struct WhichGate {
    gate: String,
}

pub(super) async fn open_gate(
    State(shared): State<Shared>,
    headers: HeaderMap,
    query: Result<Query<WhichGate>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let lifecycle = match lifecycle(&shared, &headers) {
        Ok(lifecycle) => lifecycle,
        Err(forbidden) => return forbidden.into_response(),
    };
    let Ok(Query(WhichGate { gate })) = query else {
        let text = "say which: /-/gates/open?gate=NAME, as /api/v1/status shows it\n";
        return (StatusCode::BAD_REQUEST, text).into_response();
    };
    match (lifecycle.open_gate)(gate).await {
        GateOpening::Opened => "the pause is over\n".into_response(),
        GateOpening::NotLong => {
            let text = "not in a long pause; shorter ones are sat out\n";
            (StatusCode::CONFLICT, text).into_response()
        }
        GateOpening::Unknown => (StatusCode::NOT_FOUND, "no gate of that name\n").into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct WhichLevel {
    level: String,
}

pub(super) async fn set_log_level(
    State(shared): State<Shared>,
    headers: HeaderMap,
    query: Result<Query<WhichLevel>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let lifecycle = match lifecycle(&shared, &headers) {
        Ok(lifecycle) => lifecycle,
        Err(forbidden) => return forbidden.into_response(),
    };
    match query {
        Ok(Query(WhichLevel { level })) if (lifecycle.set_log_level)(&level) => {
            format!("logging at {level} until the next reload\n").into_response()
        }
        _ => {
            let text = "say which: /-/log/level?level=error, warn, info, debug or trace\n";
            (StatusCode::BAD_REQUEST, text).into_response()
        }
    }
}
