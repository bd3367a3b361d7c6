//! Numbers and findings in the words of a reader.

use crate::infer::study::{
    Figure, Finding, KindName, LimitFinding, LockoutFinding, Reason, ScopeFinding,
};
use crate::model::Factor;

use super::document::How;

/// Four significant digits, and no more zeros than it takes.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= f64::MAX {
        return "∞".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let decimals = usize::try_from(digits.clamp(0, 9)).unwrap_or_default();
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A rate, per second or, where that reads as a whole number and this does not, per minute.
pub(super) fn rate(per_second: f64) -> String {
    let whole = |value: f64| (value - value.round()).abs() < 1e-6 * value.abs();
    if per_second < 1.0 || (!whole(per_second) && whole(per_second * 60.0) && per_second < 10.0) {
        return format!("{}/min", number(per_second * 60.0));
    }
    format!("{}/s", number(per_second))
}

/// A span of time.
pub(super) fn seconds(value: f64) -> String {
    if value.abs() >= f64::MAX {
        return "∞".to_owned();
    }
    match value {
        v if v >= 7_200.0 && v % 3_600.0 == 0.0 => format!("{} h", number(v / 3_600.0)),
        v if v >= 120.0 && v % 60.0 == 0.0 => format!("{} min", number(v / 60.0)),
        v if v > 0.0 && v < 1.0 => format!("{} ms", number(v * 1e3)),
        v => format!("{} s", number(v)),
    }
}

/// Its interval, unless it has no width.
pub(super) fn interval(figure: &Figure, show: impl Fn(f64) -> String) -> String {
    let (low, high) = (show(figure.low), show(figure.high));
    if low == high { String::new() } else { format!("{low} to {high}") }
}

pub(super) fn percent(share: f64) -> String {
    // A probability that rounds to certainty is not one.
    if share < 1.0 && share > 0.999 {
        return "> 99.9 %".to_owned();
    }
    format!("{} %", number((share * 1e3).round() / 10.0))
}

pub(super) const fn kind(kind: KindName) -> &'static str {
    match kind {
        KindName::FixedWindow => "fixed window",
        KindName::OnDemandWindow => "window that begins with a request",
        KindName::SlidingLog => "sliding window",
        KindName::SlidingCounter => "sliding counter",
        KindName::TokenBucket => "token bucket",
        KindName::Queue => "queue",
        KindName::Concurrency => "limit on requests at once",
    }
}

pub(super) const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::SelfLimited => "nobody was refused",
        Reason::TooLittleData => "too little data",
        Reason::NotIdentifiable => "several answers predict the same",
        Reason::SeveralLayers => "several limits, or one that moved",
        Reason::Budget => "the budget ended first",
    }
}

pub(super) const fn how(how: How) -> &'static str {
    match how {
        How::Answered => "it knew what it can find out",
        How::NeverRefused => "nobody was refused at the highest rate that the budget allows",
        How::Requests => "the budget's requests were used up",
        How::Throttles => "the budget's refusals were used up",
        How::Time => "the budget's time was over",
        How::Interrupted => "it was interrupted",
    }
}

/// `per client`, `per tenant and route`, `shared by everybody`.
pub(super) fn scope(factors: &[Factor]) -> String {
    if factors.is_empty() {
        return "shared by everybody".to_owned();
    }
    let words: Vec<_> = factors.iter().map(|factor| factor.as_str()).collect();
    format!("per {}", words.join(" and "))
}

pub(super) fn whole_scope(found: &ScopeFinding) -> String {
    let mut text = scope(&found.factors);
    if !found.alike.is_empty() {
        let others: Vec<_> = found.alike.iter().map(|factors| scope(factors)).collect();
        text += &format!(" (these parties cannot tell it from {})", others.join(", or "));
    }
    text
}

pub(super) fn lockout(found: &LockoutFinding) -> String {
    match found {
        LockoutFinding::None => "none: requests are admitted as soon as the limit allows it".into(),
        LockoutFinding::Advised { seconds: s } => {
            format!("{} are asked for, and were honoured", seconds(s.value))
        }
        LockoutFinding::Fixed { seconds: s } => {
            format!("{} from the refusal that begins it", seconds(s.value))
        }
        LockoutFinding::Extended { seconds: s } => {
            format!("{}, started afresh by every refused request", seconds(s.value))
        }
    }
}

/// Whether a kind is told by a rate and a burst, or by a count in a window.
pub(super) const fn is_windowed(kind: KindName) -> bool {
    matches!(
        kind,
        KindName::FixedWindow
            | KindName::OnDemandWindow
            | KindName::SlidingLog
            | KindName::SlidingCounter
    )
}

/// What is known, if it is.
pub(super) const fn known<T>(finding: &Finding<T>) -> Option<&T> {
    match finding {
        Finding::Known { value, .. } => Some(value),
        Finding::Unknown { .. } => None,
    }
}

