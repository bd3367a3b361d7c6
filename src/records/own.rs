//! Plimsoll's own attempt log: a JSON object in each line. Other programs may write it, too: when a request was sent
//! and its outcome are enough.

use std::borrow::Cow;
use std::io::{self, BufRead};

use serde_json::error::Category;

use super::attempt_line::AttemptLine;
use super::gather::{Fields, Found, Gatherer};
use super::guard::{Guard, next_line};
use crate::infer::study::{Named, Quota};
use crate::model::Factor;

const DEFAULTS: [(Factor, &str); 6] = [
    (Factor::Token, "credential"),
    (Factor::Client, "client"),
    (Factor::User, "user"),
    (Factor::Tenant, "tenant"),
    (Factor::Address, "address"),
    (Factor::Route, "route"),
];

const NAMES: [&str; 12] = [
    "domain",
    "stream",
    "target",
    "credential",
    "client",
    "user",
    "tenant",
    "address",
    "route",
    "outcome",
    "status",
    "attempt",
];

impl Fields for AttemptLine<'_> {
    fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = match name {
            "domain" | "host" => &self.domain,
            "stream" => &self.stream,
            "target" => &self.target,
            "credential" => &self.credential,
            "client" => &self.client,
            "user" => &self.user,
            "tenant" => &self.tenant,
            "address" => &self.address,
            "route" => &self.route,
            "outcome" => &self.outcome,
            "status" => return Some(self.status.map(|s| s.to_string()).unwrap_or_default().into()),
            "attempt" => {
                return Some(self.attempt.map(|n| n.to_string()).unwrap_or_default().into());
            }
            _ => return None,
        };
        Some(Cow::Borrowed(text))
    }

    fn names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }
}

pub(super) fn read(input: impl BufRead, out: &mut Gatherer) -> io::Result<()> {
    let mut input = Guard::new(input);
    let mut text = Vec::new();
    while let Some(line) = next_line(&mut input, &mut text)? {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice::<AttemptLine<'_>>(&text) {
            Ok(attempt) => match found(&attempt) {
                Ok(found) => out.attempt(&attempt, &DEFAULTS, found),
                Err(problem) => out.unreadable(line.number, problem),
            },
            Err(error) => match error.classify() {
                _ if !line.ended => out.cut_off(),
                // Another kind of line: a daemon's own messages, for example.
                Category::Data if is_other(&text) => out.other(),
                Category::Data => out.unreadable(line.number, wrong(&error)),
                _ => out.unreadable(line.number, format!("no JSON, at column {}", error.column())),
            },
        }
    }
    Ok(())
}

/// An object that does not claim to be an attempt.
fn is_other(text: &[u8]) -> bool {
    let object = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text);
    object.is_ok_and(|object| !object.contains_key("sent_at") || !object.contains_key("outcome"))
}

/// What is wrong, without what was found there.
fn wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let wanted = text.split("expected ").nth(1).and_then(|rest| rest.split(" at line").next());
    let wanted = wanted.unwrap_or("what docs/ATTEMPT_LOG.md says");
    format!("wrong type at column {}: {wanted} is wanted", error.column())
}

fn found(line: &AttemptLine<'_>) -> Result<Found, String> {
    let time = |name: &str, text: &str| {
        let ns = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond);
        let ns = ns.and_then(|ns| i64::try_from(ns).ok());
        ns.ok_or_else(|| format!("{name}: no time such as 2026-11-24T14:03:05.123456789Z"))
    };
    let decision =
        line.decision().ok_or("outcome: not one of accepted, throttled, rejected, failed")?;
    let headers = line.headers_at.as_deref().map(|text| time("headers_at", text)).transpose()?;
    // The tightest of those that say how much there is and how much is left.
    let stated = line.quota.iter().filter_map(|q| Some((q, q.limit?, q.remaining?)));
    let share = |(_, limit, left): &(&_, u64, u64)| *left as f64 / *limit as f64;
    let quota = stated.filter(|(_, limit, _)| *limit > 1);
    let quota = quota.min_by(|a, b| share(a).total_cmp(&share(b)));
    let named = line.named_limit.as_ref().map(|named| Named {
        key: named.key.clone().into_owned(),
        namespace: named.namespace.clone().map(Cow::into_owned),
        value: named.value.clone().map(Cow::into_owned),
    });
    Ok(Found {
        sent_ns: time("sent_at", &line.sent_at)?,
        answered_ns: headers,
        decision,
        status: line.status,
        advice_s: line.advice_s.filter(|s| s.is_finite() && *s >= 0.0),
        quota: quota.map(|(q, limit, remaining)| Quota { limit, remaining, reset: q.reset_s }),
        named,
        doubtful: false,
        domain: Some(line.domain.to_string()).filter(|domain| !domain.is_empty()),
    })
}
