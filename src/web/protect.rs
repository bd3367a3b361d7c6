//! What holds for every request and every response, whatever the path.

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::auth::Access;
use super::security::Security;

/// No request to this surface needs a body.
pub(super) const BODY_BYTES_MAX: u64 = 64 * 1024;

/// They tell no more than that the daemon is there, and a kubelet asks them without a password.
const OPEN_TO_ALL: [&str; 4] = ["/livez", "/readyz", "/-/healthy", "/-/ready"];

/// Scripts and styles come from this server's own files, nothing is framed, and nothing leaves.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) async fn protect(
    State(security): State<Security>,
    request: Request,
    next: Next,
) -> Response {
    let guard = security.guard();
    let mut response =
        match refusal(&security, &guard.users, request.headers(), request.uri().path()).await {
            Some(refusal) => refusal,
            None => next.run(request).await,
        };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in &guard.headers {
        headers.insert(name, value.clone());
    }
    response
}

async fn refusal(
    security: &Security,
    users: &HashMap<String, String>,
    headers: &HeaderMap,
    path: &str,
) -> Option<Response> {
    if too_long(headers) {
        return Some((StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n").into_response());
    }
    if users.is_empty() || OPEN_TO_ALL.contains(&path) {
        return None;
    }
    match security.passwords.check(users, headers).await {
        Access::Allowed => None,
        Access::Refused => {
            let ask = [(header::WWW_AUTHENTICATE, "Basic")];
            Some((StatusCode::UNAUTHORIZED, ask, "Unauthorized\n").into_response())
        }
        Access::Busy => {
            let text = "too many passwords to check\n";
            Some((StatusCode::SERVICE_UNAVAILABLE, text).into_response())
        }
    }
}

/// Whether a body is announced that is too long, or whose length is not told at all.
fn too_long(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).map(|value| {
        value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX)
    });
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length > BODY_BYTES_MAX)
}
