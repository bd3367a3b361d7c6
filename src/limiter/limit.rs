//! One limiter: a kind, its lockout, and the state of both.

use std::time::Duration;

use super::counter::SlidingCounter;
use super::gcra::Gcra;
use super::log::SlidingLog;
use super::settings::{Decision, Kind, LimiterSettings, Lockout, Quota};
use super::window::{FixedWindow, OnDemandWindow, Windows};
use crate::model::Moment;

/// One limiter with its state. Moments are expected in order; an earlier one counts as the latest
/// seen, as it would for a server that reads its clock under a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limiter {
    settings: LimiterSettings,
    state: State,
    locked_until: Moment,
    latest: Moment,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fixed(FixedWindow),
    OnDemand(OnDemandWindow),
    Log(SlidingLog),
    Counter(SlidingCounter),
    Bucket(Gcra),
    Queue(Gcra),
    Concurrency { limit: u64, held: u64 },
}

impl State {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::FixedWindow { limit, window, phase } => {
                Self::Fixed(FixedWindow::new(limit, Windows::new(window, phase)))
            }
            Kind::OnDemandWindow { limit, window } => {
                Self::OnDemand(OnDemandWindow::new(limit, window))
            }
            Kind::SlidingLog { limit, window } => Self::Log(SlidingLog::new(limit, window)),
            Kind::SlidingCounter { limit, window, phase } => {
                Self::Counter(SlidingCounter::new(limit, Windows::new(window, phase)))
            }
            Kind::TokenBucket { rate, burst } => Self::Bucket(Gcra::new(rate, burst)),
            // The one being served, and those that wait behind it.
            Kind::Queue { rate, depth } => Self::Queue(Gcra::new(rate, depth.saturating_add(1))),
            Kind::Concurrency { limit } => Self::Concurrency { limit: limit.max(1), held: 0 },
        }
    }

    /// `None` when a request would be admitted now, else how long until one would be.
    fn refusal(&self, at: Moment) -> Option<Duration> {
        let wait = match self {
            Self::Fixed(s) => s.wait(at),
            Self::OnDemand(s) => s.wait(at),
            Self::Log(s) => s.wait(at),
            Self::Counter(s) => s.wait(at),
            Self::Bucket(s) | Self::Queue(s) => s.wait(at),
            Self::Concurrency { limit, held } => return (held >= limit).then_some(Duration::ZERO),
        };
        (!wait.is_zero()).then_some(wait)
    }

    fn delay(&self, at: Moment) -> Duration {
        match self {
            Self::Queue(s) => s.delay(at),
            _ => Duration::ZERO,
        }
    }

    fn count(&mut self, at: Moment) {
        match self {
            Self::Fixed(s) => s.count(at),
            Self::OnDemand(s) => s.count(at),
            Self::Log(s) => s.count(at),
            Self::Counter(s) => s.count(at),
            Self::Bucket(s) | Self::Queue(s) => s.count(at),
            Self::Concurrency { held, .. } => *held = held.saturating_add(1),
        }
    }

    fn quota(&self, at: Moment) -> Quota {
        match self {
            Self::Fixed(s) => s.quota(at),
            Self::OnDemand(s) => s.quota(at),
            Self::Log(s) => s.quota(at),
            Self::Counter(s) => s.quota(at),
            Self::Bucket(s) | Self::Queue(s) => s.quota(at),
            Self::Concurrency { limit, held } => Quota {
                limit: *limit,
                remaining: limit.saturating_sub(*held),
                reset: Duration::ZERO,
                window: Duration::ZERO,
            },
        }
    }

    fn change(&mut self, at: Moment, kind: Kind) {
        match (self, kind) {
            (Self::Fixed(s), Kind::FixedWindow { limit, window, phase }) => {
                s.change(limit, Windows::new(window, phase));
            }
            (Self::OnDemand(s), Kind::OnDemandWindow { limit, window }) => s.change(limit, window),
            (Self::Log(s), Kind::SlidingLog { limit, window }) => s.change(limit, window),
            (Self::Counter(s), Kind::SlidingCounter { limit, window, phase }) => {
                s.change(limit, Windows::new(window, phase));
            }
            (Self::Bucket(s), Kind::TokenBucket { rate, burst }) => s.change(at, rate, burst),
            (Self::Queue(s), Kind::Queue { rate, depth }) => {
                s.change(at, rate, depth.saturating_add(1));
            }
            (Self::Concurrency { limit, .. }, Kind::Concurrency { limit: new }) => {
                *limit = new.max(1);
            }
            (other, kind) => *other = Self::new(kind),
        }
    }
}

