//! The numbers of the safety envelope: caps and pauses as they were told last, and circuit breakers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::catalog as c;
use super::sheet::Sheet;
use crate::model::{
    BreakerChange, BreakerId, CapWindow, Moment, SafetyChange, SubjectSafety, WallOffset,
    subject_name,
};

/// Everything about the envelope.
#[derive(Clone, Default)]
pub(in crate::telemetry) struct SafetyCells {
    subjects: Vec<SubjectSafety>,
    /// Times that a cap came to be reached.
    reached: BTreeMap<(String, CapWindow), u64>,
    breakers: Vec<(BreakerId, BreakerCell)>,
}

/// The `plimsoll_breaker_state` values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

/// One circuit breaker.
#[derive(Clone)]
struct BreakerCell {
    domain: Arc<str>,
    phase: Phase,
    until_unix_s: f64,
    opened: u64,
    held: Duration,
    held_since: Option<Moment>,
}

impl SafetyCells {
    /// How things stand.
    pub(in crate::telemetry) fn told(&mut self, subjects: &[SubjectSafety]) {
        self.subjects = subjects.to_vec();
        // A stream that is gone takes its counts along.
        let name = |s: &SubjectSafety| subject_name(&s.subject).to_owned();
        let names: Vec<_> = subjects.iter().map(name).collect();
        self.reached.retain(|(subject, _), _| names.contains(subject));
    }

    pub(in crate::telemetry) fn change(&mut self, change: &SafetyChange) {
        if let SafetyChange::CapReached { subject, window, .. } = change {
            let key = (subject_name(subject).to_owned(), *window);
            *self.reached.entry(key).or_default() += 1;
        }
    }

    pub(in crate::telemetry) fn add_breaker(&mut self, id: BreakerId, domain: &Arc<str>) {
        let cell = BreakerCell {
            domain: Arc::clone(domain),
            phase: Phase::Closed,
            until_unix_s: 0.0,
            opened: 0,
            held: Duration::ZERO,
            held_since: None,
        };
        self.breakers.push((id, cell));
    }

    pub(in crate::telemetry) fn remove_breaker(&mut self, id: BreakerId) {
        self.breakers.retain(|(known, _)| *known != id);
    }

    pub(in crate::telemetry) fn breaker(
        &mut self,
        id: BreakerId,
        wall: WallOffset,
        now: Moment,
        change: BreakerChange,
    ) {
        let found = self.breakers.iter_mut().find(|(known, _)| *known == id);
        let Some((_, cell)) = found else { return };
        match change {
            BreakerChange::Opened { until, .. } => {
                cell.phase = Phase::Open;
                cell.until_unix_s = wall.unix_seconds(until);
                cell.opened += 1;
                cell.held_since.get_or_insert(now);
            }
            BreakerChange::HalfOpen => cell.phase = Phase::HalfOpen,
            BreakerChange::Closed { .. } => {
                cell.phase = Phase::Closed;
                cell.held = cell.held(now);
                cell.held_since = None;
            }
        }
    }

    pub(in crate::telemetry) fn collect(&self, now: Moment, sheet: &mut Sheet) {
        let flag = |on: bool| f64::from(u8::from(on));
        for subject in &self.subjects {
            let name = subject_name(&subject.subject);
            sheet.put(&c::PAUSED, &[name], flag(subject.paused));
            if subject.subject.is_some() {
                sheet.put(&c::ACTIVE, &[name], flag(subject.active));
            }
            for cap in &subject.caps {
                let labels = [name, cap.window.as_str()];
                sheet.count(&c::CAP_LIMIT, &labels, cap.limit);
                sheet.count(&c::CAP_USED, &labels, cap.used);
                sheet.put(&c::CAP_REACHED, &labels, flag(cap.reached));
                let times = self.reached.get(&(name.to_owned(), cap.window));
                sheet.count(&c::CAPS_REACHED, &labels, times.copied().unwrap_or_default());
            }
        }
        for (_, cell) in &self.breakers {
            let own = [&*cell.domain];
            sheet.put(&c::BREAKER_STATE, &own, f64::from(cell.phase as u8));
            sheet.put(&c::BREAKER_UNTIL, &own, cell.until_unix_s);
            sheet.count(&c::BREAKER_OPENED, &own, cell.opened);
            sheet.put(&c::BREAKER_HELD, &own, cell.held(now).as_secs_f64());
        }
    }
}

impl BreakerCell {
    fn held(&self, now: Moment) -> Duration {
        self.held + self.held_since.map_or(Duration::ZERO, |since| now.since(since))
    }
}
