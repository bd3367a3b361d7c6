//! `inin-ratelimit-count`, `-allowed`, `-reset`: Genesys Cloud counts what was used, not what is
//! left, and sends the fields with successes too.

use super::fields::{Line, text};
use super::{Hints, blank, says_something};
use crate::model::Dialect;
use crate::sender::figure::{self, Unreadable};
use crate::sender::server_time::ServerTime;

pub(super) fn read(lines: &[Line<'_>], time: &ServerTime<'_>, hints: &mut Hints) {
    let mut hint = blank(Dialect::Inin);
    let mut used = None;
    for (key, value) in lines {
        let Some(field) = key.strip_prefix("inin-ratelimit-") else { continue };
        let value = text(value).ok_or(Unreadable);
        match field {
            "count" => used = hints.figure(hint.dialect, value.and_then(figure::count)),
            "allowed" => hint.limit = hints.figure(hint.dialect, value.and_then(figure::count)),
            "reset" => {
                let reset = value.and_then(|v| figure::reset(v, time));
                hint.reset = hints.figure(hint.dialect, reset);
            }
            _ => {}
        }
    }
    // The count goes on rising while requests are refused, so it may exceed what is allowed.
    hint.remaining = hint.limit.zip(used).map(|(allowed, used)| allowed.saturating_sub(used));
    if says_something(&hint) {
        hints.push(hint);
    }
}
