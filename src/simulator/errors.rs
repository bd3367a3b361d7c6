//! Error answers: Genesys Cloud's ErrorBody, or problem details (RFC 9457).

use std::time::Duration;

use serde_json::{Value, json};

use super::advice::ceil_seconds;
use super::settings::ErrorShape;
use super::settings_limits::Refusal;
use super::validate::Limit;
use crate::limiter::Quota;

/// An error in words.
#[derive(Debug)]
pub(super) struct Trouble<'a> {
    pub(super) status: u16,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

pub(super) const fn content_type(shape: ErrorShape) -> &'static str {
    match shape {
        ErrorShape::Genesys => "application/json",
        ErrorShape::ProblemJson => "application/problem+json",
    }
}

/// `context` is the correlation id.
pub(super) fn body(shape: ErrorShape, trouble: &Trouble<'_>, context: &str) -> String {
    match shape {
        ErrorShape::Genesys => genesys(trouble, context).to_string(),
        ErrorShape::ProblemJson => json!({
            "type": "about:blank",
            "title": trouble.message,
            "status": trouble.status,
            "code": trouble.code,
        })
        .to_string(),
    }
}

fn genesys(trouble: &Trouble<'_>, context: &str) -> Value {
    json!({
        "message": trouble.message,
        "code": trouble.code,
        "status": trouble.status,
        "messageWithParams": trouble.message,
        "messageParams": {},
        "contextId": context,
        "details": [],
        "errors": [],
    })
}

pub(super) const fn status(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::TooManyRequests => 429,
        Refusal::ServiceUnavailable => 503,
        Refusal::OutboundUsage => 409,
        Refusal::ConversationLimit => 400,
    }
}

/// The body of a refusal by `limit`, which advises to return after `advised` seconds, if at all.
pub(super) fn refusal(
    shape: ErrorShape,
    limit: &Limit,
    quota: Option<&Quota>,
    advised: Option<u64>,
    context: &str,
) -> String {
    let status = status(limit.refusal);
    let size = quota.map(|q| q.limit).unwrap_or_default();
    let window = quota.map_or(Duration::ZERO, |q| q.window);
    if matches!(shape, ErrorShape::ProblemJson) {
        return json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "title": "Request cannot be satisfied as assigned quota has been exceeded",
            "status": status,
            "violated-policies": [&*limit.layer.name],
        })
        .to_string();
    }
    let (code, message) = match (limit.refusal, advised) {
        (Refusal::OutboundUsage, _) => (
            "organization.outbound.usage.limit.exceeded",
            "The organization's limit of outbound usage was exceeded".to_owned(),
        ),
        (Refusal::ConversationLimit, _) => (
            "conversation.message.limit.exceeded",
            "The conversation's limit of messages was exceeded".to_owned(),
        ),
        (Refusal::ServiceUnavailable, _) => {
            ("service.unavailable", "The service is unavailable".to_owned())
        }
        (Refusal::TooManyRequests, Some(seconds)) => (
            "too.many.requests.retry.after",
            format!("Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"),
        ),
        (Refusal::TooManyRequests, None) => (
            "too.many.requests",
            format!(
                "Rate limit exceeded the maximum [{size}] requests within [{}] seconds",
                ceil_seconds(window)
            ),
        ),
    };
    let mut body = genesys(&Trouble { status, code, message: &message }, context);
    let mut named = json!({"key": &*limit.key, "value": size.to_string()});
    if !limit.namespace.is_empty() {
        named["namespace"] = json!(&*limit.namespace);
    }
    body["limit"] = named;
    body.to_string()
}
