//! What a request says: the path, header values and JSON body of a target, with placeholders.
//!
//! A template is parsed once, when configuration is loaded; rendering is on the hot path, so it
//! only joins pieces that are already escaped. This room must not know where a template came
//! from or how a request is sent. Time is an argument.

mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};

use crate::model::MessageId;

use text::{Escape, Text};

/// Every placeholder that a template may hold.
pub const PLACEHOLDERS: &str = "{{message_id}}, {{sequence}}, {{timestamp}}, {{timestamp_ms}}, \
                                {{timestamp_s}}, {{stream}}, {{param.NAME}}";

/// What differs from one request to the next.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// `{{message_id}}`: 32 hexadecimal digits.
    pub message: MessageId,
    /// `{{sequence}}`: the message's number in its stream, from 0.
    pub sequence: u64,
    /// `{{timestamp}}` and its kin: nanoseconds since the Unix epoch; earlier times read as it.
    pub unix_ns: i64,
    /// `{{stream}}`: the stream's name.
    pub stream: &'a str,
}

/// The templates of a target as a person wrote them.
#[derive(Clone, Copy, Debug)]
pub struct TemplateSource<'a> {
    /// Path and optional query, beginning with `/`.
    pub path: &'a str,
    /// Header names and value templates.
    pub headers: &'a BTreeMap<String, String>,
    /// JSON body; `None` or empty for none.
    pub body: Option<&'a str>,
    /// What `{{param.NAME}}` stands for; may hold the placeholders of the message.
    pub params: &'a BTreeMap<String, String>,
}

/// Which part of a request template is wrong, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// `path`, `headers.NAME` or `body`.
    pub part: String,
    /// Byte offset into that part, where the fault has a place.
    pub position: Option<usize>,
    /// What is wrong; never the content of a body or header.
    pub message: String,
    /// What would be right.
    pub allowed: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.message)?;
        if let Some(position) = self.position {
            write!(f, " at position {position}")?;
        }
        write!(f, "; allowed: {}", self.allowed)
    }
}

impl std::error::Error for TemplateError {}

/// A request, ready to be rendered for one message after another.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestTemplate {
    path: Text,
    path_template: String,
    headers: Headers,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Headers {
    Fixed(Vec<(HeaderName, HeaderValue)>),
    Varying(Vec<(HeaderName, Text)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Fixed(Bytes),
    Varying(Text),
}

impl fmt::Debug for RequestTemplate {
    /// Only what may be shown: a header can carry a key, a body what somebody wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path_template;
        f.debug_struct("RequestTemplate").field("path", path).finish_non_exhaustive()
    }
}

/// One request's worth of a template.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered<'a> {
    /// Path and query, percent-encoded.
    pub path: Cow<'a, str>,
    /// Headers, in the order of their names.
    pub headers: Cow<'a, [(HeaderName, HeaderValue)]>,
    /// JSON body, empty for none. Shared between requests when the template has no placeholders.
    pub body: Bytes,
}

impl fmt::Debug for Rendered<'_> {
    /// As for [`RequestTemplate`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&HeaderName> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Rendered")
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Two extremes: what holds at both ends of every number holds between them.
const SAMPLES: [Values<'static>; 2] = [
    Values { message: MessageId(0xa << 124), sequence: 0, unix_ns: 0, stream: "s" },
    Values {
        message: MessageId(u128::MAX),
        sequence: u64::MAX,
        unix_ns: i64::MAX,
        stream: "stream-with-a-name",
    },
];

impl RequestTemplate {
    /// Parses and checks the templates of a target.
    ///
    /// # Errors
    /// Every fault in every part: an unknown placeholder or parameter, unclosed braces, a path
    /// that is not one, a header that HTTP does not allow, a body that is not JSON.
    pub fn parse(source: &TemplateSource<'_>) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        let path = keep(parse_path(source), &mut errors);
        let mut headers = Vec::new();
        for (name, value) in source.headers {
            headers.extend(keep(parse_header(name, value, source.params), &mut errors));
        }
        let body = keep(parse_body(source), &mut errors);
        match (path, body) {
            (Some(path), Some(body)) if errors.is_empty() => Ok(Self {
                path,
                path_template: text::low_cardinality(source.path),
                headers: Headers::new(headers),
                body,
            }),
            _ => Err(errors),
        }
    }

    /// The path without its query, with `{name}` for each placeholder: the same for every
    /// message, so it can name spans and label series.
    #[must_use]
    pub fn path_template(&self) -> &str {
        &self.path_template
    }

