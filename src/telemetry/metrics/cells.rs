//! The numbers kept for each stream, target, gate and credential, and their closed label sets.

use std::sync::Arc;
use std::time::Duration;

use super::histogram::{
    ADVICE_BOUNDS, DELIVERY_BOUNDS, Histogram, LATENESS_BOUNDS, REQUEST_BOUNDS,
};
use super::limit::LimitCell;
use super::pace::PaceCell;
use crate::model::{
    Advice, AdviceSource, AttemptRecord, Dialect, FailureKind, GateChange, MessageResult, Moment,
    Outcome, QuotaHint, SkipReason, StreamInfo, WallOffset,
};

const OUTCOMES: usize = Outcome::ALL.len();
const DIALECTS: usize = Dialect::ALL.len();

/// Codes with a series of their own: those that say something about sending. Others count under
/// their class, so the set stays closed whatever a server answers.
const LISTED_CODES: [u16; 18] =
    [200, 201, 202, 204, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 502, 503, 504];

/// Label values of `code`, in the order of [`code_index`].
pub(in crate::telemetry) const CODES: [&str; 24] = [
    "200", "201", "202", "204", "400", "401", "403", "404", "408", "409", "413", "415", "422",
    "429", "500", "502", "503", "504", "1xx", "2xx", "3xx", "4xx", "5xx", "other",
];

fn code_index(status: u16) -> usize {
    let listed = LISTED_CODES.len();
    LISTED_CODES.iter().position(|c| *c == status).unwrap_or_else(|| match status / 100 {
        class @ 1..=5 => listed + usize::from(class) - 1,
        _ => listed + 5,
    })
}

/// Label values of `source` in `plimsoll_throttle_advice_total`, in the order of [`advice_index`].
pub(in crate::telemetry) fn advice_sources() -> impl Iterator<Item = &'static str> {
    AdviceSource::ALL.iter().map(|s| s.as_str()).chain(["absent", "unreadable"])
}

fn advice_index(advice: Advice) -> usize {
    match advice {
        Advice::Wait(_, source) => source.index(),
        Advice::Absent => AdviceSource::ALL.len(),
        Advice::Unreadable => AdviceSource::ALL.len() + 1,
    }
}

/// What the latest response with a hint in one dialect said. NaN where it said nothing.
#[derive(Clone, Copy, Debug)]
pub(in crate::telemetry) struct QuotaCell {
    pub(in crate::telemetry) limit: f64,
    pub(in crate::telemetry) remaining: f64,
    pub(in crate::telemetry) reset_unix_s: f64,
    pub(in crate::telemetry) window_s: f64,
}

impl QuotaCell {
    const UNKNOWN: Self =
        Self { limit: f64::NAN, remaining: f64::NAN, reset_unix_s: f64::NAN, window_s: f64::NAN };
}

/// One stream (or several of the same name and target, one after the other).
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct StreamCell {
    pub(in crate::telemetry) info: Arc<StreamInfo>,
    pub(in crate::telemetry) target: usize,
    /// Streams that still count here; the series go with the last.
    pub(in crate::telemetry) users: u32,
    pub(in crate::telemetry) sent: u64,
    pub(in crate::telemetry) skipped: [u64; SkipReason::ALL.len()],
    pub(in crate::telemetry) ended: [u64; OUTCOMES],
    pub(in crate::telemetry) resends: u64,
    pub(in crate::telemetry) messages_started: u64,
    pub(in crate::telemetry) messages_ended: [u64; MessageResult::ALL.len()],
    pub(in crate::telemetry) retries_queued: u64,
    pub(in crate::telemetry) configured_rate: f64,
    pub(in crate::telemetry) scheduled_rate: f64,
    pub(in crate::telemetry) quotas: [QuotaCell; DIALECTS],
}

impl StreamCell {
    pub(in crate::telemetry) fn new(info: Arc<StreamInfo>, target: usize) -> Self {
        let rate = info.rate.per_second();
        Self {
            info,
            target,
            users: 0,
            sent: 0,
            skipped: [0; SkipReason::ALL.len()],
            ended: [0; OUTCOMES],
            resends: 0,
            messages_started: 0,
            messages_ended: [0; MessageResult::ALL.len()],
            retries_queued: 0,
            configured_rate: rate,
            scheduled_rate: rate,
            quotas: [QuotaCell::UNKNOWN; DIALECTS],
        }
    }

    /// Sent and not ended. Signed, so that an attempt that ends twice shows instead of wrapping.
    pub(in crate::telemetry) fn in_flight(&self) -> i64 {
        let ended: u64 = self.ended.iter().sum();
        self.sent.cast_signed().saturating_sub(ended.cast_signed())
    }

    pub(in crate::telemetry) fn scheduled(&self) -> u64 {
        self.sent + self.skipped.iter().sum::<u64>()
    }