impl Limiter {
    /// A limiter that nobody has called yet.
    #[must_use]
    pub fn new(settings: &LimiterSettings) -> Self {
        Self {
            settings: *settings,
            state: State::new(settings.kind),
            locked_until: Moment::ZERO,
            latest: Moment::ZERO,
        }
    }

    /// The same limit in the same state, but without its lockout; one that is on ends.
    #[must_use]
    pub fn without_lockout(mut self) -> Self {
        self.settings.lockout = Lockout::None;
        self.locked_until = Moment::ZERO;
        self
    }

    /// Decides one request, and remembers it.
    pub fn decide(&mut self, at: Moment) -> Decision {
        let decision = self.check(at);
        match decision {
            Decision::Admitted { .. } => {
                self.admit(at);
                decision
            }
            Decision::Refused { .. } => Decision::Refused { retry_after: self.refuse(at) },
        }
    }

    /// What [`Self::decide`] would say, without remembering it. The lockout that a refusal would
    /// start is not part of this answer's `retry_after`.
    #[must_use]
    pub fn check(&self, at: Moment) -> Decision {
        let at = at.max(self.latest);
        let locked = self.locked_until.since(at);
        match self.state.refusal(at) {
            Some(wait) => Decision::Refused { retry_after: wait.max(locked) },
            None if !locked.is_zero() => Decision::Refused { retry_after: locked },
            None => Decision::Admitted { delay: self.state.delay(at) },
        }
    }

    /// Records a request that passed every layer.
    pub(super) fn admit(&mut self, at: Moment) {
        self.latest = self.latest.max(at);
        self.state.count(self.latest);
    }

    /// Records a request that this limiter refused, and says when to come back.
    pub(super) fn refuse(&mut self, at: Moment) -> Duration {
        self.latest = self.latest.max(at);
        let at = self.latest;
        self.count_refused(at);
        let locked = self.locked_until > at;
        match self.settings.lockout {
            Lockout::None => {}
            Lockout::Fixed(d) if !locked => self.locked_until = at + d,
            Lockout::Fixed(_) => {}
            Lockout::Extended(d) => self.locked_until = at + d,
        }
        self.state.refusal(at).unwrap_or_default().max(self.locked_until.since(at))
    }

    /// Records a request that was refused, here or by another layer, if such requests count.
    pub(super) fn count_refused(&mut self, at: Moment) {
        self.latest = self.latest.max(at);
        let holds = matches!(self.state, State::Concurrency { .. });
        if self.settings.counts_refused && !holds {
            self.state.count(self.latest);
        }
    }

    /// An admitted request ended. Only a concurrency limit cares.
    pub fn release(&mut self, at: Moment) {
        self.latest = self.latest.max(at);
        if let State::Concurrency { held, .. } = &mut self.state {
            *held = held.saturating_sub(1);
        }
    }

    /// What headers would say at `at`.
    #[must_use]
    pub fn quota(&self, at: Moment) -> Quota {
        let at = at.max(self.latest);
        let quota = self.state.quota(at);
        let locked = self.locked_until.since(at);
        if locked.is_zero() {
            return quota;
        }
        Quota { remaining: 0, reset: quota.reset.max(locked), ..quota }
    }

    /// Puts another limit in force. What was used stays used as far as that has a meaning for the
    /// new limit: the same kind over the same windows keeps its record, another kind starts afresh.
    /// A lockout runs on.
    pub fn change(&mut self, at: Moment, kind: Kind) {
        self.latest = self.latest.max(at);
        self.settings.kind = kind;
        self.state.change(self.latest, kind);
    }

    /// What it is made from.
    #[must_use]
    pub const fn settings(&self) -> &LimiterSettings {
        &self.settings
    }

    /// Whether forgetting this limiter would change no later decision.
    #[must_use]
    pub fn is_idle(&self, at: Moment) -> bool {
        let quota = self.quota(at);
        quota.remaining == quota.limit && quota.reset.is_zero()
    }

    pub(super) const fn latest(&self) -> Moment {
        self.latest
    }
}
