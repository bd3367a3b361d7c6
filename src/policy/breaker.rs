//! The circuit breaker: an API that is down is asked once in a while, not at the full rate.
//!
//! It opens after so many failures in a row, and nothing is sent for a pause. Then one request, the trial,
//! asks: any answer at all, a refusal included, says that the API is back. A failed trial opens it again, for
//! twice as long. What was in flight when it opened is the same piece of news, and changes nothing.

use std::time::Duration;

use rand::Rng;

use super::{BackoffSettings, Passage};
use crate::model::{AttemptId, BreakerState, Moment};

/// What a breaker is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it; 0: none ever do.
    pub failures: u32,
    /// How long it stays open before the trial.
    pub pause: BackoffSettings,
}

/// What the end of an attempt did to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trip {
    /// Nothing that anybody has to know.
    None,
    /// It opened; nothing is sent before this.
    Opened(Moment),
    /// The trial was answered: traffic flows. For how long it had not.
    Closed(Duration),
}

/// The breaker of one limit domain.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    state: State,
    /// Failures since the latest answer.
    failures: u32,
    /// Times in a row that it opened.
    opened: u32,
    last_pause: Duration,
    since: Moment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Moment,
    },
    HalfOpen {
        trial: AttemptId,
    },
}

impl Breaker {
    /// What may pass at `now`; [`Passage::Resume`] is the trial.
    #[must_use]
    pub fn passage(&self, now: Moment) -> Passage {
        match self.state {
            State::Closed => Passage::Free,
            State::Open { until } if now < until => Passage::Until(until),
            State::Open { until } => Passage::Resume(until),
            State::HalfOpen { .. } => Passage::Waiting,
        }
    }

    /// The trial went out.
    pub const fn trial_sent(&mut self, attempt: AttemptId) {
        self.state = State::HalfOpen { trial: attempt };
    }

    /// An attempt ended: with an answer of whatever kind, or `failed`.
    pub fn ended(
        &mut self,
        attempt: AttemptId,
        failed: bool,
        settings: &BreakerSettings,
        now: Moment,
        rng: &mut impl Rng,
    ) -> Trip {
        match (self.state, failed) {
            (State::Closed, false) => {
                self.failures = 0;
                Trip::None
            }
            (State::Closed, true) => {
                self.failures = self.failures.saturating_add(1);
                if settings.failures == 0 || self.failures < settings.failures {
                    return Trip::None;
                }
                self.since = now;
                self.open(settings, now, rng)
            }
            (State::HalfOpen { trial }, false) if trial == attempt => self.close(now),
            (State::HalfOpen { trial }, true) if trial == attempt => {
                self.failures = self.failures.saturating_add(1);
                self.open(settings, now, rng)
            }
            _ => Trip::None,
        }
    }

    fn open(&mut self, settings: &BreakerSettings, now: Moment, rng: &mut impl Rng) -> Trip {
        self.opened = self.opened.saturating_add(1);
        self.last_pause = settings.pause.pause(self.opened, self.last_pause, rng);
        let until = now + self.last_pause;
        self.state = State::Open { until };
        Trip::Opened(until)
    }

    fn close(&mut self, now: Moment) -> Trip {
        let held = now.since(self.since);
        *self = Self::default();
        Trip::Closed(held)
    }

    /// Configuration takes breakers away: traffic flows.
    pub fn switch_off(&mut self, now: Moment) -> Trip {
        if self.state == State::Closed { Trip::None } else { self.close(now) }
    }

    /// Closed, open or half open.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When the trial may go out; `None` unless it is open.
    #[must_use]
    pub const fn until(&self) -> Option<Moment> {
        match self.state {
            State::Open { until } => Some(until),
            _ => None,
        }
    }

    /// Failures since the latest answer.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Jitter;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const SETTINGS: BreakerSettings = BreakerSettings {
        failures: 3,
        pause: BackoffSettings {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(8),
            jitter: Jitter::Equal,
        },
    };

    fn at(s: f64) -> Moment {
        Moment::ZERO + Duration::from_secs_f64(s)
    }

    fn tripped(rng: &mut StdRng) -> Breaker {
        let mut breaker = Breaker::default();
        for id in 0..3 {
            breaker.ended(AttemptId(id), true, &SETTINGS, at(1.0), rng);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        breaker
    }

    #[test]
    fn it_takes_failures_in_a_row() {
        let rng = &mut StdRng::seed_from_u64(1);
        let mut breaker = Breaker::default();
        for failed in [true, true, false, true, true] {
            let trip = breaker.ended(AttemptId(0), failed, &SETTINGS, at(1.0), rng);
            assert_eq!((trip, breaker.passage(at(1.0))), (Trip::None, Passage::Free));
        }
        let trip = breaker.ended(AttemptId(0), true, &SETTINGS, at(1.0), rng);
        assert_eq!(trip, Trip::Opened(at(2.0)));
        assert_eq!(breaker.passage(at(1.9)), Passage::Until(at(2.0)));
        assert_eq!(breaker.passage(at(2.5)), Passage::Resume(at(2.0)));
    }

    #[test]
    fn only_the_trial_decides_and_pauses_grow_to_the_cap() {
        let rng = &mut StdRng::seed_from_u64(1);
        let mut breaker = tripped(rng);
        let (mut now, mut pauses) = (at(100.0), Vec::new());
        for id in 10..16 {
            breaker.trial_sent(AttemptId(id));
            assert_eq!(breaker.passage(now), Passage::Waiting);
            for failed in [true, false] {
                let straggler = breaker.ended(AttemptId(1), failed, &SETTINGS, now, rng);
                assert_eq!(straggler, Trip::None);
            }
            let Trip::Opened(until) = breaker.ended(AttemptId(id), true, &SETTINGS, now, rng)
            else {
                panic!("it opens again")
            };
            pauses.push(until.since(now).as_secs_f64());
            now = until;
        }
        assert!(pauses[0] >= 1.0 && pauses[0] <= 2.0, "{pauses:?}");
        assert!(pauses[5] >= 4.0 && pauses[5] <= 8.0, "{pauses:?}");
        breaker.trial_sent(AttemptId(20));
        let closed = breaker.ended(AttemptId(20), false, &SETTINGS, now, rng);
        assert_eq!(closed, Trip::Closed(now.since(at(1.0))));
        assert_eq!((breaker.passage(now), breaker.failures()), (Passage::Free, 0));
    }

    #[test]
    fn none_opens_when_there_are_to_be_none() {
        let rng = &mut StdRng::seed_from_u64(1);
        let off = BreakerSettings { failures: 0, ..SETTINGS };
        let mut breaker = Breaker::default();
        for id in 0..1_000 {
            assert_eq!(breaker.ended(AttemptId(id), true, &off, at(1.0), rng), Trip::None);
        }
        assert!(matches!(tripped(rng).switch_off(at(3.0)), Trip::Closed(_)));
    }
}
