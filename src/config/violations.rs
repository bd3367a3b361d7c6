//! Validates a tree against a JSON Schema and says each violation as a problem: where, what, what
//! would be right, where it came from.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::paths::LocationSegment;
use serde_json::Value;

use crate::model::{HumanDuration, Rate};

use super::problem::Problem;
use super::schema;
use super::secret;
use super::tree::{Path, Tree, shown};

/// A violation: what to tell, and what to leave out so that the rest can be checked further.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) problem: Problem,
    pub(super) path: Path,
    /// Whether the value at `path` cannot be used. A missing key or a bad name has no such value.
    pub(super) unusable: bool,
}

/// Every violation of `schema` in `tree`.
pub(super) fn all(tree: &Tree, schema: &Value) -> Vec<Violation> {
    let validator = jsonschema::options()
        .with_format("human-rate", |text: &str| text.parse::<Rate>().is_ok())
        .with_format("human-duration", |text: &str| text.parse::<HumanDuration>().is_ok())
        .should_validate_formats(true)
        .build(&checked_by_parsing(schema));
    let validator = match validator {
        Ok(validator) => validator,
        Err(e) => {
            let problem = Problem::new("configuration", format!("its schema is broken: {e}"));
            return vec![Violation { problem, path: Vec::new(), unusable: true }];
        }
    };
    let reporter = Reporter { tree, schema };
    validator.iter_errors(&tree.root).flat_map(|e| reporter.report(&e)).collect()
}

/// The published schema can only give a pattern for rates and durations; here their own parsers
/// decide.
fn checked_by_parsing(schema: &Value) -> Value {
    let mut schema = schema.clone();
    for (definition, format) in [("Rate", "human-rate"), ("Duration", "human-duration")] {
        let pointer = format!("/$defs/{definition}");
        if let Some(Value::Object(node)) = schema.pointer_mut(&pointer)
            && node.remove("pattern").is_some()
        {
            node.insert("format".to_owned(), format.into());
        }
    }
    schema
}

struct Reporter<'a> {
    tree: &'a Tree,
    schema: &'a Value,
}

impl Reporter<'_> {
    fn report(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let path: Path = error
            .instance_path()
            .into_iter()
            .map(|segment| match segment {
                LocationSegment::Property(name) => name.into_owned(),
                LocationSegment::Index(index) => index.to_string(),
            })
            .collect();
        match error.kind() {
            Kind::AdditionalProperties { unexpected } => {
                unexpected.iter().map(|key| self.unknown_key(&path, key)).collect()
            }
            Kind::Required { property } => {
                vec![self.missing(path, property.as_str().unwrap_or_default())]
            }
            Kind::PropertyNames { error } => vec![self.bad_name(path, error)],
            kind => vec![self.bad_value(path, kind)],
        }
    }

    fn unknown_key(&self, table: &[String], key: &str) -> Violation {
        let path: Path = table.iter().cloned().chain([key.to_owned()]).collect();
        let node = schema::at(self.schema, self.schema, table);
        let keys = node.map(schema::keys).unwrap_or_default();
        let message = match nearest(key, &keys) {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None => "unknown key".to_owned(),
        };
        let mut problem = Problem::new(shown(&path), message).allowed(keys.join(", "));
        problem.origin = self.tree.origin(&path);
        Violation { problem, path, unusable: true }
    }

    fn missing(&self, table: Path, key: &str) -> Violation {
        let origin = self.tree.origin(&table);
        let path: Path = table.into_iter().chain([key.to_owned()]).collect();
        let mut problem = Problem::new(shown(&path), "missing").allowed(self.allowed(&path));
        problem.origin = origin;
        Violation { problem, path, unusable: false }
    }

    fn bad_name(&self, table: Path, error: &ValidationError<'_>) -> Violation {
        let name = error.instance().as_str().unwrap_or_default().to_owned();
        let names = schema::at(self.schema, self.schema, &table)
            .and_then(|node| node.get("propertyNames"))
            .map(|node| schema::describe(self.schema, node))
            .unwrap_or_default();
        let path: Path = table.into_iter().chain([name]).collect();
        let mut problem = Problem::new(shown(&path), "not a name").allowed(names);
        problem.origin = self.tree.origin(&path);
        Violation { problem, path, unusable: false }
    }

    fn bad_value(&self, path: Path, kind: &Kind) -> Violation {
        let message = match kind {
            Kind::Type { .. } => "wrong type",
            Kind::Minimum { .. } | Kind::ExclusiveMinimum { .. } => "too small",
            Kind::Maximum { .. } | Kind::ExclusiveMaximum { .. } => "too large",
            Kind::Format { format } if format == "human-rate" => "not a rate",
            Kind::Format { format } if format == "human-duration" => "not a duration",
            Kind::MinItems { .. } | Kind::MinLength { .. } => "too short",
            Kind::MaxItems { .. } | Kind::MaxLength { .. } => "too long",
            Kind::UniqueItems => "has the same element twice",
            Kind::Enum { .. } | Kind::OneOfNotValid { .. } | Kind::Constant { .. } => {
                "not one of the allowed values"
            }
            _ => "not allowed",
        };
        let mut problem = Problem::new(shown(&path), message).allowed(self.allowed(&path));
        problem.found = self.tree.get(&path).map(|value| show(&path, value));
        problem.origin = self.tree.origin(&path);
        Violation { problem, path, unusable: true }
    }

    fn allowed(&self, path: &[String]) -> String {
        schema::at(self.schema, self.schema, path)
            .map(|node| schema::describe(self.schema, node))
            .unwrap_or_default()
    }
}

/// The known key that was probably meant.
fn nearest<'a>(key: &str, keys: &[&'a str]) -> Option<&'a str> {
    let alike = |known: &&str| {
        let spelling = strsim::normalized_damerau_levenshtein(key, known);
        spelling.max(strsim::jaro_winkler(key, known))
    };
    let best = keys.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
    let one_slip = strsim::damerau_levenshtein(key, best) <= 1;
    (one_slip || alike(best) >= 0.8).then_some(*best)
}

/// A value as an error message may show it.
pub(super) fn show(path: &[String], value: &Value) -> String {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match value {
        Value::Object(_) => "a table".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        _ if !secret::may_be_shown(&keys) => match value {
            Value::String(_) => "a string".to_owned(),
            Value::Number(_) => "a number".to_owned(),
            _ => "true or false".to_owned(),
        },
        // A URL may carry a password.
        Value::String(text) if text.contains('@') => "a string".to_owned(),
        Value::String(text) if text.chars().count() > 80 => {
            format!("{:?}…", text.chars().take(80).collect::<String>())
        }
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}
