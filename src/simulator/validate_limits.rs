//! Limits: which keys each kind needs, and which it has no use for.

use std::time::Duration;

use super::settings_limits::{AppliesTo, ChangeSettings, LimitKind, LimitSettings, LockoutKind};
use super::validate::{Limit, Problems};
use crate::limiter::{Kind, Layer, LimiterSettings, Lockout};
use crate::model::{Factor, Moment, Rate, Scope};

/// `None` when something is wrong, which is then among the problems.
pub(super) fn limit(path: &str, limit: &LimitSettings, problems: &mut Problems) -> Option<Limit> {
    let named = !limit.name.is_empty()
        && limit.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !named {
        let message = format!("got {:?}; allowed: letters, digits, '.', '_', '-'", limit.name);
        problems.add(format!("{path}.name"), message);
    }
    if limit.applies_to == AppliesTo::Login {
        login(path, limit, problems);
    }
    let lockout = lockout(path, limit, problems);
    let kind = kind(path, limit, problems)?;
    let changes = changes(path, limit, problems);
    let scope = Scope::Shared(limit.scope.iter().copied().collect());
    let limiter = LimiterSettings { kind, lockout: lockout?, counts_refused: limit.counts_refused };
    let key = if limit.key.is_empty() { &limit.name } else { &limit.key };
    Some(Limit {
        layer: Layer { name: limit.name.as_str().into(), scope, limiter },
        applies_to: limit.applies_to,
        refusal: limit.refusal,
        key: key.as_str().into(),
        namespace: limit.namespace.as_str().into(),
        changes,
    })
}

/// At the login there is no token yet, and no operation.
fn login(path: &str, limit: &LimitSettings, problems: &mut Problems) {
    for factor in &limit.scope {
        if matches!(factor, Factor::Token | Factor::Route) {
            let message =
                format!("got {factor}; allowed at the login: client, user, tenant, address");
            problems.add(format!("{path}.scope"), message);
        }
    }
    if limit.kind == LimitKind::Concurrency {
        let message = "got concurrency; allowed at the login: every other kind, because a token is \
                       granted at once";
        problems.add(format!("{path}.kind"), message);
    }
}

fn lockout(path: &str, limit: &LimitSettings, problems: &mut Problems) -> Option<Lockout> {
    let length = limit.lockout.map(|d| d.0).filter(|d| !d.is_zero());
    match (limit.lockout_kind, length) {
        (LockoutKind::None, None) => Some(Lockout::None),
        (LockoutKind::Fixed, Some(d)) => Some(Lockout::Fixed(d)),
        (LockoutKind::Extended, Some(d)) => Some(Lockout::Extended(d)),
        (LockoutKind::None, Some(_)) => {
            let message = "has a length but lockout_kind is \"none\"; allowed: fixed or extended";
            problems.add(format!("{path}.lockout"), message);
            None
        }
        (_, None) => {
            let message = "missing or zero; needed by lockout_kind, such as \"30s\"";
            problems.add(format!("{path}.lockout"), message);
            None
        }
    }
}

/// The keys that one kind of limit reads.
struct Keys<'a> {
    path: &'a str,
    settings: &'a LimitSettings,
    problems: &'a mut Problems,
}

