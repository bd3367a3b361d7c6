//! The merged layers as a JSON tree, with the origin of every value beside it, and the texts of
//! environment and flags turned into what the schema wants.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use config::{Value as Layered, ValueKind};
use serde_json::{Map, Number, Value};

use super::layers::ENV_ORIGIN;
use super::schema;

/// A path into the tree.
pub(super) type Path = Vec<String>;

/// The merged configuration.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The values. Nulls are gone: in YAML an empty value is an unset one.
    pub(super) root: Value,
    origins: HashMap<Path, String>,
}

impl Tree {
    pub(super) fn new(merged: Layered) -> Self {
        let mut origins = HashMap::new();
        let root = convert(merged, &mut Vec::new(), &mut origins);
        Self { root: root.unwrap_or_else(|| Value::Object(Map::new())), origins }
    }

    /// The value at a path.
    pub(super) fn get(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |node, key| match node {
            Value::Object(table) => table.get(key),
            Value::Array(list) => list.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Removes the value at a path; of a list's element, the list.
    pub(super) fn remove(&mut self, path: &[String]) {
        let Some((last, parents)) = path.split_last() else {
            self.root = Value::Object(Map::new());
            return;
        };
        let mut node = &mut self.root;
        for (depth, key) in parents.iter().enumerate() {
            if !node.is_object() {
                return self.remove(&path[..depth]);
            }
            let Some(next) = node.get_mut(key) else { return };
            node = next;
        }
        match node {
            Value::Object(table) => {
                table.remove(last);
            }
            _ => self.remove(parents),
        }
    }

    /// The file, variable or flag that a value came from; for a table, that of its first key.
    pub(super) fn origin(&self, path: &[String]) -> Option<String> {
        let (path, origin) = (0..=path.len())
            .rev()
            .find_map(|n| self.origins.get_key_value(&path[..n]))
            .or_else(|| self.origins.iter().filter(|(p, _)| p.starts_with(path)).min())?;
        Some(if origin == ENV_ORIGIN { variable(path) } else { origin.clone() })
    }

    /// A path that stands in a configuration file is relative to that file; one from environment
    /// or flags to the working directory.
    pub(super) fn resolved(&self, path: &[String], file: &str) -> PathBuf {
        match self.origins.get(path) {
            Some(origin) if origin != ENV_ORIGIN && !origin.starts_with("--") => {
                std::path::Path::new(origin).parent().unwrap_or("".as_ref()).join(file)
            }
            _ => file.into(),
        }
    }

    /// Whether a value came from the environment.
    pub(super) fn is_from_env(&self, path: &[String]) -> bool {
        self.origins.get(path).is_some_and(|o| o == ENV_ORIGIN)
    }

    /// The environment variable that sets a path.
    pub(super) fn variable_name(path: &[String]) -> String {
        format!("PLIMSOLL__{}", path.join("__").to_uppercase())
    }

    /// Turns texts of environment and flags into numbers, booleans, lists and tables where the
    /// schema wants one. What cannot be turned stays a text, for validation to complain of.
    pub(super) fn coerce(&mut self, schema: &Value) {
        let texts: Vec<Path> = self
            .origins
            .iter()
            .filter(|(_, origin)| *origin == ENV_ORIGIN || origin.starts_with("--"))
            .map(|(path, _)| path.clone())
            .collect();
        for path in texts {
            let Some(wanted) = schema::at(schema, schema, &path) else { continue };
            let pointer = pointer(&path);
            if let Some(slot) = self.root.pointer_mut(&pointer)
                && let Value::String(text) = slot
                && let Some(value) = coerced(text, schema, wanted)
            {
                *slot = value;
            }
        }
    }
}

fn variable(path: &[String]) -> String {
    format!("environment variable {}", Tree::variable_name(path))
}

fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |mut out, key| {
        let _ = write!(out, "/{}", key.replace('~', "~0").replace('/', "~1"));
        out
    })
}

fn coerced(text: &str, schema: &Value, wanted: &Value) -> Option<Value> {
    let trimmed = text.trim();
    match wanted.get("type").and_then(Value::as_str) {
        Some("string") => None,
        Some("array") if !trimmed.starts_with('[') => {
            let item = wanted.get("items").map(|items| schema::deref(schema, items));
            let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
            let value = |part: &str| {
                let value = item.and_then(|item| coerced(part, schema, item));
                value.unwrap_or_else(|| Value::from(part))
            };
            Some(Value::Array(parts.map(value).collect()))
        }
        // Without a type anything is allowed: JSON if it is some, or else the text.
        _ => {
            let value = serde_json::from_str(trimmed).ok().filter(|v: &Value| !v.is_null());
            value.filter(|v| !v.is_string())
        }
    }
}

fn convert(value: Layered, path: &mut Path, origins: &mut HashMap<Path, String>) -> Option<Value> {
    let origin = value.origin().map(str::to_owned);
    let converted = match value.kind {
        ValueKind::Nil => return None,
        ValueKind::Boolean(b) => Value::Bool(b),
        ValueKind::I64(n) => Value::from(n),
        ValueKind::U64(n) => Value::from(n),
        ValueKind::I128(n) => {
            Number::from_i128(n).map_or_else(|| n.to_string().into(), Value::Number)
        }
        ValueKind::U128(n) => {
            Number::from_u128(n).map_or_else(|| n.to_string().into(), Value::Number)
        }
        // Infinities and not-a-number are no JSON; as texts they are refused by name.
        ValueKind::Float(n) => {
            Number::from_f64(n).map_or_else(|| n.to_string().into(), Value::Number)
        }
        ValueKind::String(s) => Value::String(s),
        ValueKind::Table(table) => {
            let mut converted = Map::new();
            for (key, value) in table {
                path.push(key);
                let value = convert(value, path, origins);
                if let (Some(key), Some(value)) = (path.pop(), value) {
                    converted.insert(key, value);
                }
            }
            // A table's own origin would hide those of its keys, unless it has none.
            if converted.is_empty()
                && let Some(origin) = origin
            {
                origins.insert(path.clone(), origin);
            }
            return Some(Value::Object(converted));
        }
        ValueKind::Array(list) => {
            let list = list.into_iter().map(|v| convert(v, &mut Vec::new(), &mut HashMap::new()));
            Value::Array(list.flatten().collect())
        }
    };
    if let Some(origin) = origin {
        origins.insert(path.clone(), origin);
    }
    Some(converted)
}

/// The path as people write it: `streams.main.rate`, `targets.main.scope[1]`.
pub(super) fn shown(path: &[String]) -> String {
    let mut out = String::new();
    for key in path {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if key.bytes().all(|b| b.is_ascii_digit()) && !key.is_empty() && !out.is_empty() {
            let _ = write!(out, "[{key}]");
            continue;
        }
        if !out.is_empty() {
            out.push('.');
        }
        if !key.is_empty() && key.bytes().all(plain) {
            out.push_str(key);
        } else {
            let _ = write!(out, "{:?}", key.chars().take(80).collect::<String>());
        }
    }
    if out.is_empty() { "configuration".to_owned() } else { out }
}
