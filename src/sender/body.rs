//! What the JSON body of a refusal says: when to come back, which limit it was, and vendors' codes
//! for "throttled" under another status.
//!
//! Pure. Every field is optional and of any type, because the body is the server's.

use std::time::Duration;

use serde_json::Value;

use super::figure;
use super::hints::{blank, name};
use super::settings::{BodyMatch, ThrottleDialect};
use crate::model::{Advice, AdviceSource, Dialect, NamedLimit, QuotaHint};

/// WhatsApp Business: throughput of the number, and rate to one recipient. Both come as HTTP 400
/// too. The numbers are peculiar enough to be recognised at any target.
const WHATSAPP_THROTTLES: [i64; 2] = [130_429, 131_056];
/// Genesys Cloud refuses for a limit under these two statuses besides 429.
const GENESYS_THROTTLES: [(u16, &str); 2] = [
    (409, "organization.outbound.usage.limit.exceeded"),
    (400, "conversation.message.limit.exceeded"),
];

/// Parses a body that may be a JSON object; `None` where it is not one.
pub(super) fn parse(body: &[u8]) -> Option<Value> {
    // Error pages are HTML more often than not; those are not worth a parser's error.
    let first = body.iter().find(|b| !b.is_ascii_whitespace());
    if first != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(body).ok()
}

/// Whether a success's body is what the target asks for.
pub(super) fn matches(condition: &BodyMatch, body: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return false };
    let Some(found) = value.pointer(&condition.pointer) else { return false };
    match &condition.equals {
        None => !found.is_null(),
        // 1 and 1.0 are the same JSON number, which `Value` does not say.
        Some(Value::Number(wanted)) => found.as_f64().is_some_and(|f| wanted.as_f64() == Some(f)),
        Some(wanted) => found == wanted,
    }
}

/// Whether the body says "throttled" where the status does not.
pub(super) fn says_throttled(status: u16, body: &Value, dialect: ThrottleDialect) -> bool {
    let code = body.pointer("/error/code").and_then(Value::as_i64);
    if code.is_some_and(|code| WHATSAPP_THROTTLES.contains(&code)) {
        return true;
    }
    // GitHub's secondary limits come as 403 and without any header; only the sentence tells.
    if status == 403 && message(body).is_some_and(|text| text.contains("rate limit")) {
        return true;
    }
    let code = body.get("code").and_then(Value::as_str);
    dialect == ThrottleDialect::Genesys
        && GENESYS_THROTTLES.iter().any(|(s, c)| *s == status && code == Some(*c))
}

/// When to come back: Discord's `retry_after` in seconds, or the number in Genesys' message.
pub(super) fn advice(body: &Value) -> Advice {
    if let Some(value) = body.get("retry_after") {
        let seconds = value.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
        return seconds.map_or(Advice::Unreadable, |d| Advice::Wait(d, AdviceSource::Body));
    }
    message(body)
        .and_then(|text| number_after(text, "Retry the request in"))
        .and_then(|(number, rest)| rest.trim_start().starts_with("second").then_some(number))
        .map_or(Advice::Absent, |s| Advice::Wait(Duration::from_secs(s), AdviceSource::Body))
}

/// The limit that Genesys spells out: "maximum `[N]` requests within `[M]` seconds".
pub(super) fn quota(body: &Value) -> Option<QuotaHint> {
    let (limit, rest) = number_after(message(body)?, "maximum")?;
    let (window, rest) = number_after(rest, "requests within")?;
    rest.trim_start().starts_with("second").then(|| QuotaHint {
        limit: Some(limit),
        window: Some(Duration::from_secs(window)),
        ..blank(Dialect::Body)
    })
}

/// The limit that the refusal names: Genesys' `limit` object, or the policies that a problem
/// document (RFC 9457) of type `quota-exceeded` lists as violated.
pub(super) fn named_limit(body: &Value, dialect: ThrottleDialect) -> Option<NamedLimit> {
    if dialect == ThrottleDialect::Genesys
        && let Some(limit) = body.get("limit")
    {
        let field = |key: &str| match limit.get(key)? {
            Value::String(text) => name(text),
            Value::Number(number) => name(&number.to_string()),
            _ => None,
        };
        let (namespace, value) = (field("namespace"), field("value"));
        return field("key").map(|key| NamedLimit { key, namespace, value });
    }
    let violated = body.get("violated-policies")?.as_array()?;
    let policies: Vec<&str> = violated.iter().take(8).filter_map(Value::as_str).collect();
    Some(NamedLimit { key: name(&policies.join(","))?, namespace: None, value: None })
}

