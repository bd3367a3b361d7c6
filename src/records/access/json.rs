//! Access logs that are JSON: a format such as `{"t":$msec,"s":$status}` says what stands under which key, and not in
//! which order.

use std::borrow::Cow;

use serde_json::Value;

use super::compile::LogFormat;

/// Formats that nest deeper are taken for text.
const DEPTH_MAX: u32 = 8;

/// Where in an object each variable stands, as JSON pointers; `None`: the format is no JSON. `texts` is what stands
/// round the variables, one more than there are of them.
pub(super) fn pointers(texts: &[String]) -> Option<Vec<Option<String>>> {
    let mut template = String::new();
    let mut quoted = false;
    for (i, text) in texts.iter().enumerate() {
        template.push_str(text);
        quoted ^= text.replace("\\\"", "").matches('"').count() % 2 == 1;
        if i + 1 < texts.len() {
            let quote = if quoted { "" } else { "\"" };
            template.push_str(&format!("{quote}{}{quote}", mark(i)));
        }
    }
    let template: Value = serde_json::from_str(&template).ok()?;
    if !template.is_object() {
        return None;
    }
    let mut pointers = vec![None; texts.len() - 1];
    find(&template, "", 0, &mut pointers)?;
    Some(pointers)
}

/// Stands for a variable in the template.
fn mark(variable: usize) -> String {
    format!("\u{e000}{variable}\u{e000}")
}

fn find(value: &Value, pointer: &str, depth: u32, pointers: &mut [Option<String>]) -> Option<()> {
    match value {
        Value::String(text) => {
            let position = text.strip_prefix('\u{e000}').and_then(|t| t.strip_suffix('\u{e000}'));
            if let Some(position) = position.and_then(|p| p.parse::<usize>().ok()) {
                *pointers.get_mut(position)? = Some(pointer.to_owned());
            }
        }
        Value::Object(table) if depth < DEPTH_MAX => {
            for (key, inner) in table {
                let key = key.replace('~', "~0").replace('/', "~1");
                find(inner, &format!("{pointer}/{key}"), depth + 1, pointers)?;
            }
        }
        Value::Object(_) => return None,
        _ => {}
    }
    Some(())
}

impl LogFormat {
    /// The values of a line's variables, if both are JSON.
    pub(super) fn in_json<'a>(&self, line: &'a str) -> Option<Vec<Cow<'a, str>>> {
        let pointers = self.pointers.as_ref()?;
        let object: Value = serde_json::from_str(line).ok().filter(Value::is_object)?;
        let values = pointers.iter().map(|pointer| {
            let value = pointer.as_deref().and_then(|pointer| object.pointer(pointer));
            Cow::Owned(match value {
                Some(Value::String(text)) => text.clone(),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                _ => String::new(),
            })
        });
        Some(values.collect())
    }
}
