//! Reads the layers (files, environment, flags) and merges them into one tree that still knows
//! where each value came from. It must not know what the keys mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use config::{ConfigError, Environment, FileFormat, Format, Map, Source, Value, ValueKind};

use super::problem::Problem;

/// Environment variables with this prefix are configuration: `PLIMSOLL__WEB__LISTEN_ADDRESS`.
pub const ENV_PREFIX: &str = "PLIMSOLL__";

/// The origin that the `config` crate gives to what it reads from the environment.
pub(super) const ENV_ORIGIN: &str = "the environment";

/// Where configuration is read from, lowest layer first. Built-in defaults lie below all of it.
#[derive(Clone, Default)]
pub struct Sources {
    /// Files, later ones over earlier ones.
    pub files: Vec<FileSource>,
    /// Environment variables; those without [`ENV_PREFIX`] are ignored.
    pub env: Vec<(String, String)>,
    /// What flags set, over everything else.
    pub overrides: Vec<Override>,
}

impl Sources {
    /// The files that are read anew with each load.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let path = |file: &FileSource| match file {
            FileSource::Path(path) => Some(path.clone()),
            FileSource::Toml { .. } | FileSource::Yaml { .. } => None,
        };
        self.files.iter().filter_map(path).collect()
    }
}

impl fmt::Debug for Sources {
    /// Names only: the values of an environment are full of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<&str> = self.overrides.iter().map(|o| o.flag.as_str()).collect();
        f.debug_struct("Sources")
            .field("files", &self.files)
            .field("flags", &flags)
            .finish_non_exhaustive()
    }
}

/// One file.
#[derive(Clone)]
pub enum FileSource {
    /// TOML (`.toml`) or YAML (`.yaml`, `.yml`), read now.
    Path(PathBuf),
    /// A text that is already here, in TOML.
    Toml {
        /// What messages call it.
        name: String,
        /// The text.
        text: String,
    },
    /// A text that is already here, in YAML.
    Yaml {
        /// What messages call it.
        name: String,
        /// The text.
        text: String,
    },
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Toml { name, .. } | Self::Yaml { name, .. } => f.write_str(name),
        }
    }
}

/// A value that a flag sets.
#[derive(Clone, Debug)]
pub struct Override {
    /// The key, such as `web.listen_address`.
    pub key: String,
    /// The value as text; it becomes a number, boolean or list where the key wants one.
    pub value: String,
    /// The flag, for messages: `--web.listen-address`.
    pub flag: String,
}

/// A layer of the merge whose keys are taken literally: in a file, `"a.b"` is a key with a dot.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }

    fn collect_to(&self, cache: &mut Value) -> Result<(), ConfigError> {
        merge(cache, self.0.clone());
        Ok(())
    }
}

fn merge(into: &mut Value, layer: Map<String, Value>) {
    if !matches!(into.kind, ValueKind::Table(_)) {
        into.kind = ValueKind::Table(Map::new());
    }
    let ValueKind::Table(table) = &mut into.kind else { return };
    for (key, value) in layer {
        let origin = value.origin().map(str::to_owned);
        match value.kind {
            ValueKind::Table(inner) => {
                let empty = || Value::new(origin.as_ref(), Map::<String, Value>::new());
                merge(table.entry(key).or_insert_with(empty), inner);
            }
            kind => {
                table.insert(key, Value::new(origin.as_ref(), kind));
            }
        }
    }
}

/// Merges the layers.
///
/// Each is collected on top of the ones before. `Config::builder` would collect them once more
/// and then read the keys of files as paths: `"a[9999999999]"` would ask for that much memory.
pub(super) fn merged(sources: &Sources) -> Result<Value, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut layers: Vec<Box<dyn Source>> = Vec::new();
    for file in &sources.files {
        match read(file) {
            Ok(layer) => layers.push(Box::new(layer)),
            Err(problem) => problems.push(problem),
        }
    }
    let env = environment(&sources.env, &mut problems);
    layers.push(Box::new(
        Environment::with_prefix("PLIMSOLL")
            .prefix_separator("__")
            .separator("__")
            .source(Some(env)),
    ));
    for set in &sources.overrides {
        layers.push(Box::new(flag(set)));
    }
    let mut tree = Value::from(Map::<String, Value>::new());
    for layer in layers {
        if let Err(e) = layer.collect_to(&mut tree) {
            problems.push(Problem::new("configuration", without_excerpt(&e.to_string())));
        }
    }
    if problems.is_empty() { Ok(tree) } else { Err(problems) }
}

