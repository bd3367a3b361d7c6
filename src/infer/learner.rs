//! The record of one scope as it grows, and the fits it asks for.

use std::collections::VecDeque;
use std::time::Duration;

use super::change::Detector;
use super::job::{Found, Job};
use super::latency::Latencies;
use super::record::{Note, Record};
use crate::model::{
    AttemptId, ChangeSight, Estimate, Failure, FailureKind, Kind, LimitChange, Moment, QuotaHint,
    Verdict,
};

/// An attempt that is unanswered for this long no longer holds up the ones sent after it; it counts
/// as admitted, because a refusal is fast.
const PATIENCE_S: f64 = 5.0;
/// A limiter that is believed in more than this is remembered when its numbers change.
const SURE: f64 = 0.9;
const LIKELY: f64 = 0.5;
/// Time between fits that hints alone call for: the shortest, and the longest when nothing changes.
const HINTS_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// While hints leave the rate open by more than this, the longest time between fits is this.
const KNOWN: f64 = 1.05;
/// So is a rate known of which a cautious one is so close to it.
const CLOSE: f64 = 0.98;
const OPEN_PAUSE_MAX: Duration = Duration::from_secs(2);
/// A rate that has moved by less is the same.
const SAME: f64 = 0.005;
/// Fits cost: one in so many seconds in the long run, and so many at once while there is much to learn.
const FIT_EVERY_S: f64 = 40.0;
const FITS_AT_ONCE: f64 = 45.0;
/// Hints alone leave so many of them for refusals.
const FITS_KEPT: f64 = 10.0;
/// Hints that state another quota may take so many of those, one after the other.
const FITS_RESTATED: u32 = 6;
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

impl Decision {
    /// What an answer says of the limit.
    #[must_use]
    pub const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted | Verdict::Rejected => Self::Admitted,
            // A limiter stands before what fails behind it.
            Verdict::Failed(Failure { kind: FailureKind::ServerError, .. }) => Self::Admitted,
            Verdict::Throttled => Self::Refused,
            Verdict::Unauthorized | Verdict::Failed(_) => Self::Unknown,
        }
    }
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
    /// What is believed, and what was before the limit changed the last time (or the daemon
    /// started).
    believed: Option<Estimate>,
    inherited: Option<Kind>,
    /// When the latest refusal was heard of: what was sent before it knew nothing of it.
    heard_at: f64,
    /// A trip has been recorded since the latest fit.
    tripped: bool,
    notes_since_fit: u32,
    /// Hints state another quota than they did: so many fits may look for what it means.
    restated: u32,
    /// Hints alone call for a fit no sooner than this; and how long after the fit before.
    hints_at: Moment,
    hints_pause: Duration,
    /// Refusals call for no fit before this, and fits that may be computed at once.
    allowance: Allowance,
    detector: Detector,
    /// A change of the limit that nobody has asked for.
    change: Option<LimitChange>,
    declared: Option<Declared>,
}

/// What quota hints state, per window.
#[derive(Clone, Copy, Debug)]
struct Declared {
    limit: f64,
    window: Option<Duration>,
}

/// The fits that may be computed: a bucket of them, refilled slowly.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    fits: f64,
    at: Moment,
}

impl Allowance {
    /// Takes one, if that leaves so many.
    fn take(&mut self, kept: f64, now: Moment) -> bool {
        let earned = now.since(self.at).as_secs_f64() / FIT_EVERY_S;
        (self.fits, self.at) = ((self.fits + earned).min(FITS_AT_ONCE), now);
        let enough = self.fits >= 1.0 + kept;
        self.fits -= f64::from(u8::from(enough));
        enough
    }
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    attempt: AttemptId,
    sent: f64,
    decision: Option<Decision>,
}

impl Learner {
    /// The time of sending at the believed limit to a false alarm of a change, at least and on average.
    #[must_use]
    pub fn alarm_every(&self) -> Duration {
        self.detector.alarm_every()
    }

    /// Sets it.
    pub fn set_alarm_every(&mut self, interval: Duration) {
        self.detector.set_alarm_every(interval);
    }

    /// A learner that knows nothing, or what an earlier one knew.
    #[must_use]
    pub fn new(prior: Option<Estimate>) -> Self {
        let detector = Detector::new(prior.as_ref());
        Self {
            record: Record::new(0.0),
            pending: VecDeque::new(),
            latencies: Latencies::default(),
            inherited: prior.as_ref().map(|estimate| estimate.limiter),
            believed: prior,
            heard_at: f64::NEG_INFINITY,
            tripped: false,
            notes_since_fit: 0,
            restated: 0,
            hints_at: Moment::ZERO,
            hints_pause: HINTS_PAUSE.0,
            allowance: Allowance { fits: FITS_AT_ONCE, at: Moment::ZERO },
            detector,
            change: None,
            declared: None,
        }
    }

    /// A request goes out; calls come in order of time.
    pub fn sent(&mut self, attempt: AttemptId, at: Moment) {
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
        if self.change.is_none() {
            self.change = self.detector.due(seen.at);
        }
    }

    /// The change of the limit that has shown since this was asked the last time.
    pub const fn take_change(&mut self) -> Option<LimitChange> {
        self.change.take()
    }

    /// Which changes of the limit would show in the traffic as it is.
    #[must_use]
    pub fn sight(&self, now: Moment) -> ChangeSight {
        self.detector.sight(now)
    }

    /// The rate at which requests were admitted in the past seconds, per second, if there were enough to tell.
    #[must_use]
    pub fn admitted(&self, now: Moment) -> Option<f64> {
        self.detector.admitted_rate(now)
    }

