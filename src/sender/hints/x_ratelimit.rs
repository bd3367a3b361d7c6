//! `X-RateLimit-*` and what its users made of it: suffixes for several quotas (`-Limit-Requests`,
//! `-Remaining-Minute`), buckets, scopes, and a reset in any unit.

use std::time::Duration;

use super::fields::{Line, text};
use super::{Hints, QUOTAS_MAX, blank, name, says_something};
use crate::model::{Dialect, NamedLimit, QuotaHint};
use crate::sender::figure::{self, Unreadable};
use crate::sender::server_time::ServerTime;

const DIALECT: Dialect = Dialect::XRateLimit;
/// Suffixes that state the window.
const WINDOWS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];

/// One quota under construction: the fields that share a suffix.
struct Group<'a> {
    suffix: &'a str,
    hint: QuotaHint,
}

pub(super) fn read(lines: &[Line<'_>], time: &ServerTime<'_>, hints: &mut Hints) {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let (mut bucket, mut scope, mut global, mut reset_after) = (None, None, false, None);
    for (key, value) in lines {
        let stem = key.strip_prefix("x-ratelimit-").or_else(|| key.strip_prefix("x-rate-limit-"));
        let Some(field) = stem else { continue };
        let value = text(value).ok_or(Unreadable);
        match field {
            "bucket" | "resource" => bucket = value.ok().and_then(name),
            "scope" => scope = value.ok().and_then(name),
            "global" => global = value == Ok("true"),
            "reset-after" => {
                reset_after = hints.figure(DIALECT, value.and_then(|v| figure::reset(v, time)));
            }
            _ => read_figure(field, value, time, &mut groups, hints),
        }
    }
    if let Some(wait) = reset_after {
        // It needs no clock, so it is better than the point in time that stands beside it.
        if let Some(hint) = group(&mut groups, "") {
            hint.reset = Some(wait);
        }
    }
    if scope.is_some() || global {
        let key = if global { Some("global".into()) } else { bucket.clone() };
        hints.named_limit =
            key.map(|key| Box::new(NamedLimit { key, namespace: scope, value: None }));
    }
    for Group { suffix, mut hint } in groups {
        hint.policy = if suffix.is_empty() { bucket.take() } else { name(suffix) };
        hint.window = WINDOWS
            .iter()
            .find(|(unit, _)| *unit == suffix)
            .map(|(_, seconds)| Duration::from_secs(*seconds));
        if says_something(&hint) {
            hints.push(hint);
        }
    }
}

fn read_figure<'a>(
    field: &'a str,
    value: Result<&str, Unreadable>,
    time: &ServerTime<'_>,
    groups: &mut Vec<Group<'a>>,
    hints: &mut Hints,
) {
    let (kind, suffix) = field.split_once('-').unwrap_or((field, ""));
    if !matches!(kind, "limit" | "remaining" | "reset") {
        return;
    }
    let Some(hint) = group(groups, suffix) else { return };
    // Gateways write policies behind the figure, as in `100, 100;window=60`.
    let first = value.map(|v| v.split([',', ';']).next().unwrap_or_default().trim());
    match kind {
        "limit" => hint.limit = hints.figure(DIALECT, first.and_then(figure::count)),
        "remaining" => hint.remaining = hints.figure(DIALECT, first.and_then(figure::count)),
        // Not cut at a comma: dates contain one.
        _ => hint.reset = hints.figure(DIALECT, value.and_then(|v| figure::reset(v, time))),
    }
}

/// The hint of a suffix, begun where it is new; `None` when there are too many.
fn group<'a, 'g>(groups: &'g mut Vec<Group<'a>>, suffix: &'a str) -> Option<&'g mut QuotaHint> {
    let at = match groups.iter().position(|g| g.suffix == suffix) {
        Some(at) => at,
        None if groups.len() < QUOTAS_MAX => {
            groups.push(Group { suffix, hint: blank(DIALECT) });
            groups.len() - 1
        }
        None => return None,
    };
    groups.get_mut(at).map(|g| &mut g.hint)
}
