//! Whose turn is it: the ticks of one shared plan, dealt out to several streams by weight.
//!
//! Streams that share a limit share one evenly spaced plan, so that requests arrive evenly whatever
//! the number of streams. Each has a share of the total by its weight, at most its own ceiling.
//! At any tick a stream has had its share of the ticks so far, to within one; and no stream's
//! slots are ever closer than its ceiling allows, with one slot of tolerance. Deterministic.

use std::time::Duration;

use crate::model::{Moment, StreamId};

/// A lag beyond this is not made up for: who could not send for long must not crowd out the rest.
const LAG_MAX: f64 = 2.0;

/// What one stream may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The stream.
    pub stream: StreamId,
    /// Its part in relation to the others'; above zero.
    pub weight: f64,
    /// The most it may have, per second; above zero.
    pub ceiling: f64,
}

/// The streams of one plan and what each has had.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// In the order of their streams.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    claim: Claim,
    /// Between its slots at its ceiling.
    spacing: Duration,
    /// Slots per second that it gets.
    share: f64,
    /// Of each tick, and its inverse: ticks for one slot.
    part: f64,
    ticks: f64,
    /// Ticks that are its by right and that it has not had; between −1 and 1 as a rule.
    lag: f64,
    /// When its next slot would be due at its ceiling.
    earliest: Moment,
}

impl Entry {
    /// Whether a slot at `at` keeps to its ceiling, one slot of tolerance included.
    fn is_free(&self, at: Moment) -> bool {
        self.earliest <= at + self.spacing
    }

    /// Ticks until it falls behind by a whole one.
    fn urgency(&self) -> f64 {
        (1.0 - self.lag) * self.ticks
    }

    fn takes(&mut self, at: Moment) {
        self.earliest = self.earliest.max(at) + self.spacing;
    }

    /// Takes several that were due by `at`, one after the other.
    fn took(&mut self, count: u64, at: Moment) {
        let all = self.spacing.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
        self.earliest = self.earliest.max(at - all) + all;
    }
}

impl Turns {
    /// Takes the streams there are and divides `total` per second among them; what each has had so
    /// far is kept. Returns the sum of the shares, which is less where the ceilings allow no more.
    pub fn divide(
        &mut self,
        total: f64,
        claims: impl IntoIterator<Item = Claim>,
        now: Moment,
    ) -> f64 {
        let mut entries: Vec<Entry> = claims
            .into_iter()
            .map(|claim| match self.position(claim.stream) {
                Some(at) => self.entries[at].clone().claiming(claim, now),
                None => Entry::new(claim, now),
            })
            .collect();
        entries.sort_by_key(|entry| entry.claim.stream);
        self.entries = entries;
        self.share_out(total)
    }

    /// Divides another total among the same streams.
    pub fn share_out(&mut self, total: f64) -> f64 {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let fills_at = |entry: &Entry| entry.claim.ceiling / entry.claim.weight;
        order.sort_by(|a, b| fills_at(&self.entries[*a]).total_cmp(&fills_at(&self.entries[*b])));
        let mut weight: f64 = self.entries.iter().map(|entry| entry.claim.weight).sum();
        let mut left = total;
        for index in order {
            let entry = &mut self.entries[index];
            let level = if weight > 0.0 { left / weight } else { 0.0 };
            entry.share = (level * entry.claim.weight).clamp(0.0, entry.claim.ceiling);
            left -= entry.share;
            weight -= entry.claim.weight;
        }
        let given: f64 = self.entries.iter().map(|entry| entry.share).sum();
        for entry in &mut self.entries {
            entry.part = entry.share / given;
            entry.ticks = given / entry.share;
        }
        given
    }

    /// Slots per second that a stream gets.
    #[must_use]
    pub fn share(&self, stream: StreamId) -> f64 {
        self.position(stream).map_or(0.0, |at| self.entries[at].share)
    }