/// The answer in a sentence.
pub(super) fn answer(limit: &LimitFinding) -> String {
    let of_kind = known(&limit.kind).copied();
    let (rate_of, burst) = (known(&limit.rate), known(&limit.burst));
    let window = known(&limit.window);
    let what = match (of_kind, rate_of, burst, window) {
        (Some(KindName::Concurrency), _, Some(burst), _) => {
            format!("{} requests at once", number(burst.value))
        }
        (Some(k), _, Some(burst), Some(window)) if is_windowed(k) => {
            format!("a {} of {} in {}", kind(k), number(burst.value), seconds(window.value))
        }
        (Some(k), Some(r), Some(burst), _) => {
            format!("a {} of {}, burst {}", kind(k), rate(r.value), number(burst.value))
        }
        (Some(k), Some(r), None, _) => format!("a {} of {}", kind(k), rate(r.value)),
        (Some(k), None, Some(burst), _) => {
            format!("a {} that admits {} at once", kind(k), number(burst.value))
        }
        (Some(k), ..) => format!("a {}; its numbers are unknown", kind(k)),
        (None, Some(r), Some(burst), _) => {
            format!("{}, burst {}; its kind is unknown", rate(r.value), number(burst.value))
        }
        (None, Some(r), None, _) => format!("{}; its kind and burst are unknown", rate(r.value)),
        (None, None, Some(burst), _) => {
            format!("{} at once; its kind and rate are unknown", number(burst.value))
        }
        (None, None, None, _) => "unknown".to_owned(),
    };
    let whose = known(&limit.scope).map(|found| format!(", {}", scope(&found.factors)));
    let locked = known(&limit.lockout).and_then(|found| match found {
        LockoutFinding::None => None,
        LockoutFinding::Advised { seconds: s } => {
            Some(format!("; a refusal asks for {} of silence", seconds(s.value)))
        }
        LockoutFinding::Fixed { seconds: s } | LockoutFinding::Extended { seconds: s } => {
            Some(format!("; a refusal locks out for {}", seconds(s.value)))
        }
    });
    format!("{what}{}{}", whose.unwrap_or_default(), locked.unwrap_or_default())
}

/// A row of the table of answers: what is asked, the answer, its interval, its confidence, and the evidence; or
/// why it is unknown, and what would tell.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Known { value: String, interval: String, confidence: String, evidence: String },
    Unknown { reason: &'static str, detail: String, experiment: String },
}

fn row<T>(what: &'static str, finding: &Finding<T>, show: impl Fn(&T) -> (String, String)) -> Row {
    let outcome = match finding {
        Finding::Known { value, confidence, evidence } => {
            let (value, interval) = show(value);
            let (confidence, evidence) = (percent(*confidence), evidence.clone());
            Outcome::Known { value, interval, confidence, evidence }
        }
        Finding::Unknown { reason: why, detail, experiment } => Outcome::Unknown {
            reason: reason(*why),
            detail: detail.clone(),
            experiment: experiment.clone(),
        },
    };
    Row { what, outcome }
}

/// Every question that a limit raises, with its answer.
pub(super) fn rows(limit: &LimitFinding) -> Vec<Row> {
    let figure = |show: fn(f64) -> String| move |f: &Figure| (show(f.value), interval(f, show));
    let windowed = known(&limit.kind).is_some_and(|kind| is_windowed(*kind));
    let burst = if windowed { "limit" } else { "burst" };
    let window = if windowed { "window" } else { "time to fill" };
    let mut rows = vec![
        row("kind", &limit.kind, |k| (kind(*k).to_owned(), String::new())),
        row("rate", &limit.rate, figure(rate)),
        row(burst, &limit.burst, figure(number)),
        row(window, &limit.window, figure(seconds)),
        row("scope", &limit.scope, |found| (whole_scope(found), String::new())),
        row("lockout", &limit.lockout, |found| {
            let between = found.seconds().map_or_else(String::new, |s| interval(&s, seconds));
            (lockout(found), between)
        }),
        row("refused requests", &limit.refused_count, |counted| {
            let text = if *counted { "use up quota" } else { "cost nothing" };
            (text.to_owned(), String::new())
        }),
    ];
    if windowed {
        rows.push(row("phase", &limit.phase, figure(seconds)));
    }
    rows
}

/// The headline of a report: the answer first.
pub(super) fn headline(limits: &[LimitFinding], admitted: u64, refused: u64) -> String {
    match limits.first() {
        Some(limit) if answer(limit) != "unknown" => {
            let inside: String =
                limits[1..].iter().map(|l| format!("; inside {}", answer(l))).collect();
            format!("The limit is {}{inside}.", answer(limit))
        }
        _ if refused == 0 => {
            format!("No limit was met: none of {admitted} requests was refused.")
        }
        _ => "There is a limit, and the record does not tell which.".to_owned(),
    }
}