    /// Keeps the tightest quota of each dialect in one response: one policy of several can be
    /// shown without its name, and the one with the least left is the one that will refuse.
    pub(in crate::telemetry) fn hinted(
        &mut self,
        wall: WallOffset,
        received: Moment,
        hints: &[QuotaHint],
    ) {
        let mut seen: [Option<&QuotaHint>; DIALECTS] = [None; DIALECTS];
        for hint in hints {
            let slot = &mut seen[hint.dialect.index()];
            let left = |h: &QuotaHint| h.remaining.unwrap_or(u64::MAX);
            if slot.is_none_or(|kept| left(hint) < left(kept)) {
                *slot = Some(hint);
            }
        }
        for (cell, hint) in self.quotas.iter_mut().zip(seen) {
            let Some(hint) = hint else { continue };
            *cell = QuotaCell {
                limit: hint.limit.map_or(f64::NAN, |v| v as f64),
                remaining: hint.remaining.map_or(f64::NAN, |v| v as f64),
                reset_unix_s: hint.reset.map_or(f64::NAN, |d| wall.unix_seconds(received + d)),
                window_s: hint.window.map_or(f64::NAN, |d| d.as_secs_f64()),
            };
        }
    }
}

/// One target.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct TargetCell {
    pub(in crate::telemetry) name: Arc<str>,
    pub(in crate::telemetry) users: u32,
    pub(in crate::telemetry) lateness: Histogram,
    pub(in crate::telemetry) service: [Histogram; OUTCOMES],
    pub(in crate::telemetry) response: [Histogram; OUTCOMES],
    pub(in crate::telemetry) delivery: Histogram,
    pub(in crate::telemetry) retry_after: Histogram,
    pub(in crate::telemetry) errors: [u64; FailureKind::ALL.len()],
    pub(in crate::telemetry) responses: [u64; CODES.len()],
    pub(in crate::telemetry) advice: [u64; AdviceSource::ALL.len() + 2],
    pub(in crate::telemetry) hints_read: [u64; DIALECTS],
    pub(in crate::telemetry) hints_malformed: [u64; DIALECTS],
}

impl TargetCell {
    pub(in crate::telemetry) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            users: 0,
            lateness: Histogram::new(LATENESS_BOUNDS),
            service: [Histogram::new(REQUEST_BOUNDS); OUTCOMES],
            response: [Histogram::new(REQUEST_BOUNDS); OUTCOMES],
            delivery: Histogram::new(DELIVERY_BOUNDS),
            retry_after: Histogram::new(ADVICE_BOUNDS),
            errors: [0; FailureKind::ALL.len()],
            responses: [0; CODES.len()],
            advice: [0; AdviceSource::ALL.len() + 2],
            hints_read: [0; DIALECTS],
            hints_malformed: [0; DIALECTS],
        }
    }

    pub(in crate::telemetry) fn ended(&mut self, record: &AttemptRecord) {
        let AttemptRecord { order, answer } = record;
        let outcome = record.outcome();
        self.lateness.observe(answer.sent_at.since(order.due));
        self.service[outcome.index()].observe(answer.done_at.since(answer.sent_at));
        self.response[outcome.index()].observe(answer.done_at.since(order.due));
        if let Some(status) = answer.status {
            self.responses[code_index(status)] += 1;
        }
        if let Some(failure) = record.failure() {
            self.errors[failure.kind.index()] += 1;
        }
        if outcome == Outcome::Throttled {
            self.advice[advice_index(answer.advice)] += 1;
            if let Some(wait) = answer.advice.wait() {
                self.retry_after.observe(wait);
            }
        }
        for hint in &answer.hints {
            self.hints_read[hint.dialect.index()] += 1;
        }
        for dialect in &answer.malformed {
            self.hints_malformed[dialect.index()] += 1;
        }
    }
}

/// The `plimsoll_gate_state` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::telemetry) enum GatePhase {
    Open = 0,
    HalfOpen = 1,
    Closed = 2,
}

/// One gate.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct GateCell {
    pub(in crate::telemetry) name: Arc<str>,
    pub(in crate::telemetry) phase: GatePhase,
    pub(in crate::telemetry) until_unix_s: f64,
    pub(in crate::telemetry) level: u32,
    pub(in crate::telemetry) long: bool,
    pub(in crate::telemetry) epochs: u64,
    pub(in crate::telemetry) extensions: u64,
    pub(in crate::telemetry) long_pauses: u64,
    pub(in crate::telemetry) violations: u64,
    pub(in crate::telemetry) limit: LimitCell,
    /// Where a stream behind it is adaptive.
    pub(in crate::telemetry) pace: Option<PaceCell>,
    held: Duration,
    held_since: Option<Moment>,
}

impl GateCell {
    pub(in crate::telemetry) fn new(name: Arc<str>, scope: String) -> Self {
        Self {
            name,
            phase: GatePhase::Open,
            until_unix_s: 0.0,
            level: 0,
            long: false,
            epochs: 0,
            extensions: 0,
            long_pauses: 0,
            violations: 0,
            limit: LimitCell::new(scope),
            pace: None,
            held: Duration::ZERO,
            held_since: None,
        }
    }

