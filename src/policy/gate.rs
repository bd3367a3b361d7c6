//! The gate: the pause that a throttle puts on everybody in a scope.
//!
//! An **epoch** runs from the throttle that closes the gate to the accepted resume request. Every
//! request that was in flight when the gate closed may be refused as well; such stragglers may
//! make the pause longer but never raise the backoff level again, because they are the same
//! piece of news. When the pause is over, one request (the resume) asks; only if it is accepted does
//! traffic flow. A refused resume is fresh news: the next epoch.

use std::time::Duration;

use rand::{Rng, RngExt};

use super::PolicySettings;
use crate::model::{Advice, AttemptId, GateState, Moment};

/// Advice beyond this is not believed and counts as absent: no API asks for silence of more than
/// a day, and a garbled header must not silence a sender for a year.
pub const RETRY_AFTER_OBEYED_MAX: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// Epochs in a row without an accepted resume.
    level: u32,
    /// The length of the latest pause, for decorrelated jitter.
    last_pause: Duration,
    /// When traffic last stopped.
    closed_at: Moment,
    /// The end of the latest pause that a server asked for; an independent record of what
    /// [`Self::state`] should already guarantee.
    forbidden_until: Moment,
    long: bool,
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
            last_pause: Duration::ZERO,
            closed_at: Moment::ZERO,
            forbidden_until: Moment::ZERO,
            long: false,
        }
    }
}

