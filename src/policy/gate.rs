//! The gate: the pause that a throttle puts on everybody in a scope.
//!
//! An **epoch** runs from the throttle that closes the gate to the admitted resume request. Every
//! request that was in flight when the gate closed may be refused as well; such stragglers may
//! make the pause longer but never raise the backoff level again, because they are the same
//! piece of news. When the pause is over, one request (the resume) asks; only if it is admitted does
//! traffic flow. A refused resume is fresh news: the next epoch.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::PolicySettings;
use super::silence::Silence;
use crate::model::{Advice, AttemptId, GateState, Moment, PauseMemory};

/// Advice beyond this is not believed and counts as absent: no API asks for silence of more than
/// a day, and a garbled header must not silence a sender for a year.
pub const RETRY_AFTER_OBEYED_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What a refusal advises, where it can be believed.
#[must_use]
pub fn believed(advice: Advice) -> Option<Duration> {
    advice.wait().filter(|wait| *wait <= RETRY_AFTER_OBEYED_MAX)
}

/// Who is refused again before so many were admitted has not waited for long enough, though the resume was admitted: of
/// several gateways one still refuses, or a window that is full lets a trickle through.
const HARDLY_ANY: u32 = 10;

/// A remembered pause beyond this is not believed: the longest that is obeyed, and jitter on top.
const PAUSE_RECALLED_MAX: Duration = Duration::from_secs(25 * 60 * 60);

/// What a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Everything.
    Free,
    /// Slots due at or after the moment may carry the single resume request.
    Resume(Moment),
    /// Nothing before the moment.
    Until(Moment),
    /// Nothing until the resume request has been answered.
    Waiting,
}

/// What a throttle did to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// It began an epoch.
    Began,
    /// It moved the end of the pause.
    Extended,
    /// It changed nothing: the pause already lasts longer.
    Covered,
}

/// One gate.
#[derive(Clone, Debug)]
pub struct Gate {
    state: State,
    /// Epochs in a row without an admitted resume, or with hardly anything admitted after it.
    level: u32,
    /// The level at which it opened the last time, and how many requests were admitted since.
    opened_from: u32,
    admitted: u32,
    /// The length of the latest pause, for decorrelated jitter.
    last_pause: Duration,
    /// When traffic last stopped.
    closed_at: Moment,
    /// The end of the latest pause that a server asked for; an independent record of what
    /// [`Self::state`] should already guarantee.
    forbidden_until: Moment,
    long: bool,
    silence: Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Closed { until: Moment },
    HalfOpen { resume: AttemptId, until: Moment },
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            state: State::Open,
            level: 0,
            opened_from: 0,
            admitted: 0,
            last_pause: Duration::ZERO,
            closed_at: Moment::ZERO,
            forbidden_until: Moment::ZERO,
            long: false,
            silence: Silence::default(),
        }
    }
}

impl Gate {
    /// A gate that is closed for what is left of a pause of an earlier run. `None` for a pause that no run
    /// of this program would have begun: what comes from outside must not silence a sender for ever.
    #[must_use]
    pub fn recalled(pause: &PauseMemory, now: Moment) -> Option<Self> {
        let believed = pause.asked <= RETRY_AFTER_OBEYED_MAX && pause.left <= PAUSE_RECALLED_MAX;
        if pause.left.is_zero() || !believed {
            return None;
        }
        let until = now + pause.left;
        Some(Self {
            state: State::Closed { until },
            level: pause.level,
            last_pause: pause.left,
            closed_at: now,
            forbidden_until: until.min(now + pause.asked),
            long: pause.long,
            ..Self::default()
        })
    }

    /// What an earlier run found to be a silence that is long enough; one that no server asks for is not believed.
    pub fn recall_silence(&mut self, enough: Duration) {
        if enough <= RETRY_AFTER_OBEYED_MAX {
            self.silence = Silence::recalled(enough);
        }
    }

    /// A silence that was found to be enough where refusals do not say; zero: none was.
    #[must_use]
    pub const fn silence(&self) -> Duration {
        self.silence.enough()
    }

    /// What is left of the pause at `now`, for a later run; `None` when it is over.
    #[must_use]
    pub fn pause(&self, now: Moment) -> Option<PauseMemory> {
        let left = self.until().since(now);
        let asked = self.forbidden_until.since(now).min(left);
        let pause = PauseMemory { left, asked, level: self.level, long: self.long };
        (!left.is_zero()).then_some(pause)
    }

    /// What may pass at `now`.
    #[must_use]
    pub fn passage(&self, now: Moment) -> Passage {
        match self.state {
            State::Open => Passage::Free,
            State::Closed { until } if now < until => Passage::Until(until),
            State::Closed { until } => Passage::Resume(until),
            State::HalfOpen { .. } => Passage::Waiting,
        }
    }

