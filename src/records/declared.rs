//! What a declared-limits API answered, such as Genesys Cloud's `/api/v2/organizations/limits/namespaces/{ns}`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::infer::study::Named;

/// More limits are not kept.
const LIMITS_MAX: usize = 1_000;

/// The limits of a JSON document, wherever they are in it: objects with a `key` and a `value` (or `defaultValue`), and perhaps
/// a `namespace`; or members whose name has a point in it and whose value is a number, such as
/// `{"token.rate.per.minute": 300}`.
///
/// # Errors
/// It is no JSON, or holds no limit.
pub fn declared_limits(text: &str) -> Result<Vec<Named>, String> {
    let document: Value = serde_json::from_str(text).map_err(|e| format!("is no JSON: {e}"))?;
    let mut found = BTreeSet::new();
    collect(&document, &mut found);
    if found.is_empty() {
        return Err(
            "holds no limit: objects with \"key\" and \"value\" are looked for, or members \
                    such as \"token.rate.per.minute\": 300"
                .to_owned(),
        );
    }
    Ok(found.into_iter().take(LIMITS_MAX).collect())
}

/// Of declared limits those that are about rates, or that a refusal named.
#[must_use]
pub fn of_rates(declared: Vec<Named>, named: &[(Named, u64)]) -> Vec<Named> {
    let matters = |limit: &Named| {
        let key = limit.key.to_ascii_lowercase();
        key.contains("rate") || named.iter().any(|(refused, _)| refused.key == limit.key)
    };
    declared.into_iter().filter(matters).collect()
}

fn collect(value: &Value, found: &mut BTreeSet<Named>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, found)),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
            let number = members.get("value").or_else(|| members.get("defaultValue"));
            if let (Some(key), Some(value)) = (text("key"), number.and_then(as_written)) {
                found.insert(Named { key, namespace: text("namespace"), value: Some(value) });
                return;
            }
            for (name, member) in members {
                match member {
                    Value::Number(number) if name.contains('.') => {
                        let value = Some(number.to_string());
                        found.insert(Named { key: name.clone(), namespace: None, value });
                    }
                    _ => collect(member, found),
                }
            }
        }
        _ => {}
    }
}

/// A number, or a number in quotes.
fn as_written(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => text.trim().parse::<f64>().ok().map(|_| text.trim().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str, namespace: Option<&str>, value: &str) -> Named {
        let namespace = namespace.map(str::to_owned);
        Named { key: key.to_owned(), namespace, value: Some(value.to_owned()) }
    }

    #[test]
    fn limits_are_found_wherever_they_are() {
        let text = r#"{"entities":[
            {"key":"token.rate.per.minute","namespace":"platform.api","value":300},
            {"key":"request.bytes.max","defaultValue":"512000"},
            {"key":"a.feature","value":"on"}],"total":3}"#;
        let found = declared_limits(text).expect("limits");
        let token = named("token.rate.per.minute", Some("platform.api"), "300");
        assert_eq!(found, [named("request.bytes.max", None, "512000"), token.clone()]);
        assert_eq!(of_rates(found.clone(), &[]), [token]);
        let refused = [(named("request.bytes.max", None, "512000"), 1)];
        assert_eq!(of_rates(found, &refused).len(), 2);
        let flat = declared_limits(r#"{"token.rate.per.minute": 300, "pageSize": 25}"#);
        assert_eq!(flat, Ok(vec![named("token.rate.per.minute", None, "300")]));
    }

    #[test]
    fn what_holds_none_says_so() {
        assert!(declared_limits("no").is_err_and(|e| e.starts_with("is no JSON")));
        assert!(declared_limits(r#"{"entities":[]}"#).is_err_and(|e| e.contains("holds no limit")));
    }
}