impl Gate {
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
    /// The pause lasts as long as the advice, or for an exponential backoff where there is none (or
    /// none to be believed). From the second epoch in a row on, the advice has proved too short, so
    /// the longer of the two counts. Jitter only ever adds to advice.
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
        }
        if begins {
            self.level = self.level.saturating_add(1);
        }
        let advised = advice.wait().filter(|wait| *wait <= RETRY_AFTER_OBEYED_MAX);
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
            None => policy.backoff.pause(self.level.max(1), self.last_pause, rng),
        }
    }

    /// The resume request went out.
    pub fn resume_sent(&mut self, attempt: AttemptId) {
        self.state = State::HalfOpen { resume: attempt, until: self.until() };
    }

    /// An attempt ended other than throttled. If it is the resume, the gate opens when it was
    /// `accepted`; otherwise nothing is known, and another resume is due after `delay`. Returns how
    /// long traffic was held when this opened the gate.
    pub fn ended(
        &mut self,
        attempt: AttemptId,
        accepted: bool,
        now: Moment,
        delay: Duration,
    ) -> Option<Duration> {
        let State::HalfOpen { resume, until } = self.state else { return None };
        if resume != attempt {
            return None;
        }
        if accepted && now >= until {
            self.state = State::Open;
            self.level = 0;
            self.long = false;
            return Some(now.since(self.closed_at));
        }
        let until = if accepted { until } else { until.max(now + delay) };
        self.state = State::Closed { until };
        None
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

    /// Epochs in a row without an accepted resume.
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
mod tests {
    use super::*;
    use crate::model::AdviceSource;
    use crate::policy::{BackoffSettings, Jitter, RetryBudgetSettings};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const RESUME: AttemptId = AttemptId(100);
    const POLICY: PolicySettings = PolicySettings {
        backoff: BackoffSettings {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            jitter: Jitter::Equal,
        },
        max_attempts: 5,
        retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
        deadline: Duration::from_secs(300),
        retry_after_max: Duration::from_secs(180),
        retry_after_jitter: Duration::ZERO,
    };

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    fn wait(seconds: u64) -> Advice {
        Advice::Wait(Duration::from_secs(seconds), AdviceSource::RetryAfterSeconds)
    }

    /// A gate with its dice, so that a test reads as a story.
    struct Story(Gate, StdRng);

    impl Story {
        fn new() -> Self {
            Self(Gate::default(), StdRng::seed_from_u64(1))
        }

        fn throttled(&mut self, attempt: u64, seconds: u64, advice: Advice) -> Pause {
            self.0.throttled(AttemptId(attempt), at(seconds), advice, &POLICY, &mut self.1)
        }
    }

    #[test]
    fn an_epoch_cuts_once_however_many_stragglers_follow() {
        let mut story = Story::new();
        assert_eq!(story.throttled(1, 10, wait(30)), Pause::Began);
        assert_eq!(story.throttled(2, 10, wait(30)), Pause::Covered);
        assert_eq!(story.throttled(3, 12, wait(30)), Pause::Extended);
        assert_eq!(story.0.level(), 1);
        assert_eq!(story.0.passage(at(41)), Passage::Until(at(42)));
        assert_eq!(story.0.passage(at(42)), Passage::Resume(at(42)));
    }

    #[test]
    fn traffic_flows_only_after_the_resume_is_accepted() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(30));
        story.0.resume_sent(RESUME);
        assert_eq!(story.0.passage(at(41)), Passage::Waiting);
        assert_eq!(story.0.ended(AttemptId(1), true, at(41), Duration::ZERO), None);
        let held = story.0.ended(RESUME, true, at(41), Duration::ZERO);
        assert_eq!(held, Some(Duration::from_secs(31)));
        assert_eq!((story.0.passage(at(41)), story.0.level()), (Passage::Free, 0));
    }

    #[test]
    fn a_refused_resume_is_the_next_epoch_and_doubts_the_advice() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(1));
        for epoch in 2..8_u64 {
            let now = epoch * 100;
            story.0.resume_sent(RESUME);
            assert_eq!(story.throttled(RESUME.0, now, wait(1)), Pause::Began);
            assert_eq!(u64::from(story.0.level()), epoch);
            let floor = Duration::from_millis(500 << (epoch - 2)).min(Duration::from_secs(30));
            assert!(story.0.until() >= at(now) + floor.max(Duration::from_secs(1)));
        }
    }

    #[test]
    fn a_failed_resume_proves_nothing_and_another_follows() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(30));
        story.0.resume_sent(RESUME);
        assert_eq!(story.0.ended(RESUME, false, at(41), Duration::from_secs(2)), None);
        assert_eq!(story.0.passage(at(42)), Passage::Until(at(43)));
        assert_eq!(story.0.level(), 1);
    }

    #[test]
    fn a_straggler_in_the_half_open_state_postpones_the_opening() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(30));
        story.0.resume_sent(RESUME);
        assert_eq!(story.throttled(2, 41, wait(30)), Pause::Extended);
        assert_eq!(story.0.ended(RESUME, true, at(42), Duration::ZERO), None);
        assert_eq!(story.0.passage(at(70)), Passage::Until(at(71)));
    }

    #[test]
    fn advice_of_more_than_a_day_counts_as_absent() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(24 * 3_600 + 1));
        assert!(story.0.until() <= at(11));
        let mut story = Story::new();
        story.throttled(1, 10, wait(24 * 3_600));
        assert_eq!(story.0.until(), at(10 + 24 * 3_600));
        assert!(story.0.is_long());
    }

    #[test]
    fn an_operator_opens_a_long_pause_and_no_other() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(180));
        assert!(!story.0.open_by_operator(at(20)));
        assert!(story.0.forbids(at(20)));
        story.throttled(2, 11, wait(3_600));
        assert!(story.0.open_by_operator(at(20)));
        assert_eq!(story.0.passage(at(20)), Passage::Resume(at(20)));
        assert!(!story.0.forbids(at(20)), "the operator's word lifts the prohibition");
    }

    #[test]
    fn a_redrawn_scope_inherits_the_pause() {
        let mut story = Story::new();
        story.throttled(1, 10, wait(30));
        story.0.resume_sent(RESUME);
        let mut heir = Gate::default();
        heir.inherit(&story.0);
        assert_eq!(heir.passage(at(20)), Passage::Until(at(40)));
        assert!(heir.forbids(at(39)));
    }
}
