//! YAML files, as they are and as they are written.

use std::fs;

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlEmitter, YamlLoader};

/// The one document of a file.
pub(crate) fn read(path: &str) -> Yaml {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut documents = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// A document under a comment that says where it comes from.
pub(crate) fn write(comment: &str, document: &Yaml) -> String {
    let mut text = String::new();
    let mut emitter = YamlEmitter::new(&mut text);
    emitter.multiline_strings(true);
    emitter.dump(document).expect("text can be written into memory");
    let body = text.strip_prefix("---\n").unwrap_or(&text);
    format!("# {comment}\n{body}\n")
}

pub(crate) fn text(value: &str) -> Yaml {
    Yaml::String(value.to_owned())
}

/// A mapping, in this order.
pub(crate) fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    Yaml::Hash(entries.into_iter().map(|(key, value)| (text(key), value)).collect::<Hash>())
}

/// The items of a list that must be one.
pub(crate) fn list(value: &Yaml) -> &[Yaml] {
    value.as_vec().unwrap_or_else(|| panic!("not a list: {value:?}"))
}

/// A text that must be one.
pub(crate) fn string(value: &Yaml) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value:?}"))
}
