//! A fit to be computed: the record as it was, apart from everything else.

use super::families::Latency;
use super::fit::{Fit, Member};
use super::hinted::Evidence;
use super::record::{Excerpt, Record};
use super::summary::{best, contradicted, per_trip, summary};
use crate::model::{Estimate, EstimateSource, Kind, Moment};

/// How long before a trip matters, in seconds.
const REACH_S: f64 = 310.0;

/// Hints that leave the rate open by more than this are no better than refusals.
const KNOWN: f64 = 1.05;

/// An estimate whose ends are so much closer (as a logarithm) than those of another says more.
const CLOSER: f64 = 0.7;

/// A limit that was known by fewer refusals has not fallen: it was another.
const LEARNED: usize = 3;
/// What agrees so well needs no better reason; and how much less what has fallen agrees, as logarithms.
const PLAIN: f64 = -12.0;
const SURPRISE: f64 = 8.0;

/// A fit to be computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    record: Record,
    latency: Latency,
    /// The limiter that was believed in before the limit changed: its kind and window stay likely.
    inherited: Option<Kind>,
    /// What is believed now, if firmly.
    believed: Option<Estimate>,
    /// Where the record begins that matters.
    since: f64,
    /// A refusal calls for the fit, and not hints alone.
    tripped: bool,
    /// The rate that is believed leaves little open.
    known: bool,
    at: Moment,
}

/// What a fit found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// What is believed about the limit; `None`: the record does not tell.
    pub estimate: Option<Estimate>,
    /// Whether there was anything to find: otherwise what is believed stays.
    pub news: bool,
    /// The record before this (in seconds) is of another limit.
    pub(super) forget_before: Option<f64>,
}

impl Job {
    pub(super) fn new(
        record: Record,
        latency: Latency,
        inherited: Option<Kind>,
        believed: Option<Estimate>,
        tripped: bool,
        known: bool,
        at: Moment,
    ) -> Self {
        // What went before the oldest trip that is remembered, as far as a window may reach back.
        let since = record.trips.first().map_or(f64::NEG_INFINITY, |trip| trip.t - REACH_S);
        Self { record, latency, inherited, believed, since, tripped, known, at }
    }

    /// Computes it. Some milliseconds.
    #[must_use]
    pub fn run(&self) -> Found {
        let found = self.hinted().or_else(|| self.tripped.then(|| self.throttled()));
        found.unwrap_or_default()
    }

    /// From quota hints, if they explain themselves and leave little open.
    fn hinted(&self) -> Option<Found> {
        let since = self.record.notes.first()?.t - REACH_S;
        let record = self.record.excerpt(since);
        let believed = self.believed.as_ref().map(|believed| &believed.limiter);
        let evidence = Evidence::of(&record, &self.latency, believed)?;
        let members = evidence.members(&self.latency)?;
        let throttles = u32::try_from(record.trips.len()).unwrap_or(u32::MAX);
        let source = EstimateSource::Hints;
        let estimate = summary(&members, &self.latency, source, throttles, self.at)?;
        // While a rate is held, hints tell less than those of the way there, which are forgotten by and by.
        let better = self.believed.as_ref().filter(|believed| {
            let moved = (estimate.rate.value / believed.rate.value).ln().abs() > KNOWN.ln();
            let narrower = believed.rate.spread() < estimate.rate.spread()
                && (estimate.rate.spread() > KNOWN || moved);
            let settled = believed.rate.spread() < KNOWN && moved && !self.tripped;
            // Of two that say as much, the former: or the rate would follow itself.
            let closer = estimate.rate.spread().ln() < CLOSER * believed.rate.spread().ln();
            let as_good = !self.tripped && !moved && !closer;
            believed.source == source
                && (narrower || settled || as_good)
                && evidence.is_explained_by(&believed.limiter)
        });
        if better.is_some() {
            return Some(Found::default());
        }
        let known = estimate.rate.spread() < KNOWN || record.trips.is_empty();
        known.then_some(Found { estimate: Some(estimate), news: true, forget_before: None })
    }

    /// Whether the limit has fallen since the refusal before the latest: that one agrees with nothing, and without it
    /// everything, what was admitted up to it included, agrees as it did.
    fn has_fallen(&self, record: &Excerpt, members: &[Member]) -> bool {
        let likeliest = best(members);
        if record.trips.len() < LEARNED || likeliest > PLAIN {
            return false;
        }
        let mut before = record.clone();
        before.trips.pop();
        let without = self.fit(&before, self.inherited).members();
        without.is_some_and(|before| {
            let agrees = !contradicted(&before, record.trips.len() - 1);
            agrees && best(&before) > likeliest + SURPRISE + per_trip(&before)
        })
    }

    const fn fit<'a>(&self, record: &'a Excerpt, inherited: Option<Kind>) -> Fit<'a> {
        let latency = self.latency;
        Fit { record, latency, inherited, thorough: false, sure: None, flat: false, served: None }
    }

    /// From where refusals began.
    fn throttled(&self) -> Found {
        let mut forget_before = None;
        loop {
            let record = self.record.excerpt(forget_before.unwrap_or(self.since));
            let believed = self.believed.as_ref().filter(|_| forget_before.is_some());
            let inherited = self.inherited.or(believed.map(|believed| believed.limiter));
            let Some(members) = self.fit(&record, inherited).members() else {
                return Found { estimate: None, news: true, forget_before };
            };
            let first = forget_before.is_none() && self.known;
            if first && self.has_fallen(&record, &members) {
                let forget_before = record.trips.last().map(|trip| trip.t);
                return Found { estimate: None, news: true, forget_before };
            }
            if record.trips.len() > 1 && contradicted(&members, record.trips.len()) {
                if let Some(found) = first.then(|| self.risen(&record)).flatten() {
                    return found;
                }
                forget_before = Some(record.trips[0].t);
                continue;
            }
            return self.found(&record, &members, forget_before);
        }
    }

    /// What was known has held until the refusal before the latest, and not since: a limit that has risen is passed, and
    /// found at its new place by one refusal, as it was at its old one.
    fn risen(&self, record: &Excerpt) -> Option<Found> {
        let before = record.trips.len().checked_sub(2).map(|i| record.trips[i].t)?;
        let record = self.record.excerpt(before);
        let believed = self.believed.as_ref().map(|believed| believed.limiter);
        let members = self.fit(&record, believed.or(self.inherited)).members()?;
        (best(&members) > PLAIN).then(|| self.found(&record, &members, Some(before)))
    }

    fn found(&self, record: &Excerpt, members: &[Member], forget_before: Option<f64>) -> Found {
        let throttles = u32::try_from(record.trips.len()).unwrap_or(u32::MAX);
        let source = EstimateSource::Throttles;
        let estimate = summary(members, &self.latency, source, throttles, self.at);
        Found { estimate, news: true, forget_before }
    }
}