    /// The streams, in their order.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.entries.iter().map(|entry| entry.claim.stream)
    }

    /// Whose the tick at `at` is. `None`: every stream is at its ceiling, and the tick nobody's.
    pub fn next(&mut self, at: Moment) -> Option<StreamId> {
        let (mut entitled, mut any) = (Best::default(), Best::default());
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.lag = (entry.lag + entry.part).clamp(-LAG_MAX, LAG_MAX);
            if entry.is_free(at) {
                any.offer(index, entry.urgency());
                // Who has had more than is its by right waits, so that nobody runs ahead by more than one.
                if entry.lag > 0.0 {
                    entitled.offer(index, entry.urgency());
                }
            }
        }
        let index = entitled.0.or(any.0)?.0;
        let entry = &mut self.entries[index];
        entry.lag -= 1.0;
        entry.takes(at);
        Some(entry.claim.stream)
    }

    /// Who takes a tick whose owner cannot: the stream most behind of those that `can` and that are
    /// not at their ceilings. It is a gift, and not counted against its share.
    pub fn stand_in(
        &mut self,
        at: Moment,
        mut can: impl FnMut(StreamId) -> bool,
    ) -> Option<StreamId> {
        let mut best = Best::default();
        for (index, entry) in self.entries.iter().enumerate() {
            let urgency = entry.urgency();
            if best.would_take(urgency) && entry.is_free(at) && can(entry.claim.stream) {
                best.offer(index, urgency);
            }
        }
        let entry = &mut self.entries[best.0?.0];
        entry.takes(at);
        Some(entry.claim.stream)
    }

    /// Deals out `ticks` at once that were due by `at`, as when nobody may send; says who had how many.
    pub fn deal(&mut self, ticks: u64, at: Moment) -> Vec<(StreamId, u64)> {
        let mut left = ticks;
        let mut dealt: Vec<(StreamId, u64)> = Vec::with_capacity(self.entries.len());
        for entry in &mut self.entries {
            entry.lag += entry.part * ticks as f64;
            let whole = (entry.lag.max(0.0) as u64).min(left);
            entry.lag -= whole as f64;
            left -= whole;
            dealt.push((entry.claim.stream, whole));
        }
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by(|a, b| self.entries[*b].lag.total_cmp(&self.entries[*a].lag));
        for index in order.into_iter().cycle().take(usize::try_from(left).unwrap_or(0)) {
            self.entries[index].lag -= 1.0;
            dealt[index].1 += 1;
        }
        for (entry, (_, count)) in self.entries.iter_mut().zip(&dealt) {
            entry.lag = entry.lag.clamp(-LAG_MAX, LAG_MAX);
            entry.took(*count, at);
        }
        dealt.retain(|(_, count)| *count > 0);
        dealt
    }

    fn position(&self, stream: StreamId) -> Option<usize> {
        self.entries.binary_search_by_key(&stream, |entry| entry.claim.stream).ok()
    }
}

impl Entry {
    /// A newcomer may have one slot at once, and the next a spacing later: it may have sent just now
    /// under a plan of its own.
    fn new(claim: Claim, now: Moment) -> Self {
        let spacing = spacing(claim);
        let earliest = now + spacing;
        Self { claim, spacing, share: 0.0, part: 0.0, ticks: 0.0, lag: 0.0, earliest }
    }

    /// The same with another claim: what it had taken ahead of time counts in slots.
    fn claiming(mut self, claim: Claim, now: Moment) -> Self {
        let ahead = self.earliest.since(now);
        let scale = self.claim.ceiling / claim.ceiling;
        if !ahead.is_zero() && scale != 1.0 {
            self.earliest = now + ahead.mul_f64(scale);
        }
        (self.claim, self.spacing) = (claim, spacing(claim));
        self
    }
}

fn spacing(claim: Claim) -> Duration {
    Duration::from_secs_f64(1.0 / claim.ceiling)
}

/// The most urgent of what it is offered: its index and urgency.
#[derive(Default)]
struct Best(Option<(usize, f64)>);

impl Best {
    fn would_take(&self, urgency: f64) -> bool {
        self.0.is_none_or(|(_, best)| urgency < best)
    }

    fn offer(&mut self, index: usize, urgency: f64) {
        if self.would_take(urgency) {
            self.0 = Some((index, urgency));
        }
    }
}

#[cfg(test)]
mod tests;
