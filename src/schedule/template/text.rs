//! One template: literal pieces and placeholders, each escaped for the place it stands in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::{PLACEHOLDERS, TemplateError, Values};

/// Where a text stands, and so how a value is written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Path,
    Header,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    MessageId,
    Sequence,
    Timestamp,
    TimestampMs,
    TimestampS,
    Stream,
}

impl Variable {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "message_id" => Self::MessageId,
            "sequence" => Self::Sequence,
            "timestamp" => Self::Timestamp,
            "timestamp_ms" => Self::TimestampMs,
            "timestamp_s" => Self::TimestampS,
            "stream" => Self::Stream,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Box<str>),
    Variable(Variable),
}

/// A parsed template. Parameters are literals by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pieces: Vec<Piece>,
    /// Where in the template as written each piece begins.
    starts: Vec<usize>,
    escape: Escape,
    capacity: usize,
}

/// Room for the longest value of a variable: 32 digits of a message id, or a stream's name.
const VALUE_BYTES: usize = 64;

impl Text {
    pub(super) fn parse(
        part: &str,
        source: &str,
        params: &BTreeMap<String, String>,
        escape: Escape,
    ) -> Result<Self, TemplateError> {
        let error = |position, message: String| TemplateError {
            part: part.to_owned(),
            position: Some(position),
            message,
            allowed: PLACEHOLDERS.to_owned(),
        };
        let mut text = Self { pieces: Vec::new(), starts: Vec::new(), escape, capacity: 0 };
        let mut rest = 0;
        while let Some(open) = source[rest..].find("{{").map(|i| i + rest) {
            // JSON has no `{{` outside its strings, so this never misreads a body.
            text.literal(rest, &source[rest..open]);
            let close = source[open..]
                .find("}}")
                .map(|i| i + open)
                .ok_or_else(|| error(open, "{{ without }}".to_owned()))?;
            let name = source[open + 2..close].trim();
            if let Some(param) = name.strip_prefix("param.") {
                let value = params.get(param).ok_or_else(|| {
                    let known: Vec<_> = params.keys().map(String::as_str).collect();
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    TemplateError {
                        allowed: format!("the target's params ({known})"),
                        ..error(open, format!("no parameter of the name {}", shown(param)))
                    }
                })?;
                text.parameter(part, param, value, open)?;
            } else {
                let variable = Variable::named(name)
                    .ok_or_else(|| error(open, format!("unknown placeholder {}", shown(name))))?;
                text.variable(open, variable);
            }
            rest = close + 2;
        }
        text.literal(rest, &source[rest..]);
        Ok(text)
    }

    /// Adds the value of a parameter: a template of its own, without further parameters, whose
    /// literals are escaped because it cannot know where it will stand.
    fn parameter(
        &mut self,
        part: &str,
        name: &str,
        value: &str,
        at: usize,
    ) -> Result<(), TemplateError> {
        let inner = Self::parse(part, value, &BTreeMap::new(), self.escape).map_err(|e| {
            let message = format!("in the parameter {}: {}", shown(name), e.message);
            TemplateError { message, position: Some(at), allowed: PLACEHOLDERS.to_owned(), ..e }
        })?;
        for piece in inner.pieces {
            match piece {
                Piece::Literal(text) => {
                    let mut escaped = String::with_capacity(text.len());
                    push_escaped(&mut escaped, &text, self.escape);
                    self.literal(at, &escaped);
                }
                Piece::Variable(variable) => self.variable(at, variable),
            }
        }
        Ok(())
    }

    fn variable(&mut self, at: usize, variable: Variable) {
        self.pieces.push(Piece::Variable(variable));
        self.starts.push(at);
        self.capacity += VALUE_BYTES;
    }

    /// Adds a literal, joined to the one before it.
    fn literal(&mut self, start: usize, literal: &str) {
        if literal.is_empty() {
            return;
        }
        self.capacity += literal.len();
        if let Some(Piece::Literal(last)) = self.pieces.last_mut() {
            *last = format!("{last}{literal}").into();
            return;
        }
        self.pieces.push(Piece::Literal(literal.into()));
        self.starts.push(start);
    }

    /// The whole text, when nothing in it varies.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    pub(super) fn render(&self, values: &Values<'_>) -> String {
        let mut out = String::with_capacity(self.capacity);
        for piece in &self.pieces {
            self.push(&mut out, piece, values);
        }
        out
    }

    fn push(&self, out: &mut String, piece: &Piece, values: &Values<'_>) {
        let unix_ns = u64::try_from(values.unix_ns).unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = match piece {
            Piece::Literal(text) => out.write_str(text),
            Piece::Variable(Variable::MessageId) => write!(out, "{}", values.message),
            Piece::Variable(Variable::Sequence) => write!(out, "{}", values.sequence),
            Piece::Variable(Variable::TimestampMs) => write!(out, "{}", unix_ns / 1_000_000),
            Piece::Variable(Variable::TimestampS) => write!(out, "{}", unix_ns / 1_000_000_000),
            Piece::Variable(Variable::Timestamp) => {
                let time = UNIX_EPOCH + Duration::from_nanos(unix_ns);
                let text = humantime::format_rfc3339_millis(time).to_string();
                push_escaped(out, &text, self.escape);
                Ok(())
            }
            Piece::Variable(Variable::Stream) => {
                push_escaped(out, values.stream, self.escape);
                Ok(())
            }
        };
    }

    /// Where in the template as written a place in the rendered text comes from. Line and column
    /// count from 1; a column of 0 is the end of the line before.
    pub(super) fn source_position(
        &self,
        rendered: &str,
        line: usize,
        column: usize,
        values: &Values<'_>,
    ) -> Option<usize> {
        let before: usize =
            rendered.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
        let mut offset = before + column.saturating_sub(1);
        for (piece, start) in self.pieces.iter().zip(&self.starts) {
            let mut text = String::new();
            self.push(&mut text, piece, values);
            if offset < text.len() {
                let within = if matches!(piece, Piece::Literal(_)) { offset } else { 0 };
                return Some(start + within);
            }
            offset -= text.len();
        }
        None
    }
}

/// A name for an error message, bounded, and without control characters.
fn shown(name: &str) -> String {
    let short: String = name.chars().take(40).collect();
    format!("{short:?}")
}

fn push_escaped(out: &mut String, value: &str, escape: Escape) {
    match escape {
        Escape::Path => {
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                } else {
                    let _ = write!(out, "%{byte:02X}");
                }
            }
        }
        // Names come from configuration, where they are checked; a value from elsewhere must
        // still not be able to end the header.
        Escape::Header => {
            out.extend(value.chars().map(|c| if c.is_control() { '?' } else { c }));
        }
        Escape::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            out.push_str(&quoted[1..quoted.len() - 1]);
        }
    }
}

/// The path with `{name}` for each placeholder, and without its query.
pub(super) fn low_cardinality(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        let name = name.trim();
        let _ = write!(out, "{before}{{{}}}", name.strip_prefix("param.").unwrap_or(name));
        rest = after;
    }
    out.push_str(rest);
    out
}