fn message(body: &Value) -> Option<&str> {
    body.get("message").and_then(Value::as_str)
}

/// The whole number that follows `phrase`, with or without brackets, and what comes after it.
fn number_after<'t>(text: &'t str, phrase: &str) -> Option<(u64, &'t str)> {
    let (_, rest) = text.split_once(phrase)?;
    let rest = rest.trim_start().trim_start_matches('[');
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    let number = figure::count(digits).ok().flatten()?;
    Some((number, rest.trim_start_matches(']')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn wait(body: &Value) -> Option<Duration> {
        advice(body).wait()
    }

    #[test]
    fn advice_in_bodies() {
        let discord = json!({"message": "You are being rate limited.", "retry_after": 64.57});
        assert_eq!(wait(&discord), Some(Duration::from_millis(64_570)));
        for message in [
            "Rate limit exceeded the maximum. Retry the request in [30] seconds",
            "Rate limit exceeded the maximum. Retry the request in 30 seconds",
        ] {
            assert_eq!(wait(&json!({ "message": message })), Some(Duration::from_secs(30)));
        }
        for silent in [json!({}), json!({"message": "Retry the request in [30] weeks"}), json!([])]
        {
            assert_eq!(advice(&silent), Advice::Absent, "{silent}");
        }
        for garbage in [json!(-1), json!("soon"), json!(null), json!(1e300)] {
            let body = json!({ "retry_after": garbage });
            assert_eq!(advice(&body), Advice::Unreadable, "{body}");
        }
    }

    #[test]
    fn genesys_spells_the_quota_out() {
        let text = "Rate limit exceeded the maximum [300] requests within [60] seconds";
        let hint = quota(&json!({ "message": text })).expect("a quota");
        assert_eq!((hint.limit, hint.window), (Some(300), Some(Duration::from_secs(60))));
        assert_eq!(quota(&json!({"message": "the maximum was exceeded"})), None);
    }

    #[test]
    fn limits_with_names() {
        let genesys = json!({"limit": {"key": "token.rate.per.minute", "namespace": "platform.api", "value": 300}});
        let named = named_limit(&genesys, ThrottleDialect::Genesys).expect("a limit");
        assert_eq!((&*named.key, named.value.as_deref()), ("token.rate.per.minute", Some("300")));
        assert_eq!(named.namespace.as_deref(), Some("platform.api"));
        assert_eq!(named_limit(&genesys, ThrottleDialect::Standard), None);
        let problem =
            json!({"title": "quota exceeded", "violated-policies": ["burst", "daily", 7]});
        let named = named_limit(&problem, ThrottleDialect::Standard).expect("policies");
        assert_eq!(&*named.key, "burst,daily");
        let none = json!({"violated-policies": []});
        assert_eq!(named_limit(&none, ThrottleDialect::Standard), None);
    }

    #[test]
    fn a_success_can_be_asked_to_say_so() {
        let body = br#"{"status": "queued", "n": 1.0, "id": null, "list": [{"ok": true}]}"#;
        let check = |pointer: &str, equals: Option<Value>| {
            matches(&BodyMatch { pointer: pointer.into(), equals }, body)
        };
        assert!(check("/status", Some(json!("queued"))));
        assert!(check("/status", None));
        assert!(check("/n", Some(json!(1))));
        assert!(check("/list/0/ok", Some(json!(true))));
        assert!(!check("/status", Some(json!("failed"))));
        assert!(!check("/id", None));
        assert!(!check("/absent", None));
        let condition = BodyMatch { pointer: String::new(), equals: None };
        assert!(!matches(&condition, b"<html>"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes).is_none_or(|v| v.is_object()));
        }

        #[test]
        fn no_message_makes_it_panic(
            text in "(maximum|Retry the request in)? ?\\[?[0-9]{0,25}\\]?(requests within|seconds)?.{0,20}"
        ) {
            let body = json!({ "message": text });
            let _ = (advice(&body), quota(&body));
        }

        #[test]
        fn names_are_bounded(key in ".{0,300}", value in any::<f64>()) {
            let body = json!({"limit": {"key": key, "value": value, "namespace": [1]}});
            if let Some(named) = named_limit(&body, ThrottleDialect::Genesys) {
                prop_assert!(named.key.chars().count() <= 64);
                prop_assert!(!named.key.chars().any(char::is_control));
            }
        }
    }
}