    /// A request of the scope was throttled; its headers came at `headers_at`.
    ///
    /// The pause lasts as long as the advice. Where there is none (or none to be believed), it lasts for
    /// an exponential backoff, and at least for what earlier epochs found to be enough. From the second
    /// epoch in a row on, or when hardly anything was admitted since the one before, the advice has proved
    /// too short, so the longer of the two counts. Jitter only ever adds to advice.
    pub fn throttled(
        &mut self,
        attempt: AttemptId,
        headers_at: Moment,
        advice: Advice,
        policy: &PolicySettings,
        rng: &mut impl Rng,
    ) -> Pause {
        let begins = match self.state {
            State::Open => true,
            State::HalfOpen { resume, .. } => resume == attempt,
            State::Closed { .. } => false,
        };
        if self.state == State::Open {
            self.closed_at = headers_at;
            self.level = if self.admitted < HARDLY_ANY { self.opened_from } else { 0 };
        }
        if begins {
            self.level = self.level.saturating_add(1);
        }
        let fresh = self.state == State::Open;
        self.silence.refused(headers_at, fresh, begins && !fresh);
        let advised = believed(advice);
        let pause = self.pause_length(advised, begins, policy, rng);
        let end = headers_at + pause;
        if let Some(wait) = advised {
            self.forbidden_until = self.forbidden_until.max(headers_at + wait);
        }
        let until = if begins { end } else { end.max(self.until()) };
        let result = match (begins, until > self.until()) {
            (true, _) => Pause::Began,
            (false, true) => Pause::Extended,
            (false, false) => Pause::Covered,
        };
        if begins {
            self.last_pause = pause;
        }
        let until = until.max(self.forbidden_until);
        self.long = until.since(headers_at) > policy.retry_after_max || (self.long && !begins);
        self.state = match self.state {
            // A straggler's refusal while the resume is out: its answer still decides, but not
            // before the longer pause is over.
            State::HalfOpen { resume, .. } if !begins => State::HalfOpen { resume, until },
            _ => State::Closed { until },
        };
        result
    }

    fn pause_length(
        &self,
        advised: Option<Duration>,
        begins: bool,
        policy: &PolicySettings,
        rng: &mut impl Rng,
    ) -> Duration {
        let jitter = policy.retry_after_jitter.mul_f64(rng.random::<f64>());
        match advised {
            Some(wait) if begins && self.level > 1 => {
                let backoff = policy.backoff.pause(self.level - 1, self.last_pause, rng);
                (wait + jitter).max(backoff)
            }
            Some(wait) => wait + jitter,
            None => {
                let level = self.level.max(1);
                let learned = self.silence.enough().mul_f64(1.5_f64.powi(level as i32 - 1));
                let learned = learned.min(policy.backoff.cap.max(self.silence.enough()));
                policy.backoff.pause(level, self.last_pause, rng).max(learned)
            }
        }
    }

    /// The resume request went out.
    pub fn resume_sent(&mut self, attempt: AttemptId, now: Moment) {
        self.silence.asked(now);
        self.state = State::HalfOpen { resume: attempt, until: self.until() };
    }

    /// An attempt ended other than throttled. If it is the resume, the gate opens when the limit had
    /// `admitted` it, whatever the API thought of the message; otherwise nothing is known, and another
    /// resume is due after `delay`. Returns how long traffic was held when this opened the gate.
    pub fn ended(
        &mut self,
        attempt: AttemptId,
        admitted: bool,
        now: Moment,
        delay: Duration,
    ) -> Option<Duration> {
        if self.state == State::Open {
            self.admitted = self.admitted.saturating_add(u32::from(admitted));
        }
        let State::HalfOpen { resume, until } = self.state else { return None };
        if resume != attempt {
            return None;
        }
        if admitted && now >= until {
            self.silence.accepted();
            return Some(self.open(now));
        }
        let until = if admitted { until } else { until.max(now + delay) };
        self.state = State::Closed { until };
        None
    }

    /// Opens without a question when the pause is over. Returns how long traffic was held.
    pub fn lapse(&mut self, now: Moment) -> Option<Duration> {
        let State::Closed { until } = self.state else { return None };
        if now < until {
            return None;
        }
        Some(self.open(now))
    }

    fn open(&mut self, now: Moment) -> Duration {
        self.state = State::Open;
        (self.opened_from, self.admitted) = (self.level, 0);
        self.level = 0;
        self.long = false;
        now.since(self.closed_at)
    }

    /// An operator ends a long pause; the next slot is the resume. False when the pause is not long.
    pub fn open_by_operator(&mut self, now: Moment) -> bool {
        if !self.long || !matches!(self.state, State::Closed { .. }) {
            return false;
        }
        self.state = State::Closed { until: now };
        self.forbidden_until = Moment::ZERO;
        self.long = false;
        true
    }

    /// Takes over another gate's pause: the scope was redrawn, and what was asked for still holds.
    pub fn inherit(&mut self, other: &Self) {
        if self.state == State::Open || other.until() > self.until() {
            let until = other.until();
            *self = other.clone();
            if other.state != State::Open {
                self.state = State::Closed { until };
            }
        }
    }

    /// Whether a send at `now` would break a pause that the server asked for: a defect of ours.
    #[must_use]
    pub fn forbids(&self, now: Moment) -> bool {
        now < self.forbidden_until
    }

    /// End of the pause; [`Moment::ZERO`] when open.
    #[must_use]
    pub const fn until(&self) -> Moment {
        match self.state {
            State::Open => Moment::ZERO,
            State::Closed { until } | State::HalfOpen { until, .. } => until,
        }
    }

    /// How long traffic has been held back at `now`; zero when open.
    #[must_use]
    pub fn held_since(&self, now: Moment) -> Duration {
        if self.state == State::Open { Duration::ZERO } else { now.since(self.closed_at) }
    }

    /// Open, closed or half open.
    #[must_use]
    pub const fn state(&self) -> GateState {
        match self.state {
            State::Open => GateState::Open,
            State::Closed { .. } => GateState::Closed,
            State::HalfOpen { .. } => GateState::HalfOpen,
        }
    }

    /// Epochs in a row without an admitted resume, or with hardly anything admitted after it.
    #[must_use]
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// Whether the pause is longer than the configured maximum.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.long
    }
}

#[cfg(test)]
mod tests;
