//! What is changed over HTTP, for those who started the daemon with `--web.enable-lifecycle`.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::pages::Shared;
use super::{GateOpening, Lifecycle};

/// The controls, or the answer that says how to get them.
fn lifecycle(shared: &Shared) -> Result<&Lifecycle, (StatusCode, &'static str)> {
    let forbidden =
        (StatusCode::FORBIDDEN, "start the daemon with --web.enable-lifecycle to allow this\n");
    shared.context.lifecycle.as_ref().ok_or(forbidden)
}

pub(super) async fn reload(State(shared): State<Shared>) -> Response {
    let lifecycle = match lifecycle(&shared) {
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

pub(super) async fn quit(State(shared): State<Shared>) -> Response {
    match lifecycle(&shared) {
        Ok(lifecycle) => {
            (lifecycle.quit)();
            "draining\n".into_response()
        }
        Err(forbidden) => forbidden.into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct WhichGate {
    gate: String,
}

pub(super) async fn open_gate(
    State(shared): State<Shared>,
    query: Result<Query<WhichGate>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let lifecycle = match lifecycle(&shared) {
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
