//! Slowing down while answers take too long, where configuration asks for it.
//!
//! A quota refuses fast, so slow answers say nothing about a limit; but a server that is drowning may
//! be spared. This is why it is off unless a duration is configured.

use std::time::Duration;

use crate::model::{Answer, Moment};

/// Over how long answers are averaged, in seconds.
const AVERAGED_S: f64 = 2.0;
/// How often the rate is changed, how far down it goes at once, how far up, and how far at most.
const PERIOD: Duration = Duration::from_secs(2);
const DOWN: f64 = 0.9;
const UP: f64 = 1.03;
const LEAST: f64 = 0.1;

/// The average, and what it makes of the rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    average_s: Option<f64>,
    averaged_at: Moment,
    share: f64,
    changed_at: Moment,
}

impl Default for Latency {
    fn default() -> Self {
        Self { average_s: None, averaged_at: Moment::ZERO, share: 1.0, changed_at: Moment::ZERO }
    }
}

impl Latency {
    /// The share of the rate that is left.
    pub(super) const fn share(&self) -> f64 {
        self.share
    }

    /// Since when the rate has been lower for this reason.
    pub(super) fn slowed_at(&self) -> Option<Moment> {
        (self.share < 1.0).then_some(self.changed_at)
    }

    pub(super) fn answered(&mut self, answer: &Answer, most: Option<Duration>, now: Moment) {
        let Some(most) = most else {
            self.share = 1.0;
            return;
        };
        let took = answer.done_at.since(answer.sent_at).as_secs_f64();
        let weight = 1.0 - (-now.since(self.averaged_at).as_secs_f64() / AVERAGED_S).exp();
        let average = self.average_s.map_or(took, |average| average + weight * (took - average));
        self.average_s = Some(average);
        self.averaged_at = now;
        if now.since(self.changed_at) < PERIOD {
            return;
        }
        let share = if average > most.as_secs_f64() { self.share * DOWN } else { self.share * UP };
        let share = share.clamp(LEAST, 1.0);
        if share != self.share {
            self.share = share;
            self.changed_at = now;
        }
    }
}