    /// The request for one message.
    #[must_use]
    pub fn render(&self, values: &Values<'_>) -> Rendered<'_> {
        let path = match self.path.fixed() {
            Some(path) => Cow::Borrowed(path),
            None => Cow::Owned(self.path.render(values)),
        };
        let headers = match &self.headers {
            Headers::Fixed(headers) => Cow::Borrowed(headers.as_slice()),
            Headers::Varying(headers) => Cow::Owned(
                headers
                    .iter()
                    .map(|(name, text)| (name.clone(), header_value(&text.render(values))))
                    .collect(),
            ),
        };
        let body = match &self.body {
            Body::Fixed(bytes) => bytes.clone(),
            Body::Varying(text) => Bytes::from(text.render(values)),
        };
        Rendered { path, headers, body }
    }
}

impl Headers {
    fn new(headers: Vec<(HeaderName, Text)>) -> Self {
        let fixed: Option<Vec<_>> = headers
            .iter()
            .map(|(name, text)| Some((name.clone(), header_value(text.fixed()?))))
            .collect();
        fixed.map_or(Self::Varying(headers), Self::Fixed)
    }
}

/// A header value, for a text that the checks at load and [`Escape::Header`] keep valid.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("checked when the template was parsed")
}

fn keep<T>(result: Result<T, TemplateError>, errors: &mut Vec<TemplateError>) -> Option<T> {
    result.map_err(|e| errors.push(e)).ok()
}

fn parse_path(source: &TemplateSource<'_>) -> Result<Text, TemplateError> {
    let error = |position, message: &str, allowed: &str| TemplateError {
        part: "path".to_owned(),
        position,
        message: message.to_owned(),
        allowed: allowed.to_owned(),
    };
    if !source.path.starts_with('/') {
        return Err(error(Some(0), "does not begin with /", "an absolute path, such as /messages"));
    }
    let text = Text::parse("path", source.path, source.params, Escape::Path)?;
    for sample in &SAMPLES {
        let rendered = text.render(sample);
        if rendered.contains('#') || rendered.parse::<PathAndQuery>().is_err() {
            return Err(error(
                None,
                "not a path once rendered",
                "letters, digits and the other characters of a URL path; %XX for the rest",
            ));
        }
        let path = rendered.split('?').next().unwrap_or_default();
        if path
            .split('/')
            .any(|s| matches!(s.replace("%2E", ".").replace("%2e", ".").as_str(), "." | ".."))
        {
            return Err(error(
                None,
                "has a . or .. segment, which HTTP clients rewrite",
                "segments other than . and ..",
            ));
        }
    }
    Ok(text)
}

fn parse_header(
    name: &str,
    value: &str,
    params: &BTreeMap<String, String>,
) -> Result<(HeaderName, Text), TemplateError> {
    let part = format!("headers.{name}");
    let error = |message: &str, allowed: &str| TemplateError {
        part: part.clone(),
        position: None,
        message: message.to_owned(),
        allowed: allowed.to_owned(),
    };
    let parsed: HeaderName = name.parse().map_err(|_| {
        error("not a header name", "letters, digits and - _ . ~ ! # $ % & ' * + ^ ` |")
    })?;
    let text = Text::parse(&part, value, params, Escape::Header)?;
    for sample in &SAMPLES {
        if HeaderValue::from_str(&text.render(sample)).is_err() {
            return Err(error(
                "not a header value once rendered",
                "text without control characters",
            ));
        }
    }
    Ok((parsed, text))
}

fn parse_body(source: &TemplateSource<'_>) -> Result<Body, TemplateError> {
    let body = source.body.unwrap_or_default();
    let text = Text::parse("body", body, source.params, Escape::Json)?;
    if body.trim().is_empty() {
        return Ok(Body::Fixed(Bytes::new()));
    }
    for sample in &SAMPLES {
        let rendered = text.render(sample);
        if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(&rendered) {
            return Err(TemplateError {
                part: "body".to_owned(),
                position: text.source_position(&rendered, e.line(), e.column(), sample),
                message: "not JSON once rendered".to_owned(),
                allowed: "JSON, with placeholders inside its strings; {{sequence}}, \
                          {{timestamp_ms}} and {{timestamp_s}} may also stand alone as numbers"
                    .to_owned(),
            });
        }
    }
    Ok(match text.fixed() {
        Some(fixed) => Body::Fixed(Bytes::copy_from_slice(fixed.as_bytes())),
        None => Body::Varying(text),
    })
}