    /// Time held up to `now`. Measured here rather than taken from the end of the pause, so that the
    /// counter grows while a pause of hours is going on.
    pub(in crate::telemetry) fn held(&self, now: Moment) -> Duration {
        self.held + self.held_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    pub(in crate::telemetry) fn change(
        &mut self,
        wall: WallOffset,
        now: Moment,
        change: &GateChange,
    ) {
        match *change {
            GateChange::Closed { until, level, long, .. } => {
                self.phase = GatePhase::Closed;
                self.until_unix_s = wall.unix_seconds(until);
                self.level = level;
                self.epochs += 1;
                self.long = false;
                self.count_long(long);
                self.held_since.get_or_insert(now);
            }
            GateChange::Remembered { until, level, long } => {
                self.phase = GatePhase::Closed;
                self.until_unix_s = wall.unix_seconds(until);
                self.level = level;
                // Counted as an epoch and as a long pause by the run in which it began.
                self.long = long;
                self.held_since.get_or_insert(now);
            }
            GateChange::Extended { until, long } => {
                self.until_unix_s = wall.unix_seconds(until);
                self.extensions += 1;
                self.count_long(long);
            }
            GateChange::HalfOpen | GateChange::OpenedByOperator => {
                self.phase = GatePhase::HalfOpen;
                self.long = false;
            }
            GateChange::Opened { .. } => {
                self.held = self.held(now);
                self.held_since = None;
                self.phase = GatePhase::Open;
                self.level = 0;
                self.long = false;
            }
            GateChange::Violated => self.violations += 1,
            // A probe's report says so; the daemon never does it.
            GateChange::Peeked => {}
        }
    }

    fn count_long(&mut self, long: bool) {
        if long && !self.long {
            self.long_pauses += 1;
        }
        self.long |= long;
    }
}

/// Label values of `result` in `plimsoll_token_fetches_total`.
pub(in crate::telemetry) const FETCH_RESULTS: [&str; 3] = ["granted", "throttled", "failed"];

/// One credential.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct CredentialCell {
    pub(in crate::telemetry) name: Arc<str>,
    pub(in crate::telemetry) fetches: [u64; FETCH_RESULTS.len()],
    pub(in crate::telemetry) revoked: u64,
    pub(in crate::telemetry) expires_unix_s: f64,
}

impl CredentialCell {
    pub(in crate::telemetry) fn new(name: Arc<str>) -> Self {
        Self { name, fetches: [0; FETCH_RESULTS.len()], revoked: 0, expires_unix_s: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_label_of_the_closed_set() {
        for (status, label) in [
            (200, "200"),
            (206, "2xx"),
            (302, "3xx"),
            (418, "4xx"),
            (429, "429"),
            (505, "5xx"),
            (100, "1xx"),
            (0, "other"),
            (799, "other"),
        ] {
            assert_eq!(CODES[code_index(status)], label, "{status}");
        }
    }

    #[test]
    fn the_tightest_quota_of_a_dialect_is_shown() {
        let hint = |remaining| QuotaHint {
            dialect: Dialect::IetfStructured,
            policy: None,
            limit: Some(100),
            remaining,
            reset: None,
            window: None,
        };
        let rate = crate::model::Rate::per_sec(1).expect("a rate");
        let info = super::super::book::tests::stream(0, "s", "t", rate);
        let mut cell = StreamCell::new(info, 0);
        cell.hinted(
            WallOffset::default(),
            Moment::ZERO,
            &[hint(Some(7)), hint(Some(2)), hint(None)],
        );
        let quota = cell.quotas[Dialect::IetfStructured.index()];
        assert_eq!(quota.remaining, 2.0);
        assert!(quota.reset_unix_s.is_nan(), "nothing was said about the reset");
    }

    #[test]
    fn held_time_grows_during_the_pause_and_stays_after_it() {
        let at = |s| Moment::ZERO + Duration::from_secs(s);
        let closed = GateChange::Closed {
            until: at(30),
            advice: Advice::Absent,
            level: 1,
            long: false,
            cause: crate::model::StreamId(0),
        };
        let mut gate = GateCell::new("g".into(), "undecided".to_owned());
        gate.change(WallOffset::default(), at(0), &closed);
        assert_eq!(gate.held(at(10)), Duration::from_secs(10));
        gate.change(WallOffset::default(), at(30), &GateChange::HalfOpen);
        gate.change(WallOffset::default(), at(31), &closed);
        gate.change(WallOffset::default(), at(90), &GateChange::Opened { held: Duration::ZERO });
        assert_eq!(gate.held(at(500)), Duration::from_secs(90), "two epochs, one time of silence");
        assert_eq!(gate.epochs, 2);
    }
}