impl Keys<'_> {
    fn missing<T>(&mut self, key: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            let kind = self.kind();
            self.problems.add(format!("{}.{key}", self.path), format!("missing; {kind} needs it"));
        }
        value
    }

    fn limit(&mut self) -> Option<u64> {
        self.missing("limit", self.settings.limit.filter(|n| *n > 0))
    }

    fn window(&mut self) -> Option<Duration> {
        let window = self.settings.window.map(|d| d.0).filter(|d| !d.is_zero());
        self.missing("window", window)
    }

    fn rate(&mut self) -> Option<Rate> {
        self.missing("rate", self.settings.rate)
    }

    fn kind(&self) -> &'static str {
        match self.settings.kind {
            LimitKind::FixedWindow => "fixed_window",
            LimitKind::OnDemandWindow => "on_demand_window",
            LimitKind::SlidingLog => "sliding_log",
            LimitKind::SlidingCounter => "sliding_counter",
            LimitKind::TokenBucket => "token_bucket",
            LimitKind::Queue => "queue",
            LimitKind::Concurrency => "concurrency",
        }
    }

    /// A key that is set but not read would mislead who wrote it.
    fn refuse_others(&mut self, read: &[&str]) {
        let s = self.settings;
        let keys = [
            ("limit", s.limit.is_some()),
            ("window", s.window.is_some()),
            ("phase", s.phase.is_some()),
            ("rate", s.rate.is_some()),
            ("burst", s.burst.is_some()),
            ("depth", s.depth.is_some()),
        ];
        for (key, set) in keys {
            if set && !read.contains(&key) {
                let message =
                    format!("{} does not read it; allowed: {}", self.kind(), read.join(", "));
                self.problems.add(format!("{}.{key}", self.path), message);
            }
        }
    }
}

fn kind(path: &str, settings: &LimitSettings, problems: &mut Problems) -> Option<Kind> {
    let mut keys = Keys { path, settings, problems };
    let phase = settings.phase.map(|d| d.0).unwrap_or_default();
    match settings.kind {
        LimitKind::FixedWindow => {
            keys.refuse_others(&["limit", "window", "phase"]);
            let (limit, window) = (keys.limit(), keys.window());
            Some(Kind::FixedWindow { limit: limit?, window: window?, phase })
        }
        LimitKind::OnDemandWindow => {
            keys.refuse_others(&["limit", "window"]);
            let (limit, window) = (keys.limit(), keys.window());
            Some(Kind::OnDemandWindow { limit: limit?, window: window? })
        }
        LimitKind::SlidingLog => {
            keys.refuse_others(&["limit", "window"]);
            let (limit, window) = (keys.limit(), keys.window());
            Some(Kind::SlidingLog { limit: limit?, window: window? })
        }
        LimitKind::SlidingCounter => {
            keys.refuse_others(&["limit", "window", "phase"]);
            let (limit, window) = (keys.limit(), keys.window());
            Some(Kind::SlidingCounter { limit: limit?, window: window?, phase })
        }
        LimitKind::TokenBucket => {
            keys.refuse_others(&["rate", "burst"]);
            Some(Kind::TokenBucket {
                rate: keys.rate()?,
                burst: settings.burst.unwrap_or(1).max(1),
            })
        }
        LimitKind::Queue => {
            keys.refuse_others(&["rate", "depth"]);
            Some(Kind::Queue { rate: keys.rate()?, depth: settings.depth.unwrap_or(0) })
        }
        LimitKind::Concurrency => {
            keys.refuse_others(&["limit"]);
            Some(Kind::Concurrency { limit: keys.limit()? })
        }
    }
}

/// Each change is the limit as it stands by then, with what the change names replaced.
fn changes(path: &str, limit: &LimitSettings, problems: &mut Problems) -> Vec<(Moment, Kind)> {
    let mut now = limit.clone();
    let mut valid = Vec::new();
    let mut last = None;
    for (i, change) in limit.changes.iter().enumerate() {
        let path = format!("{path}.changes[{i}]");
        let ChangeSettings { after, limit, rate, burst, depth } = change;
        if last.is_some_and(|l| after.0 <= l) {
            let message = format!("got {after}; allowed: later than the change before it");
            problems.add(format!("{path}.after"), message);
        }
        last = Some(after.0);
        if limit.is_none() && rate.is_none() && burst.is_none() && depth.is_none() {
            problems.add(&path, "changes nothing; allowed: limit, rate, burst or depth");
        }
        now.limit = limit.or(now.limit);
        now.rate = rate.or(now.rate);
        now.burst = burst.or(now.burst);
        now.depth = depth.or(now.depth);
        valid.extend(kind(&path, &now, problems).map(|kind| (Moment::ZERO + after.0, kind)));
    }
    valid
}
