//! The JSON Schema of a file format, and what it says about a place in a file.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

/// The schema of a file format, as published. Optional keys are simply absent, never null.
#[must_use]
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    strip_null(&mut schema);
    schema
}

/// TOML has no null, and an empty value in YAML counts as unset: so nothing allows null.
fn strip_null(node: &mut Value) {
    match node {
        Value::Array(list) => list.iter_mut().for_each(strip_null),
        Value::Object(table) => {
            table.retain(|key, value| !(key == "default" && value.is_null()));
            for value in table.values_mut() {
                strip_null(value);
            }
            if let Some(Value::Array(types)) = table.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    table.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(options)) = table.get_mut("enum") {
                options.retain(|option| !option.is_null());
            }
            strip_null_choice(table);
        }
        _ => {}
    }
}

fn strip_null_choice(table: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = table.get_mut("anyOf") else { return };
    choices.retain(|choice| choice != &json!({"type": "null"}));
    if let [only] = choices.as_mut_slice()
        && let Value::Object(only) = only.take()
    {
        table.remove("anyOf");
        for (key, value) in only {
            table.entry(key).or_insert(value);
        }
    }
}

/// Follows references to the node that says what is allowed.
pub(super) fn deref<'a>(root: &'a Value, mut node: &'a Value) -> &'a Value {
    // A reference cannot lead further than there are definitions.
    for _ in 0..64 {
        let target = node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => node = next,
            None => break,
        }
    }
    node
}

/// The node for a path below `node`.
pub(super) fn at<'a>(root: &'a Value, node: &'a Value, path: &[String]) -> Option<&'a Value> {
    let node = deref(root, node);
    let Some((key, rest)) = path.split_first() else { return Some(node) };
    let next = node
        .get("properties")
        .and_then(|p| p.get(key))
        .or_else(|| node.get("additionalProperties").filter(|a| a.is_object()))
        .or_else(|| node.get("items"))?;
    at(root, next, rest)
}

/// The keys that the table at a node may have.
pub(super) fn keys(node: &Value) -> Vec<&str> {
    let properties = node.get("properties").and_then(Value::as_object);
    properties.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The values of a closed set of texts.
pub(super) fn options(node: &Value) -> Option<Vec<&str>> {
    if let Some(Value::Array(values)) = node.get("enum") {
        return values.iter().map(Value::as_str).collect();
    }
    let Some(Value::Array(choices)) = node.get("oneOf") else { return None };
    let mut all = Vec::new();
    for choice in choices {
        match choice.get("const").and_then(Value::as_str) {
            Some(value) => all.push(value),
            None => all.extend(options(choice)?),
        }
    }
    Some(all)
}

/// What a node allows, in words.
pub(super) fn describe(root: &Value, node: &Value) -> String {
    let node = deref(root, node);
    if let Some(options) = options(node) {
        return options.join(", ");
    }
    let described = node.get("description").and_then(Value::as_str);
    if let (Some(text), true) = (described, node.get("pattern").is_some()) {
        return text.to_owned();
    }
    let bound = |key| node.get(key).filter(|v| v.is_number()).map(ToString::to_string);
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(" from {low}"),
        (None, Some(high)) => format!(" up to {high}"),
        (None, None) => String::new(),
    };
    match node.get("type").and_then(Value::as_str) {
        Some("integer") => format!("a whole number{range}"),
        Some("number") => format!("a number{range}"),
        Some("boolean") => "true or false".to_owned(),
        Some("string") => "a string".to_owned(),
        Some("array") => match node.get("items") {
            Some(items) => format!("a list, each element {}", describe(root, items)),
            None => "a list".to_owned(),
        },
        Some("object") => {
            let keys = keys(node);
            if keys.is_empty() {
                "a table".to_owned()
            } else {
                format!("a table with the keys {}", keys.join(", "))
            }
        }
        _ => described.unwrap_or("see the schema").to_owned(),
    }
}
