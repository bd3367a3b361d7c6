//! Access logs: a line for each request, in a format that whoever runs the server has chosen.

mod apache;
mod compile;
mod envoy;
mod json;
mod matching;
mod nginx;
mod time;

use std::borrow::Cow;
use std::io::{self, BufRead};

use http::{HeaderMap, HeaderValue};

pub use compile::LogFormat;
pub(super) use compile::usual;
use compile::{Edge, Role};

use super::gather::{Fields, Found, Gatherer};
use super::guard::{Guard, next_line};
use super::response;
use crate::infer::Decision;
use crate::model::Factor;

/// The format's variables with what one line says of them.
struct Entry<'a> {
    format: &'a LogFormat,
    values: Vec<Cow<'a, str>>,
}

impl Entry<'_> {
    fn role(&self, wanted: impl Fn(&Role) -> bool) -> Option<(&Role, &str)> {
        let position = self.format.variables.iter().position(|variable| wanted(&variable.role))?;
        Some((&self.format.variables[position].role, &self.values[position]))
    }

    /// The request line's method or path, where the format has no variable of its own for it.
    fn of_request(&self, name: &str) -> Option<&str> {
        let (_, request) = self.role(|role| *role == Role::Request)?;
        let mut words = request.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        match name {
            "method" => Some(method),
            "path" => target.split('?').next(),
            _ => None,
        }
    }
}

impl Fields for Entry<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let position = self.format.position(name);
        let Some(position) = position else { return self.of_request(name).map(Cow::Borrowed) };
        Some(Cow::Borrowed(&self.values[position]))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.format.variables.iter().map(|variable| variable.name.clone()).collect();
        if self.of_request("method").is_some() {
            names.extend(["method".to_owned(), "path".to_owned()]);
        }
        names
    }
}

pub(super) fn read(input: impl BufRead, format: &LogFormat, out: &mut Gatherer) -> io::Result<()> {
    let mut input = Guard::new(input);
    let mut bytes = Vec::new();
    let address = format.address();
    let defaults: Vec<_> = address.iter().map(|name| (Factor::Address, *name)).collect();
    // Zeros at the end may be left away: of several exactnesses the finest is that of all.
    let mut finest = f64::INFINITY;
    while let Some(line) = next_line(&mut input, &mut bytes)? {
        let text = String::from_utf8_lossy(&bytes);
        // Comments are what logs of W3C's kind begin with.
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let read = format.matches(&text).and_then(|values| {
            let entry = Entry { format, values };
            let (found, exact) = found(&entry)?;
            Ok((entry, found, exact))
        });
        match read {
            Ok((entry, found, exact)) => {
                finest = finest.min(exact);
                out.attempt(&entry, &defaults, found);
            }
            Err(_) if !line.ended => out.cut_off(),
            Err(problem) => out.unreadable(line.number, problem),
        }
    }
    if finest.is_finite() {
        out.coarser(finest);
    }
    if !format.tells_duration() {
        out.remark(
            "The access log does not tell how long requests took, so that each counts as sent when it was logged."
                .to_owned(),
        );
    }
    Ok(())
}

/// The attempt, and how exactly its times are known in seconds.
fn found(entry: &Entry<'_>) -> Result<(Found, f64), String> {
    let (role, text) = entry.role(|role| matches!(role, Role::Clock(..))).ok_or("no time")?;
    let Role::Clock(edge, form) = role else { return Err("no time".to_owned()) };
    let (clock_ns, mut exact) = form.read(text).ok_or_else(|| format!("the time is no {form}"))?;
    let took = match entry.role(|role| matches!(role, Role::Took(_))) {
        Some((Role::Took(unit), text)) if text != "-" => {
            let seconds = text.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
            let seconds = seconds.ok_or("the duration is no number")? * unit.seconds();
            exact = exact.max(unit.exact());
            Some((seconds * 1e9).round() as i64)
        }
        _ => None,
    };
    let (sent_ns, answered_ns) = match (edge, took) {
        (Edge::Begin, took) => (clock_ns, took.map(|took| clock_ns.saturating_add(took))),
        (Edge::End, Some(took)) => (clock_ns.saturating_sub(took), Some(clock_ns)),
        (Edge::End, None) => (clock_ns, None),
    };
    let status = entry.role(|role| *role == Role::Status).map(|(_, text)| text);
    let status = status.and_then(|text| text.parse::<u16>().ok());
    let status = status.filter(|status| (100..600).contains(status));
    let headers = headers(entry);
    let at = answered_ns.unwrap_or(sent_ns);
    let said = status.map(|status| response::read(status, &headers, b"", at));
    let word = entry.role(|role| *role == Role::LimitStatus).map(|(_, word)| word);
    let decision = match word {
        // nginx says itself what its limit decided.
        Some("REJECTED") => Decision::Refused,
        Some("PASSED" | "DELAYED" | "DELAYED_DRY_RUN" | "REJECTED_DRY_RUN") => Decision::Admitted,
        _ => said.as_ref().map_or(Decision::Unknown, |said| said.decision),
    };
    let found = Found {
        sent_ns,
        answered_ns,
        decision,
        status,
        advice_s: said.as_ref().and_then(|said| said.advice_s),
        quota: said.as_ref().and_then(|said| said.quota),
        named: said.and_then(|said| said.named),
        domain: None,
        doubtful: false,
    };
    Ok((found, exact))
}

/// The response's headers, as far as the log has them.
fn headers(entry: &Entry<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (variable, value) in entry.format.variables.iter().zip(&entry.values) {
        if let Role::Header(name) = &variable.role
            && !matches!(&**value, "" | "-")
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.append(name.clone(), value);
        }
    }
    headers
}
