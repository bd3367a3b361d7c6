//! What `kubectl kustomize` makes of an overlay.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::process::testbed_tool;

/// Every overlay there is.
pub(crate) fn overlays() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("overlays")).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    names
}

pub(crate) fn overlay(name: &str) -> PathBuf {
    root().join("overlays").join(name)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes")
}

/// The objects of an overlay.
pub(crate) fn render(name: &str) -> Vec<Value> {
    let mut command = Command::new(testbed_tool("kubectl"));
    let output = command.arg("kustomize").arg(overlay(name)).output().expect("kubectl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name}: {errors}");
    parse(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// YAML documents as JSON.
pub(crate) fn parse(text: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(text).expect("YAML");
    documents.iter().filter(|d| !d.is_null()).map(json).collect()
}

fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null | Yaml::BadValue | Yaml::Alias(_) => Value::Null,
        Yaml::Boolean(value) => Value::from(*value),
        Yaml::Integer(value) => Value::from(*value),
        Yaml::Real(_) => Value::from(yaml.as_f64()),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Array(list) => list.iter().map(json).collect(),
        Yaml::Hash(table) => {
            let pair = |(k, v): (&Yaml, &Yaml)| (k.as_str().expect("a key").to_owned(), json(v));
            Value::Object(table.iter().map(pair).collect::<Map<_, _>>())
        }
    }
}

/// `Deployment/plimsoll`
pub(crate) fn name(object: &Value) -> String {
    format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// The text at a pointer, which must be there.
#[track_caller]
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {object}"))
}

/// The list at a pointer; empty where there is none.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// What starts pods.
pub(crate) fn workloads(objects: &[Value]) -> Vec<&Value> {
    let starts = |o: &&Value| ["Deployment", "StatefulSet"].contains(&text(o, "/kind"));
    objects.iter().filter(starts).collect()
}

/// The object of a kind and name, which must be there.
#[track_caller]
pub(crate) fn find<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
    let found = objects.iter().find(|object| name(object) == wanted);
    found.unwrap_or_else(|| {
        panic!("no {wanted} among {:?}", objects.iter().map(name).collect::<Vec<_>>())
    })
}
