//! A line of an access log against its format.

use std::borrow::Cow;

use super::compile::LogFormat;

impl LogFormat {
    /// The values of the variables, in their order, without the log's escapes.
    ///
    /// # Errors
    /// Where the line is otherwise. What stands there is not told: it may be a secret.
    pub(in crate::records) fn matches<'a>(
        &self,
        line: &'a str,
    ) -> Result<Vec<Cow<'a, str>>, String> {
        // Not every log that looks like JSON is.
        if let Some(values) = self.in_json(line) {
            return Ok(values);
        }
        Ok(self.in_text(line)?.into_iter().map(unescaped).collect())
    }

    fn in_text<'a>(&self, line: &'a str) -> Result<Vec<&'a str>, String> {
        let mut texts = self.texts.iter();
        let begin = texts.next().map_or("", String::as_str);
        let mut rest = line
            .strip_prefix(begin)
            .ok_or_else(|| format!("does not begin with {begin:?}, as its format says"))?;
        let mut values = Vec::with_capacity(self.variables.len());
        for (variable, text) in self.variables.iter().zip(texts) {
            let is_last = values.len() + 1 == self.variables.len();
            let end = match text.as_str() {
                // The last text has to stand at the end.
                text if is_last => rest.strip_suffix(text).map(str::len),
                text => find(rest, text),
            };
            let end = end.ok_or_else(|| {
                format!(
                    "at column {}: after {} its format has {text:?}",
                    line.len() - rest.len() + 1,
                    variable.name
                )
            })?;
            values.push(&rest[..end]);
            rest = &rest[end + text.len()..];
        }
        // A value between quotes holds none, and one between blanks holds no blank.
        let whole = |(value, text): (&&str, &String)| {
            let first = text.chars().next();
            !first.is_some_and(|c| c == ' ' && value.contains(' ') && !value.contains('"'))
        };
        let last_is_one = match (values.last(), self.texts.last()) {
            (Some(value), Some(text)) if text.is_empty() => !value.contains(' '),
            (Some(value), Some(text)) => find(value, text).is_none() && whole((value, text)),
            _ => true,
        };
        if last_is_one { Ok(values) } else { Err("goes on after the end of its format".to_owned()) }
    }
}

/// Where a text stands that ends a value. A quote after a backslash is a part of the value.
fn find(rest: &str, text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return rest.find(text);
    }
    rest.match_indices(text).map(|(at, _)| at).find(|at| {
        let backslashes = rest[..*at].bytes().rev().take_while(|b| *b == b'\\').count();
        backslashes % 2 == 0
    })
}

/// A value without the escapes of the log: `\x22` of nginx, `\"` of Apache and JSON.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(1..3).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = match (first, after.first(), code) {
            (b'\\', Some(b'x'), Some(code)) => {
                bytes.push(code);
                &after[3..]
            }
            (b'\\', Some(next @ (b'"' | b'\\' | b'/')), _) => {
                bytes.push(*next);
                &after[1..]
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}
