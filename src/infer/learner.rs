//! The record of one scope as it grows, and the fits it asks for.

use std::collections::VecDeque;

use super::families::Latency;
use super::job::{Found, Job};
use super::record::{Note, Record};
use crate::model::{AttemptId, Estimate, Moment, QuotaHint};

/// An attempt that is unanswered for this long no longer holds up the ones sent after it; it counts
/// as admitted, because a refusal is fast.
const PATIENCE_S: f64 = 5.0;
/// Latencies that are remembered.
const LATENCIES: usize = 1_024;
/// Hints between two fits, at least.
const NOTES_PER_FIT: u32 = 12;

/// What the server decided about one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passed the limit, whatever came of it afterwards.
    Admitted,
    /// It was refused because of the limit.
    Refused,
    /// No answer tells.
    Unknown,
}

/// What an answer tells about the limit.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// What was decided.
    pub decision: Decision,
    /// When the headers came, or the failure was known.
    pub at: Moment,
    /// What the answer says about its quota.
    pub hints: &'a [QuotaHint],
}

/// Learns the limit of one scope.
#[derive(Debug)]
pub struct Learner {
    record: Record,
    /// Requests whose turn in the record has not come, in order of sending.
    pending: VecDeque<Pending>,
    latencies: Latencies,
    prior: Option<Estimate>,
    /// When the latest refusal was heard of: what was sent before it knew nothing of it.
    heard_at: f64,
    /// A trip has been recorded since the latest fit.
    tripped: bool,
    notes_since_fit: u32,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    attempt: AttemptId,
    sent: f64,
    decision: Option<Decision>,
}

/// The latest latencies of admitted requests, and the shortest of all.
#[derive(Clone, Debug, Default)]
struct Latencies {
    shortest: Option<f64>,
    ring: VecDeque<f64>,
}

impl Learner {
    /// A learner that knows nothing, or what an earlier one knew.
    #[must_use]
    pub fn new(prior: Option<Estimate>) -> Self {
        Self {
            record: Record::new(0.0),
            pending: VecDeque::new(),
            latencies: Latencies::default(),
            prior,
            heard_at: f64::NEG_INFINITY,
            tripped: false,
            notes_since_fit: 0,
        }
    }

    /// A request goes out; calls come in order of time. `in_flight` counts those of the scope that
    /// are under way already.
    pub fn sent(&mut self, attempt: AttemptId, at: Moment, in_flight: u32) {
        let _ = in_flight;
        self.pending.push_back(Pending { attempt, sent: at.as_secs_f64(), decision: None });
    }

    /// A request was answered, or will not be.
    pub fn answered(&mut self, attempt: AttemptId, seen: Seen<'_>) {
        let at = seen.at.as_secs_f64();
        let Ok(index) = self.pending.binary_search_by_key(&attempt, |p| p.attempt) else { return };
        self.pending[index].decision = Some(seen.decision);
        let sent = self.pending[index].sent;
        match seen.decision {
            Decision::Admitted => {
                self.latencies.note(at - sent, true);
                self.record.ended(at);
                self.note(sent, seen.hints);
            }
            Decision::Refused => {
                self.latencies.note(at - sent, false);
                self.heard_at = self.heard_at.max(at);
                self.note(sent, seen.hints);
            }
            Decision::Unknown => self.record.ended(at),
        }
        self.settle(at);
    }

    fn note(&mut self, sent: f64, hints: &[QuotaHint]) {
        let stated = hints.iter().find_map(|h| Some((h.limit?, h.remaining?, h.reset)));
        let Some((limit, remaining, reset)) = stated else { return };
        self.record.noted(Note {
            t: sent,
            limit: limit as f64,
            used: limit.saturating_sub(remaining) as f64,
            reset: reset.map(|d| d.as_secs_f64()),
        });
        self.notes_since_fit += 1;
    }

    /// Enters into the record, in order of sending, what is known by now.
    fn settle(&mut self, now: f64) {
        while let Some(first) = self.pending.front() {
            let decision = match first.decision {
                Some(decision) => decision,
                None if now - first.sent > PATIENCE_S => Decision::Unknown,
                None => return,
            };
            let sent = first.sent;
            self.pending.pop_front();
            if decision == Decision::Refused {
                self.tripped |= self.record.refused(sent);
                continue;
            }
            if sent > self.heard_at {
                self.record.resumed();
            }
            self.record.admitted(sent);
        }
    }

    /// A fit worth computing, if there is news that calls for one.
    pub fn job(&mut self, now: Moment) -> Option<Job> {
        let stragglers = self.pending.front().is_some_and(|first| first.sent <= self.heard_at);
        let hinted = self.notes_since_fit >= NOTES_PER_FIT;
        if stragglers || !(self.tripped || hinted) {
            return None;
        }
        self.tripped = false;
        self.notes_since_fit = 0;
        Some(Job::new(self.record.clone(), self.latencies.summary(), self.prior.clone(), now))
    }

    /// What a fit found.
    pub fn fitted(&mut self, found: &Found) {
        if let Some(t) = found.forget_before {
            self.record.forget_before(t);
        }
        if found.estimate.is_some() {
            self.prior.clone_from(&found.estimate);
        }
    }
}

impl Latencies {
    fn note(&mut self, latency: f64, admitted: bool) {
        self.shortest = Some(self.shortest.map_or(latency, |s| s.min(latency)));
        if admitted {
            if self.ring.len() == LATENCIES {
                self.ring.pop_front();
            }
            self.ring.push_back(latency);
        }
    }

    fn summary(&self) -> Latency {
        let mut sorted: Vec<f64> = self.ring.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return Latency::default() };
        let quantile = |q: f64| sorted[(last as f64 * q).round() as usize];
        Latency {
            rtt: self.shortest.unwrap_or_default(),
            // An answer's time is that of two ways: each has half the variance.
            jitter: (quantile(0.84) - quantile(0.16)) / 2.0 / std::f64::consts::SQRT_2,
            // If a way's jitter is uniform over J, these quantiles are 1.72 J apart.
            jitter_max: 0.6 * (quantile(0.99) - quantile(0.01)),
            answer: sorted.iter().sum::<f64>() / sorted.len() as f64,
        }
    }
}
