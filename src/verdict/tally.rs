//! The figures of a run, counted while it goes on.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::threshold::{Measure, Quantity};
use crate::model::{Event, MessageResult, Moment, Outcome};

/// Durations to a thousandth of their own, in microseconds; anything from an hour on counts as an hour.
#[derive(Clone, Debug)]
pub struct Durations(Histogram<u64>);

const LONGEST_US: u64 = 3_600_000_000;

impl Default for Durations {
    fn default() -> Self {
        // The bounds are constants that the library allows.
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("constant bounds")))
    }
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(LONGEST_US);
        self.0.saturating_record(us.min(LONGEST_US));
    }

    /// Seconds that so great a share of them took at most; `None` when there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(share) as f64 / 1e6)
    }
}

/// Counts a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    began: Option<Moment>,
    ended: Option<Moment>,
    figures: Figures,
}

/// The figures.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// From the first stream's start until no more slots were scheduled.
    pub length: Duration,
    /// Slots that were sent: attempts.
    pub sent: u64,
    /// Slots that were skipped.
    pub skipped: u64,
    /// Attempts by [`Outcome`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Messages that ended.
    pub messages: u64,
    /// Those of them that were delivered.
    pub delivered: u64,
    /// By [`Quantity`].
    pub durations: [Durations; 4],
}

impl Tally {
    /// Takes note of an event.
    pub fn tell(&mut self, now: Moment, event: &Event) {
        let figures = &mut self.figures;
        let Figures { durations: [response, service, lateness, delivery], .. } = figures;
        match event {
            Event::StreamAdded(_) => {
                self.began.get_or_insert(now);
            }
            Event::DrainStarted => {
                self.ended.get_or_insert(now);
            }
            Event::Sent(_) => figures.sent += 1,
            Event::Skipped { count, .. } => figures.skipped += count,
            Event::Ended(record) => {
                let (order, answer) = (&record.order, &record.answer);
                response.add(answer.done_at.since(order.due));
                service.add(answer.done_at.since(answer.sent_at));
                lateness.add(answer.sent_at.since(order.due));
                figures.outcomes[record.outcome().index()] += 1;
            }
            Event::MessageEnded(end) => {
                figures.messages += 1;
                if end.result == MessageResult::Delivered {
                    delivery.add(end.at.since(end.first_due));
                    figures.delivered += 1;
                }
            }
            _ => {}
        }
    }

    /// The figures; of a run that goes on, as of now.
    #[must_use]
    pub fn figures(mut self, now: Moment) -> Figures {
        let began = self.began.unwrap_or(now);
        self.figures.length = self.ended.unwrap_or(now).since(began);
        self.figures
    }
}

impl Figures {
    /// Attempts that ended so.
    #[must_use]
    pub const fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome.index()]
    }

    /// The durations of a quantity.
    #[must_use]
    pub const fn durations(&self, quantity: Quantity) -> &Durations {
        &self.durations[quantity as usize]
    }

    /// A figure, in its unit. `None`: nothing has happened that would tell.
    #[must_use]
    pub fn of(&self, measure: Measure) -> Option<f64> {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let a_second = |count: u64| {
            let length = self.length.as_secs_f64();
            (length > 0.0).then(|| count as f64 / length)
        };
        let ended = || self.outcomes.iter().sum();
        match measure {
            Measure::OutcomeRatio(outcome) => share(self.outcome(outcome), ended()),
            Measure::Outcomes(outcome) => Some(self.outcome(outcome) as f64),
            Measure::SkippedRatio => share(self.skipped, self.sent + self.skipped),
            Measure::DeliveredRatio => share(self.delivered, self.messages),
            Measure::Goodput => a_second(self.outcome(Outcome::Accepted)),
            Measure::SentRate => a_second(self.sent),
            Measure::Quantile(quantity, which) => self.durations(quantity).quantile(which),
        }
    }
}
