//! Is it the number of requests at once that is limited? Told from how many were being served at refusals.
//!
//! A refusal needs no service: it has seen the server one round trip ago, and those sent before it that are still
//! unanswered when it comes were being served then. Where service times vary, so does their number at one and the same
//! rate. A limit on a rate does not mind; one on concurrency refuses when there are most, and only then.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// Requests that a refusal is compared with, and how many are remembered.
const COMPARED: usize = 64;
const REMEMBERED: usize = 4_096;
/// With a smaller spread of service times than this, as a share of their mean, nothing can be told from them.
const VARIED: f64 = 0.1;
/// The mean of −ln of a uniform rank is 1. What is more counts for a crowd, up to `ENOUGH`, which says that it is one.
const EXPECTED: f64 = 1.5;
const ENOUGH: f64 = 5.0;
/// Refusals whose crowds are remembered.
const TRIPS: usize = 5;
const SEVERAL: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Moment,
    ended: Moment,
    accepted: bool,
}

/// What is known of crowds.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    sent: VecDeque<Sent>,
    /// A refusal is being dealt with: others of the same epoch tell nothing.
    refusing: bool,
    score: f64,
    trips: VecDeque<u32>,
}

impl Crowd {
    pub(super) fn sent(&mut self, now: Moment) {
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { at: now, ended: Moment::NEVER, accepted: false });
    }

    /// Traffic flows again.
    pub(super) const fn opened(&mut self) {
        self.refusing = false;
    }

    /// A request has ended after which `later` others were sent.
    pub(super) fn ended(&mut self, later: u64, accepted: bool, now: Moment) {
        if let Some(index) = self.index(later) {
            (self.sent[index].ended, self.sent[index].accepted) = (now, accepted);
        }
    }

    fn index(&self, later: u64) -> Option<usize> {
        self.sent.len().checked_sub(usize::try_from(later).ok()?.checked_add(1)?)
    }

    /// How many of those sent before one were being served when it came, if its way there and back takes so long.
    fn served(&self, index: usize, trip: Duration) -> u32 {
        let seen = self.sent[index].at + trip;
        let from = index.saturating_sub(COMPARED * 8);
        self.sent.range(from..index).map(|other| u32::from(other.ended > seen)).sum()
    }

    /// The same one was refused.
    pub(super) fn refused(&mut self, later: u64, now: Moment) {
        let Some(index) = self.index(later) else { return };
        if std::mem::replace(&mut self.refusing, true) || index < COMPARED / 2 {
            return;
        }
        let trip = now.since(self.sent[index].at);
        let crowd = self.served(index, trip);
        let before: Vec<usize> = (index.saturating_sub(COMPARED)..index)
            .filter(|i| self.sent[*i].accepted || self.sent[*i].ended == Moment::NEVER)
            .collect();
        if before.is_empty() || self.spread(&before, trip) < VARIED {
            return;
        }
        let as_crowded = before.iter().filter(|i| self.served(**i, trip) >= crowd).count() as f64;
        let rank = (as_crowded + 0.5) / (before.len() as f64 + 0.5);
        self.score = (self.score - rank.ln() - EXPECTED).clamp(0.0, ENOUGH + 2.0 * EXPECTED);
        if self.trips.len() == TRIPS {
            self.trips.pop_front();
        }
        self.trips.push_back(crowd);
    }

    /// The standard deviation of service times, as a share of their mean.
    fn spread(&self, of: &[usize], trip: Duration) -> f64 {
        let times = of.iter().map(|i| self.sent[*i]).filter(|sent| sent.accepted);
        let times: Vec<f64> = times.map(|s| s.ended.since(s.at + trip).as_secs_f64()).collect();
        let n = times.len().max(1) as f64;
        let mean = times.iter().sum::<f64>() / n;
        let variance = times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n;
        variance.sqrt() / mean.max(1e-9)
    }

    /// How many may be in flight, if concurrency is what is limited.
    pub(super) fn most(&self) -> Option<u32> {
        let mut trips: Vec<u32> = self.trips.iter().copied().collect();
        trips.sort_unstable();
        // Of two in the middle the larger, where there are enough to tell: one too many is refused, and one too few is
        // never found out.
        let enough = trips.len() >= SEVERAL;
        let middle = trips.get((trips.len() - usize::from(!enough && !trips.is_empty())) / 2)?;
        (self.score >= ENOUGH).then_some((*middle).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP_MS: u64 = 20;

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    /// A request every 5 ms, each served for a time of its own; the last of them is refused. `crowded`: it came when
    /// most were being served.
    fn epoch(crowd: &mut Crowd, from_ms: u64, crowded: bool) {
        let slow = |i: u64| crowded == (i > 89);
        let took = |i: u64| TRIP_MS + if slow(i) { 60 } else { 20 } + i % 7 * 3;
        let mut ends: Vec<(u64, u64)> = (0..100).map(|i| (from_ms + i * 5 + took(i), i)).collect();
        ends.sort_unstable();
        let refused_ms = from_ms + 100 * 5 + TRIP_MS;
        let mut ended = ends.into_iter().peekable();
        for i in 0..=100 {
            let now = from_ms + i * 5;
            while let Some((end, id)) = ended.next_if(|(end, _)| *end <= now) {
                crowd.ended(i - 1 - id, true, at(end));
            }
            crowd.sent(at(now));
        }
        while let Some((end, id)) = ended.next_if(|(end, _)| *end <= refused_ms) {
            crowd.ended(100 - id, true, at(end));
        }
        crowd.ended(0, false, at(refused_ms));
        crowd.refused(0, at(refused_ms));
        crowd.opened();
    }

    #[test]
    fn refusals_when_most_are_being_served_are_of_a_limit_on_their_number() {
        let mut crowd = Crowd::default();
        epoch(&mut crowd, 0, true);
        assert_eq!(crowd.most(), None, "once is no proof");
        epoch(&mut crowd, 1_000, true);
        assert!((8..=16).contains(&crowd.most().expect("told")), "{:?}", crowd.most());
    }

    #[test]
    fn refusals_when_few_are_being_served_are_of_another() {
        let mut crowd = Crowd::default();
        (0..10).for_each(|i| epoch(&mut crowd, i * 1_000, false));
        assert_eq!(crowd.most(), None);
    }

    #[test]
    fn between_two_numbers_the_larger_is_tried() {
        let most = |trips: &[u32]| {
            Crowd { score: ENOUGH, trips: trips.iter().copied().collect(), ..Crowd::default() }
                .most()
        };
        assert_eq!((most(&[5, 4, 4, 5]), most(&[4, 4, 5, 4])), (Some(5), Some(4)));
        assert_eq!(most(&[5, 4]), Some(4), "of a few one may be anything");
        assert_eq!(most(&[]), None);
    }
}
