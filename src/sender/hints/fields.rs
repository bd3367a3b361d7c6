//! One pass over a response's header fields that picks out what the rest of the room reads.
//!
//! Most responses carry none of them; for those the pass costs a few comparisons and no allocation.

use http::HeaderMap;

use super::name;

/// More lines than this are not looked at.
const LINES_MAX: usize = 48;
/// Names that servers give their own request id, most specific first.
const CORRELATION: [&str; 6] = [
    "inin-correlation-id",
    "twilio-request-id",
    "x-github-request-id",
    "x-correlation-id",
    "x-amzn-requestid",
    "x-request-id",
];

/// A header field line: lower-case name and value.
pub(super) type Line<'a> = (&'a str, &'a [u8]);

/// The fields that matter, borrowed from the response.
#[derive(Default)]
pub(in super::super) struct Fields<'a> {
    pub(in super::super) date: Option<&'a [u8]>,
    pub(in super::super) retry_after: Vec<&'a [u8]>,
    /// Every rate limit field of any dialect, in the order received.
    pub(super) rate: Vec<Line<'a>>,
    correlation: Option<(usize, &'a [u8])>,
}

impl<'a> Fields<'a> {
    /// Picks the fields out of a response's headers.
    pub(in super::super) fn scan(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (key, value) in headers {
            let (key, value) = (key.as_str(), value.as_bytes());
            match key.as_bytes().first() {
                Some(b'd') if key == "date" => fields.date = Some(value),
                Some(b'r') if key == "retry-after" => fields.add_retry_after(value),
                Some(b'r') if key.starts_with("ratelimit") => fields.add_rate((key, value)),
                Some(b'x') if key.starts_with("x-rate") => fields.add_rate((key, value)),
                Some(b'i') if key.starts_with("inin-ratelimit") => fields.add_rate((key, value)),
                Some(b'i' | b't' | b'x') => fields.add_correlation(key, value),
                _ => {}
            }
        }
        fields
    }

    /// The server's own id for the request, printable and bounded.
    pub(in super::super) fn correlation_id(&self) -> Option<Box<str>> {
        let (_, value) = self.correlation?;
        name(std::str::from_utf8(value).ok()?)
    }

    fn add_retry_after(&mut self, value: &'a [u8]) {
        if self.retry_after.len() < LINES_MAX {
            self.retry_after.push(value);
        }
    }

    fn add_rate(&mut self, line: Line<'a>) {
        if self.rate.len() < LINES_MAX {
            self.rate.push(line);
        }
    }

    fn add_correlation(&mut self, key: &str, value: &'a [u8]) {
        let Some(rank) = CORRELATION.iter().position(|known| *known == key) else { return };
        if self.correlation.is_none_or(|(best, _)| rank < best) {
            self.correlation = Some((rank, value));
        }
    }
}

/// A value as text, trimmed; `None` where it is too long or not ASCII.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    /// Long enough for a list of policies, short enough that reading it costs nothing.
    const LINE_BYTES_MAX: usize = 2048;
    if value.len() > LINE_BYTES_MAX || !value.is_ascii() {
        return None;
    }
    std::str::from_utf8(value).ok().map(str::trim)
}