    /// The rate that quota hints declare, per second: over the window that they state, or else over the one
    /// that the limit is believed to have.
    #[must_use]
    pub fn declared(&self) -> Option<f64> {
        let Declared { limit, window } = self.declared?;
        let learned = || self.believed.as_ref().map(|estimate| estimate.limiter.window());
        let window = window.or_else(learned).filter(|window| !window.is_zero())?;
        Some(limit / window.as_secs_f64())
    }

    fn note(&mut self, sent: f64, hints: &[QuotaHint]) {
        let Some((hint, limit, remaining)) = QuotaHint::tightest(hints) else { return };
        let declared = Declared { limit: limit as f64, window: hint.window };
        let before = self.declared.replace(declared);
        if before.is_some_and(|before| before.limit != declared.limit) {
            // What was known does not hold any more.
            (self.hints_at, self.hints_pause) = (Moment::ZERO, HINTS_PAUSE.0);
            (self.restated, self.notes_since_fit) = (FITS_RESTATED, 0);
        }
        self.detector.stated(limit as f64, sent);
        self.record.noted(Note {
            t: sent,
            limit: limit as f64,
            used: limit.saturating_sub(remaining) as f64,
            reset: hint.reset.map(|d| d.as_secs_f64()),
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
                if self.record.refused(sent) {
                    self.tripped = true;
                    self.detector.refused(sent);
                }
                continue;
            }
            if sent > self.heard_at && self.record.resumed() {
                self.detector.resumed();
            }
            self.record.admitted(sent);
            // Of what was in flight at a refusal, some is refused as well and counts for nothing; so must the rest.
            let told = decision == Decision::Admitted && !self.record.is_refusing();
            self.detector.admitted(sent, told);
        }
    }

    /// A fit worth computing, if there is news that calls for one.
    pub fn job(&mut self, now: Moment) -> Option<Job> {
        let stragglers = self.pending.front().is_some_and(|first| first.sent <= self.heard_at);
        let hinted = self.notes_since_fit >= NOTES_PER_FIT && now >= self.hints_at;
        let kept = match self.restated {
            _ if self.tripped => 0.0,
            0 => FITS_KEPT,
            _ => FITS_KEPT - f64::from(FITS_RESTATED),
        };
        if stragglers || !(self.tripped || hinted) || !self.allowance.take(kept, now) {
            return None;
        }
        let tripped = std::mem::take(&mut self.tripped);
        self.restated = self.restated.saturating_sub(u32::from(hinted));
        self.notes_since_fit = 0;
        self.hints_at = now + self.hints_pause;
        let believed = self.believed.as_ref().filter(|e| e.confidence > SURE).cloned();
        let close = |e: &Estimate| e.cautious >= e.rate.value * CLOSE;
        let known = self.believed.as_ref().is_some_and(|e| e.rate.spread() < KNOWN || close(e));
        let latency = self.latencies.summary();
        Some(Job::new(self.record.clone(), latency, self.inherited, believed, tripped, known, now))
    }

    /// What a fit found.
    pub fn fitted(&mut self, found: &Found, now: Moment) {
        if let Some(t) = found.forget_before {
            self.record.forget_before(t);
            let least = if found.estimate.is_none() { LIKELY } else { SURE };
            let sure = self.believed.as_ref().filter(|e| e.confidence > least);
            self.inherited = sure.map_or(self.inherited, |e| Some(e.limiter));
        }
        let rate = |e: &Option<Estimate>| e.as_ref().map_or(f64::NAN, |e| e.rate.value);
        let moved = (rate(&found.estimate) / rate(&self.believed) - 1.0).abs() > SAME;
        let believed = found.estimate.as_ref().or(self.believed.as_ref());
        let known = believed.is_some_and(|estimate| estimate.rate.spread() < KNOWN);
        self.hints_pause = if found.news && moved {
            HINTS_PAUSE.0
        } else {
            (self.hints_pause * 2).min(if known { HINTS_PAUSE.1 } else { OPEN_PAUSE_MAX })
        };
        if let Some(estimate) = &found.estimate {
            self.believed = Some(estimate.clone());
            self.change = self.change.or_else(|| self.detector.estimated(estimate, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::model::Dialect;

    /// Answers out of order and of every kind, some that never come, hints that change.
    #[test]
    fn memory_is_bounded_whatever_comes() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut learner = Learner::new(None);
        let gap = Duration::from_millis(7);
        let mut now = Moment::ZERO;
        for i in 0..300_000_u64 {
            now += gap.mul_f64(rng.random_range(0.0..2.0));
            learner.sent(AttemptId(i), now);
            let decision = match rng.random_range(0..100) {
                0..3 => Decision::Refused,
                3..6 => Decision::Unknown,
                _ => Decision::Admitted,
            };
            let hint = QuotaHint {
                dialect: Dialect::XRateLimit,
                policy: None,
                limit: Some(rng.random_range(50..60)),
                remaining: Some(rng.random_range(0..50)),
                reset: None,
                window: None,
            };
            let of = AttemptId(i.saturating_sub(rng.random_range(0..20)));
            learner.answered(of, Seen { decision, at: now, hints: &[hint] });
            assert!(learner.pending.len() < 2_000, "{}", learner.pending.len());
        }
        let Record { sends, ends, trips, notes, .. } = &learner.record;
        assert!(sends.points().count() <= 4_097 && ends.points().count() <= 4_097);
        assert!(trips.len() <= 6 && notes.len() <= 256);
    }
}
