//! What is different from an earlier report. Something has changed only when both know it and their intervals
//! do not overlap: noise must not wake anybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Report;
use super::words::{self, known};
use crate::infer::study::{Figure, Finding, LimitFinding, LockoutFinding, ScopeFinding};
use crate::model::Factor;

/// Two reports compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// When the earlier record began (RFC 3339).
    pub since: Option<String>,
    /// One for each aspect of the limit.
    pub aspects: Vec<Change>,
}

/// One aspect of the limit, then and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Of which limit: 0 for the one that binds first, 1 for the one around it.
    #[serde(default)]
    pub limit: usize,
    /// Which.
    pub aspect: Aspect,
    /// How it stands.
    pub standing: Standing,
    /// What it was.
    pub before: String,
    /// What it is.
    pub now: String,
}

/// What of a limit is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// The kind of limiter.
    Kind,
    /// The sustained rate.
    Rate,
    /// Requests at once, or in a window.
    Burst,
    /// The window.
    Window,
    /// Who shares it.
    Scope,
    /// What a refusal brings.
    Lockout,
}

impl Aspect {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Rate => "rate",
            Self::Burst => "burst",
            Self::Window => "window",
            Self::Scope => "scope",
            Self::Lockout => "lockout",
        }
    }
}

/// How an aspect stands to what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing speaks for a change.
    Same,
    /// It has changed.
    Changed,
    /// One of the two does not know it.
    Unclear,
}

impl Changes {
    /// Holds a report against an earlier one.
    pub(super) fn between(earlier: &Report, now: &Report) -> Self {
        let since = earlier.began.clone();
        let (before, after) = (&earlier.conclusion.limits, &now.conclusion.limits);
        let both = before.iter().zip(after).enumerate();
        let mut all: Vec<Change> = both.flat_map(|(i, (b, n))| aspects(i, b, n)).collect();
        // One that only one of them has met may not have been looked for by the other.
        for i in before.len().min(after.len()).max(1)..before.len().max(after.len()) {
            let text = |limits: &[LimitFinding]| {
                limits.get(i).map_or_else(|| "none was met".to_owned(), words::answer)
            };
            let (before, now) = (text(before), text(after));
            let (aspect, standing) = (Aspect::Kind, Standing::Unclear);
            all.push(Change { limit: i, aspect, standing, before, now });
        }
        Self { since, aspects: all }
    }

    /// Whether anything has changed.
    #[must_use]
    pub fn any(&self) -> bool {
        self.aspects.iter().any(|change| change.standing == Standing::Changed)
    }

    /// Each in a line: `rate: 100/s, now 60/s`.
    pub(super) fn lines(&self, standing: Standing) -> Vec<String> {
        let those = self.aspects.iter().filter(|change| change.standing == standing);
        let of = |limit: usize| if limit > 0 { "limit around it, " } else { "" };
        let line = |c: &Change| {
            format!("{}{}: {}, now {}", of(c.limit), c.aspect.as_str(), c.before, c.now)
        };
        those.map(line).collect()
    }
}

fn aspects(limit: usize, before: &LimitFinding, now: &LimitFinding) -> Vec<Change> {
    let changes = [
        compare(Aspect::Kind, &before.kind, &now.kind, |k| words::kind(*k).into(), |a, b| a != b),
        figure(Aspect::Rate, &before.rate, &now.rate, words::rate),
        figure(Aspect::Burst, &before.burst, &now.burst, words::number),
        figure(Aspect::Window, &before.window, &now.window, words::seconds),
        compare(Aspect::Scope, &before.scope, &now.scope, words::whole_scope, scopes_differ),
        compare(Aspect::Lockout, &before.lockout, &now.lockout, words::lockout, lockouts_differ),
    ];
    changes.map(|change| Change { limit, ..change }).into()
}

fn figure(
    aspect: Aspect,
    before: &Finding<Figure>,
    now: &Finding<Figure>,
    show: fn(f64) -> String,
) -> Change {
    let with_interval = |figure: &Figure| {
        let interval = words::interval(figure, show);
        let interval = if interval.is_empty() { interval } else { format!(" ({interval})") };
        format!("{}{interval}", show(figure.value))
    };
    compare(aspect, before, now, with_interval, apart)
}

fn compare<T>(
    aspect: Aspect,
    before: &Finding<T>,
    now: &Finding<T>,
    show: impl Fn(&T) -> String,
    differ: impl Fn(&T, &T) -> bool,
) -> Change {
    let standing = match (known(before), known(now)) {
        (Some(a), Some(b)) if differ(a, b) => Standing::Changed,
        (Some(_), Some(_)) => Standing::Same,
        _ => Standing::Unclear,
    };
    let text = |finding| known(finding).map_or_else(|| "unknown".to_owned(), &show);
    Change { limit: 0, aspect, standing, before: text(before), now: text(now) }
}

fn apart(a: &Figure, b: &Figure) -> bool {
    a.high < b.low || b.high < a.low
}

/// A scope that either of them cannot tell from the other's is the same.
fn scopes_differ(a: &ScopeFinding, b: &ScopeFinding) -> bool {
    let may_be = |found: &ScopeFinding, factors: &Vec<Factor>| {
        found.factors == *factors || found.alike.iter().any(|other| other == factors)
    };
    let readings = std::iter::once(&b.factors).chain(&b.alike);
    !readings.into_iter().any(|factors| may_be(a, factors))
}

fn lockouts_differ(a: &LockoutFinding, b: &LockoutFinding) -> bool {
    use LockoutFinding::{Extended, Fixed, None};
    match (a, b) {
        (None, None) => false,
        (Fixed { seconds: a }, Fixed { seconds: b })
        | (Extended { seconds: a }, Extended { seconds: b }) => apart(a, b),
        _ => true,
    }
}
