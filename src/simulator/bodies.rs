//! What operations expect in a request body, and what they answer with.

use serde_json::{Value, json};

use super::settings::Shape;

/// The longest text by SMS, and elsewhere, in characters.
const SMS_CHARS_MAX: usize = 765;
const TEXT_CHARS_MAX: usize = 2_000;

/// A body that can be acted on.
#[derive(Debug, PartialEq)]
pub(super) struct Valid(Value);

/// Why a body is refused, for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Defect(pub(super) String);

pub(super) fn check(shape: Shape, body: &[u8]) -> Result<Valid, Defect> {
    if shape == Shape::Generic {
        // Nothing of it is looked at, so nothing of it is kept.
        serde_json::from_slice::<serde::de::IgnoredAny>(body).map_err(malformed)?;
        return Ok(Valid(Value::Null));
    }
    let body: Value = serde_json::from_slice(body).map_err(malformed)?;
    match shape {
        Shape::Generic => {}
        Shape::GenesysConversation => {
            required(&body, "/textBody")?;
            bounded(&body, "/textBody", TEXT_CHARS_MAX)?;
        }
        Shape::GenesysAgentless => {
            required(&body, "/fromAddress")?;
            let kind = required(&body, "/toAddressMessengerType")?;
            one_of("/toAddressMessengerType", kind, MESSENGERS)?;
            let most = if kind == "sms" { SMS_CHARS_MAX } else { TEXT_CHARS_MAX };
            bounded(&body, "/textBody", most)?;
        }
        Shape::GenesysInbound => {
            required(&body, "/channel/from/id")?;
            let kind = required(&body, "/channel/from/idType")?;
            one_of("/channel/from/idType", kind, ID_TYPES)?;
            required(&body, "/channel/time")?;
            bounded(&body, "/text", TEXT_CHARS_MAX)?;
        }
    }
    Ok(Valid(body))
}

const MESSENGERS: &[&str] = &["sms", "whatsapp", "open", "webmessaging", "apple"];
const ID_TYPES: &[&str] = &["Email", "Phone", "Opaque"];

fn malformed(error: serde_json::Error) -> Defect {
    Defect(format!("The body is not JSON: {error}"))
}

fn required<'a>(body: &'a Value, pointer: &str) -> Result<&'a str, Defect> {
    let found = body.pointer(pointer).and_then(Value::as_str).filter(|s| !s.is_empty());
    found.ok_or_else(|| Defect(format!("Missing required field [{}]", field(pointer))))
}

fn one_of(pointer: &str, value: &str, allowed: &[&str]) -> Result<(), Defect> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let (field, allowed) = (field(pointer), allowed.join(", "));
    Err(Defect(format!("Invalid value [{value}] of field [{field}]; allowed: {allowed}")))
}

fn bounded(body: &Value, pointer: &str, most: usize) -> Result<(), Defect> {
    let length = body.pointer(pointer).and_then(Value::as_str).map_or(0, |s| s.chars().count());
    if length <= most {
        return Ok(());
    }
    let field = field(pointer);
    Err(Defect(format!("Field [{field}] has {length} characters; allowed: at most {most}")))
}

fn field(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// The answer to a body that was acted on; `id` is the new message's.
pub(super) fn success(shape: Shape, Valid(body): &Valid, id: &str) -> String {
    match shape {
        Shape::Generic => format!("{{\"id\":\"{id}\"}}"),
        Shape::GenesysConversation => json!({
            "id": id,
            "direction": "outbound",
            "status": "queued",
            "textBody": body["textBody"],
        })
        .to_string(),
        Shape::GenesysAgentless => json!({
            "id": id,
            "conversationId": id,
            "fromAddress": body["fromAddress"],
            "toAddress": body["toAddress"],
            "messengerType": body["toAddressMessengerType"],
            "textBody": body["textBody"],
        })
        .to_string(),
        Shape::GenesysInbound => json!({
            "id": id,
            "channel": body["channel"],
            "type": "Text",
            "text": body["text"],
            "direction": "Inbound",
        })
        .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defect(shape: Shape, body: &Value) -> Option<String> {
        check(shape, body.to_string().as_bytes()).err().map(|Defect(text)| text)
    }

    #[test]
    fn the_users_own_payload_is_fine_for_a_generic_operation() {
        let body = json!({"to": {"id": "participant-id"}, "text": "message"});
        assert_eq!(defect(Shape::Generic, &body), None);
        assert!(check(Shape::Generic, b"{\"to\":").is_err());
    }

    #[test]
    fn required_fields_are_required() {
        let shape = Shape::GenesysConversation;
        assert_eq!(defect(shape, &json!({"textBody": "hi"})), None);
        assert_eq!(defect(shape, &json!({})), Some("Missing required field [textBody]".into()));
        let shape = Shape::GenesysInbound;
        let channel =
            json!({"from": {"id": "x", "idType": "Opaque"}, "time": "2026-01-01T00:00:00Z"});
        assert_eq!(defect(shape, &json!({"channel": channel, "text": "hi"})), None);
        for missing in ["/channel/from/id", "/channel/from/idType", "/channel/time"] {
            let mut body = json!({"channel": channel});
            *body.pointer_mut(missing).expect("there") = Value::Null;
            let expected = format!("Missing required field [{}]", field(missing));
            assert_eq!(defect(shape, &body), Some(expected));
        }
    }

    #[test]
    fn a_text_message_is_shorter_than_others() {
        let body = |kind: &str, chars| json!({"fromAddress": "+1", "toAddressMessengerType": kind, "textBody": "é".repeat(chars)});
        let shape = Shape::GenesysAgentless;
        assert_eq!(defect(shape, &body("sms", 765)), None);
        assert!(defect(shape, &body("sms", 766)).is_some());
        assert_eq!(defect(shape, &body("open", 2_000)), None);
        assert!(defect(shape, &body("open", 2_001)).is_some());
        assert!(defect(shape, &body("pigeon", 1)).is_some());
    }

    #[test]
    fn answers_are_json_with_the_id() {
        let agentless =
            json!({"fromAddress": "+1", "toAddressMessengerType": "sms", "textBody": "\""});
        let valid = Valid(agentless);
        for shape in Shape::ALL {
            let answer: Value =
                serde_json::from_str(&success(shape, &valid, "the-id")).expect("JSON");
            assert_eq!(answer["id"], "the-id", "{shape:?}");
        }
    }
}
