//! How long a silence the server wants, where it does not say: learned from the resume requests that it
//! refused and the one that it accepted.
//!
//! A lockout of a fixed length counts from the refusal that began it; one that each refused request
//! extends counts from the latest. A series of resume requests brackets both readings; lengths that
//! people choose decide between them.

use std::time::Duration;

use crate::model::Moment;

/// Lockouts that people choose, in seconds, and how often.
const CHOSEN: &[(u64, u32)] = &[
    (1, 2),
    (2, 1),
    (3, 1),
    (5, 2),
    (10, 2),
    (15, 1),
    (20, 1),
    (30, 3),
    (45, 1),
    (60, 3),
    (90, 1),
    (120, 2),
    (180, 1),
    (300, 2),
    (600, 2),
    (900, 1),
    (1_800, 1),
    (3_600, 2),
];

/// The silence that one server wants.
#[derive(Clone, Debug, Default)]
pub(super) struct Silence {
    /// What was found to be enough; zero: a resume request was never refused.
    enough: Duration,
    /// The refusal that began the present series, and the latest of it.
    first: Moment,
    latest: Moment,
    /// When the latest resume request went out, if it has not been answered.
    asked: Option<Moment>,
    /// The longest silences that were too short: since the first refusal, and since the latest.
    short: Option<(Duration, Duration)>,
}

impl Silence {
    /// A pause that is known to be enough, unless the server has changed.
    pub(super) const fn enough(&self) -> Duration {
        self.enough
    }

    /// What an earlier run found to be enough.
    pub(super) fn recalled(enough: Duration) -> Self {
        Self { enough, ..Self::default() }
    }

    /// A throttle: the first of a series, a straggler, or the answer to the resume request.
    pub(super) fn refused(&mut self, at: Moment, first: bool, resume: bool) {
        if first {
            *self = Self { enough: self.enough, first: at, ..Self::default() };
        } else if let Some(asked) = self.asked.filter(|_| resume) {
            self.short = Some((asked.since(self.first), asked.since(self.latest)));
            self.asked = None;
        }
        self.latest = self.latest.max(at);
    }

    /// The resume request went out.
    pub(super) const fn asked(&mut self, now: Moment) {
        self.asked = Some(now);
    }

    /// It was accepted.
    pub(super) fn accepted(&mut self) {
        let (Some(asked), Some(short)) = (self.asked.take(), self.short.take()) else { return };
        let long = (asked.since(self.first), asked.since(self.latest));
        let chosen = CHOSEN.iter().map(|(s, weight)| (Duration::from_secs(*s), *weight));
        let between =
            |d: &Duration| (*d > short.0 && *d <= long.0) || (*d > short.1 && *d <= long.1);
        let likeliest =
            chosen.filter(|(d, _)| between(d)).reduce(|a, b| if b.1 > a.1 { b } else { a });
        self.enough = likeliest.map_or(long.1, |(d, _)| d);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Moment {
        Moment::ZERO + Duration::from_secs_f64(seconds)
    }

    /// Resume requests after the given silences, the last of them accepted.
    fn series(silences: &[f64]) -> Duration {
        let mut silence = Silence::default();
        let mut now = 100.0;
        silence.refused(at(now), true, false);
        for (i, s) in silences.iter().enumerate() {
            now += s;
            silence.asked(at(now));
            if i + 1 == silences.len() {
                silence.accepted();
            } else {
                silence.refused(at(now), false, true);
            }
        }
        silence.enough()
    }

    #[test]
    fn a_fixed_lockout_is_found_between_the_last_refused_and_the_accepted_resume() {
        assert_eq!(series(&[0.8, 1.4, 3.1, 5.5, 12.0, 24.0]), Duration::from_secs(30));
    }

    #[test]
    fn an_extended_lockout_counts_from_the_latest_refusal() {
        assert_eq!(series(&[0.8, 1.4, 3.1, 5.5, 12.0, 24.0, 48.0]), Duration::from_secs(30));
    }

    #[test]
    fn a_resume_that_is_accepted_at_once_teaches_nothing() {
        assert_eq!(series(&[1.0]), Duration::ZERO);
    }
}
