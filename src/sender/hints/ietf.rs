//! The IETF's rate limit header fields, whose drafts changed form twice under the same names.
//!
//! `RateLimit` is a dictionary with the key `limit`, `remaining` or `reset` in draft-07 and a list
//! of named items since draft-08; its first characters tell which. `RateLimit-Policy` has a bare
//! integer per policy up to draft-07 and a name since. `RateLimit-Limit` ended with draft-06.

use std::time::Duration;

use super::fields::{Line, text};
use super::structured::{self, NamedPolicy, PlainPolicy, ServiceLimit};
use super::{Hints, blank, name, says_something};
use crate::model::{Dialect, QuotaHint};
use crate::sender::figure::{self, Unreadable};
use crate::sender::server_time::ServerTime;

/// Longer fields are not read.
const FIELD_BYTES_MAX: usize = 4096;

pub(super) fn read(lines: &[Line<'_>], time: &ServerTime<'_>, hints: &mut Hints) {
    let (named, plain) = read_policies(lines, hints);
    read_current(lines, named, &plain, hints);
    read_draft06(lines, &plain, time, hints);
    if hints.quotas.is_empty() {
        // Policies without a count of what is left.
        for policy in plain {
            let window = policy.window;
            hints.push(QuotaHint {
                limit: Some(policy.quota),
                window,
                ..blank(Dialect::IetfDraft07)
            });
        }
    }
}

/// The whole field: its lines joined, as a list over several lines means the same as one.
fn field(lines: &[Line<'_>], wanted: &str) -> Option<Result<String, Unreadable>> {
    let mut joined: Option<String> = None;
    for (_, value) in lines.iter().filter(|(key, _)| *key == wanted) {
        let Some(line) = text(value) else { return Some(Err(Unreadable)) };
        match &mut joined {
            None => joined = Some(line.to_owned()),
            Some(joined) if joined.len() + line.len() > FIELD_BYTES_MAX => {
                return Some(Err(Unreadable));
            }
            Some(joined) => {
                joined.push_str(", ");
                joined.push_str(line);
            }
        }
    }
    joined.map(Ok)
}

fn read_policies(lines: &[Line<'_>], hints: &mut Hints) -> (Vec<NamedPolicy>, Vec<PlainPolicy>) {
    let Some(field) = field(lines, "ratelimit-policy") else { return Default::default() };
    let looks_plain = field.as_ref().is_ok_and(|f| f.starts_with(|c: char| c.is_ascii_digit()));
    field.and_then(|f| structured::policies(&f)).unwrap_or_else(|_| {
        hints.unreadable(if looks_plain { Dialect::IetfDraft07 } else { Dialect::IetfStructured });
        Default::default()
    })
}

/// `RateLimit`, in the form of draft-07 or of those after it.
fn read_current(
    lines: &[Line<'_>],
    named: Vec<NamedPolicy>,
    plain: &[PlainPolicy],
    hints: &mut Hints,
) {
    let mut limits = Vec::new();
    match field(lines, "ratelimit") {
        None => {}
        Some(Err(Unreadable)) => hints.unreadable(Dialect::IetfStructured),
        Some(Ok(field)) if is_draft07(&field) => match structured::draft07(&field) {
            Ok([limit, remaining, reset]) => {
                let reset = reset.map(Duration::from_secs);
                let hint = QuotaHint { limit, remaining, reset, ..blank(Dialect::IetfDraft07) };
                push_with_policies(hint, plain, hints);
            }
            Err(Unreadable) => hints.unreadable(Dialect::IetfDraft07),
        },
        Some(Ok(field)) => match structured::service_limits(&field) {
            Ok(found) => limits = found,
            Err(Unreadable) => hints.unreadable(Dialect::IetfStructured),
        },
    }
    join(named, limits, hints);
}

/// Draft-07 begins with one of its three keys and an equals sign; no named item can.
fn is_draft07(field: &str) -> bool {
    let key = field.split(['=', ',', ';', '"']).next().unwrap_or_default();
    let has_value = field.as_bytes().get(key.len()) == Some(&b'=');
    has_value && matches!(key.trim_end(), "limit" | "remaining" | "reset")
}

/// Joins what is left with the policy of the same name; either may stand alone.
fn join(policies: Vec<NamedPolicy>, mut limits: Vec<ServiceLimit>, hints: &mut Hints) {
    for policy in policies {
        let at = limits.iter().position(|limit| limit.key.joins(&policy.key));
        let limit = at.map(|at| limits.remove(at));
        // A quota of bytes or connections must not be taken for one of requests, so its name says so.
        let shown = match policy.unit.as_str() {
            "" => policy.key.name,
            unit => format!("{} {unit}", policy.key.name),
        };
        hints.push(QuotaHint {
            policy: name(&shown),
            limit: Some(policy.quota),
            remaining: limit.as_ref().map(|l| l.remaining),
            reset: limit.as_ref().and_then(|l| l.reset),
            window: policy.window,
            ..blank(Dialect::IetfStructured)
        });
    }
    for limit in limits {
        hints.push(QuotaHint {
            policy: name(&limit.key.name),
            remaining: Some(limit.remaining),
            reset: limit.reset,
            ..blank(Dialect::IetfStructured)
        });
    }
}

/// `RateLimit-Limit: 100, 100;w=60` with `-Remaining` and `-Reset`.
fn read_draft06(
    lines: &[Line<'_>],
    plain: &[PlainPolicy],
    time: &ServerTime<'_>,
    hints: &mut Hints,
) {
    let mut hint = blank(Dialect::IetfDraft06);
    let mut policies = Vec::new();
    if let Some(field) = field(lines, "ratelimit-limit") {
        match field.and_then(|f| structured::policies(&f)) {
            Ok((named, plain)) if named.is_empty() => policies = plain,
            _ => hints.unreadable(hint.dialect),
        }
    }
    if !policies.is_empty() {
        // The first member is the limit that is nearest; those after it are the policies.
        let first = policies.remove(0);
        (hint.limit, hint.window) = (Some(first.quota), first.window);
    }
    for (key, value) in lines {
        let value = text(value).ok_or(Unreadable);
        match *key {
            "ratelimit-remaining" => {
                hint.remaining = hints.figure(hint.dialect, value.and_then(figure::count));
            }
            "ratelimit-reset" => {
                let reset = value.and_then(|v| figure::reset(v, time));
                hint.reset = hints.figure(hint.dialect, reset);
            }
            _ => {}
        }
    }
    if says_something(&hint) {
        policies.extend(plain.iter().map(|p| PlainPolicy { ..*p }));
        push_with_policies(hint, &policies, hints);
    }
}

/// Adds the current quota, its window taken from the policy of the same limit, and the others.
fn push_with_policies(mut hint: QuotaHint, policies: &[PlainPolicy], hints: &mut Hints) {
    let own = policies.iter().position(|p| hint.limit.is_none_or(|limit| limit == p.quota));
    if let Some(policy) = own.and_then(|at| policies.get(at)) {
        hint.limit = hint.limit.or(Some(policy.quota));
        hint.window = hint.window.or(policy.window);
    }
    let dialect = hint.dialect;
    hints.push(hint);
    for (at, policy) in policies.iter().enumerate() {
        if own != Some(at) {
            let window = policy.window;
            hints.push(QuotaHint { limit: Some(policy.quota), window, ..blank(dialect) });
        }
    }
}
