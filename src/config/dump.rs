//! Shows the effective configuration, and what differs between two of them.

use std::fmt::Write as _;

use serde_json::Value;

use super::secret;

/// Replaces what is secret.
pub(super) fn mask(node: &mut Value, path: &mut Vec<String>) {
    match node {
        Value::Object(table) => {
            for (key, value) in table {
                path.push(key.clone());
                mask(value, path);
                path.pop();
            }
        }
        Value::String(text) => {
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            if secret::is_secret(&keys) {
                secret::MASK.clone_into(text);
            }
        }
        _ => {}
    }
}

/// The tree as YAML. Texts are in JSON's quotes, which YAML reads alike.
pub(super) fn yaml(tree: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(table) = tree {
        write_table(&mut out, table, 0);
    }
    out
}

fn write_table(out: &mut String, table: &serde_json::Map<String, Value>, depth: usize) {
    for (key, value) in table {
        let plain = !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            && !matches!(key.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
        let key = if plain { key.clone() } else { Value::from(key.as_str()).to_string() };
        let _ = write!(out, "{:indent$}{key}:", "", indent = depth * 2);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_table(out, inner, depth + 1);
            }
            // Scalars, and lists and empty tables in flow style: JSON is YAML.
            other => {
                let _ = writeln!(out, " {other}");
            }
        }
    }
}

/// The keys of some sections that differ, as `web.listen_address: "a" is now "b"`.
pub(super) fn differing(old: &Value, new: &Value, sections: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    for section in sections {
        compare(section, old.get(section), new.get(section), &mut out);
    }
    out
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, out: &mut Vec<String>) {
    if old == new {
        return;
    }
    if let (Some(Value::Object(old)), Some(Value::Object(new))) = (old, new) {
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            compare(&format!("{path}.{key}"), old.get(key), new.get(key), out);
        }
        return;
    }
    let show = |v: Option<&Value>| v.map_or_else(|| "unset".to_owned(), ToString::to_string);
    out.push(format!("{path}: {} runs until the next start, then {}", show(old), show(new)));
}