fn read(file: &FileSource) -> Result<Layer, Problem> {
    let (name, format, text) = match file {
        FileSource::Toml { name, text } => (name.clone(), FileFormat::Toml, text.clone()),
        FileSource::Yaml { name, text } => (name.clone(), FileFormat::Yaml, text.clone()),
        FileSource::Path(path) => {
            let name = path.display().to_string();
            let extension = path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
            let format = match extension.as_deref() {
                Some("toml") => FileFormat::Toml,
                Some("yaml" | "yml") => FileFormat::Yaml,
                _ => {
                    return Err(Problem::new(name, "the file's format is not known")
                        .allowed("the endings .toml, .yaml and .yml"));
                }
            };
            let text = std::fs::read_to_string(path)
                .map_err(|e| Problem::new(&*name, format!("cannot be read: {e}")))?;
            (name, format, text)
        }
    };
    format.parse(Some(&name), &text).map(Layer).map_err(|e| {
        // Where the parser itself gave up it says the line; other messages of the YAML reader
        // quote the value that they could not use.
        let message = without_excerpt(&e.to_string());
        if message.contains("line ") {
            Problem::new(&*name, message)
        } else {
            Problem::new(&*name, "cannot be read").allowed("a table of sections")
        }
    })
}

/// A parser's message in one line and without the lines of the file that it quotes: one of them
/// may hold a secret.
fn without_excerpt(message: &str) -> String {
    let kept: Vec<&str> = message
        .lines()
        .map(str::trim)
        .filter(|line| {
            let after_number = line.trim_start_matches(|c: char| c.is_ascii_digit());
            !line.is_empty() && !after_number.trim_start().starts_with('|')
        })
        .collect();
    kept.join(": ")
}

/// The variables that are configuration. Names that the merge would misread are problems.
fn environment(env: &[(String, String)], problems: &mut Vec<Problem>) -> Map<String, String> {
    let mut found: BTreeMap<String, &(String, String)> = BTreeMap::new();
    for variable in env {
        if let Some(key) = variable.0.to_lowercase().strip_prefix(&ENV_PREFIX.to_lowercase()) {
            let well_formed = key.split("__").all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            });
            if well_formed {
                found.insert(key.to_owned(), variable);
            } else {
                problems.push(
                    Problem::new(variable.0.clone(), "not the name of a setting")
                        .allowed(format!("{ENV_PREFIX}SECTION__KEY"))
                        .origin("the environment"),
                );
            }
        }
    }
    for (key, variable) in &found {
        let inner = format!("{key}__");
        if let Some((_, other)) = found.iter().find(|(k, _)| k.starts_with(&inner)) {
            problems.push(
                Problem::new(variable.0.clone(), format!("contradicts {}", other.0))
                    .allowed("a value for a section or for its keys, not both")
                    .origin("the environment"),
            );
        }
    }
    found.into_values().cloned().collect()
}

fn flag(set: &Override) -> Layer {
    let mut value = Value::new(Some(&set.flag), set.value.clone());
    let mut keys: Vec<&str> = set.key.split('.').collect();
    let first = keys.remove(0).to_owned();
    for key in keys.into_iter().rev() {
        value = Value::new(Some(&set.flag), Map::from([(key.to_owned(), value)]));
    }
    Layer(Map::from([(first, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_error_quotes_nothing_of_the_file() {
        let file = FileSource::Toml {
            name: "a.toml".to_owned(),
            text: "[credentials.main]\ntoken = \"canary\n".to_owned(),
        };
        let problem = read(&file).map(|_| ()).expect_err("unclosed string");
        assert_eq!(problem.path, "a.toml");
        assert!(problem.message.contains("line 2"), "{problem}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
    }

    #[test]
    fn keys_of_a_file_are_literal() {
        let text = "\"a.b\" = 1\n\"c[99999999999]\" = 2\n".to_owned();
        let sources = Sources {
            files: vec![FileSource::Toml { name: "a".to_owned(), text }],
            ..Sources::default()
        };
        let tree = merged(&sources).expect("parses");
        let ValueKind::Table(table) = tree.kind else { panic!("a table") };
        assert!(table.contains_key("a.b") && table.contains_key("c[99999999999]"));
    }

    #[test]
    fn variables_that_contradict_each_other_are_refused() {
        let env = [("PLIMSOLL__WEB", "1"), ("PLIMSOLL__WEB__X", "2"), ("PLIMSOLL__A[9]", "3")];
        let env = env.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut problems = Vec::new();
        environment(&env, &mut problems);
        let paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["PLIMSOLL__A[9]", "PLIMSOLL__WEB"]);
    }
}
