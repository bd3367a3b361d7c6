//! What one copy of the numbers looks like as metric families.

use super::book::Numbers;
use super::catalog as c;
use super::cells::{
    CODES, CredentialCell, FETCH_RESULTS, GateCell, StreamCell, TargetCell, advice_sources,
};
use super::pace::PaceCell;
use super::sheet::Sheet;
use crate::model::{Dialect, FailureKind, MessageResult, Outcome, SkipReason};

impl Numbers {
    /// Adds everything to `sheet`.
    pub(in crate::telemetry) fn collect(&self, sheet: &mut Sheet) {
        for cell in self.streams.iter().flatten() {
            stream(sheet, cell);
        }
        for cell in self.targets.iter().flatten() {
            target(sheet, cell);
        }
        for cell in self.gates.iter().flatten() {
            gate(sheet, cell, cell.held(self.now).as_secs_f64());
        }
        for cell in self.credentials.iter().flatten() {
            credential(sheet, cell);
        }
        self.safety.collect(self.now, sheet);
        sheet.count(&c::AUXILIARY, &["token"], self.token_requests);
        sheet.put(&c::HEARTBEAT, &[], self.heartbeat_unix_s);
        sheet.count(&c::WAKEUPS, &[], self.wakeups);
        sheet.histogram(&c::WAKE_LAG, &[], &self.wake_lag);
        sheet.put(&c::DRAINING, &[], f64::from(u8::from(self.draining)));
    }
}

fn stream(sheet: &mut Sheet, cell: &StreamCell) {
    let (name, target) = (&*cell.info.name, &*cell.info.target);
    let own = [name, target];
    sheet.count(&c::SLOTS_SCHEDULED, &own, cell.scheduled());
    sheet.count(&c::SLOTS_SENT, &own, cell.sent);
    for (reason, count) in SkipReason::ALL.iter().zip(cell.skipped) {
        sheet.count(&c::SLOTS_SKIPPED, &[name, target, reason.as_str()], count);
    }
    sheet.put(&c::CONFIGURED_RATE, &own, cell.configured_rate);
    sheet.put(&c::SCHEDULED_RATE, &own, cell.scheduled_rate);
    let info = [name, target, &*cell.info.credential, &*cell.info.domain];
    sheet.put(&c::STREAM_INFO, &info, 1.0);
    for (outcome, count) in Outcome::ALL.iter().zip(cell.ended) {
        sheet.count(&c::ATTEMPTS, &[name, target, outcome.as_str()], count);
    }
    sheet.put(&c::IN_FLIGHT, &own, cell.in_flight() as f64);
    sheet.count(&c::RESENDS, &own, cell.resends);
    sheet.count(&c::MESSAGES_STARTED, &own, cell.messages_started);
    for (result, count) in MessageResult::ALL.iter().zip(cell.messages_ended) {
        sheet.count(&c::MESSAGES_ENDED, &[name, target, result.as_str()], count);
    }
    sheet.count(&c::RETRIES_QUEUED, &own, cell.retries_queued);
    for (dialect, quota) in Dialect::ALL.iter().zip(cell.quotas) {
        let labels = [name, target, dialect.as_str()];
        for (family, value) in [
            (&c::QUOTA_LIMIT, quota.limit),
            (&c::QUOTA_REMAINING, quota.remaining),
            (&c::QUOTA_RESET, quota.reset_unix_s),
            (&c::QUOTA_WINDOW, quota.window_s),
        ] {
            // Unknown is not zero: a quota that no server ever stated has no series.
            if !value.is_nan() {
                sheet.put(family, &labels, value);
            }
        }
    }
}

fn target(sheet: &mut Sheet, cell: &TargetCell) {
    let name = &*cell.name;
    sheet.histogram(&c::LATENESS, &[name], &cell.lateness);
    for (i, outcome) in Outcome::ALL.iter().enumerate() {
        let labels = [name, outcome.as_str()];
        sheet.histogram(&c::SERVICE, &labels, &cell.service[i]);
        sheet.histogram(&c::RESPONSE, &labels, &cell.response[i]);
    }
    sheet.histogram(&c::DELIVERY, &[name], &cell.delivery);
    sheet.histogram(&c::RETRY_AFTER, &[name], &cell.retry_after);
    for (kind, count) in FailureKind::ALL.iter().zip(cell.errors) {
        sheet.count(&c::ERRORS, &[name, kind.as_str()], count);
    }
    for (code, count) in CODES.iter().zip(cell.responses) {
        sheet.count(&c::RESPONSES, &[name, code], count);
    }
    for (source, count) in advice_sources().zip(cell.advice) {
        sheet.count(&c::ADVICE, &[name, source], count);
    }
    for (i, dialect) in Dialect::ALL.iter().enumerate() {
        sheet.count(&c::HINTS, &[name, dialect.as_str(), "ok"], cell.hints_read[i]);
        sheet.count(&c::HINTS, &[name, dialect.as_str(), "malformed"], cell.hints_malformed[i]);
    }
}

fn gate(sheet: &mut Sheet, cell: &GateCell, held_s: f64) {
    let own = [&*cell.name];
    sheet.put(&c::GATE_STATE, &own, f64::from(cell.phase as u8));
    sheet.put(&c::GATE_UNTIL, &own, cell.until_unix_s);
    sheet.put(&c::GATE_LEVEL, &own, f64::from(cell.level));
    sheet.put(&c::GATE_LONG, &own, f64::from(u8::from(cell.long)));
    sheet.count(&c::GATE_EPOCHS, &own, cell.epochs);
    sheet.count(&c::GATE_EXTENSIONS, &own, cell.extensions);
    sheet.count(&c::GATE_LONG_PAUSES, &own, cell.long_pauses);
    sheet.put(&c::GATE_HELD, &own, held_s);
    sheet.count(&c::GATE_VIOLATIONS, &own, cell.violations);
    let relied_on = cell.pace.as_ref().map(PaceCell::estimate);
    cell.limit.collect(sheet, &cell.name, relied_on);
    if let Some(pace) = &cell.pace {
        pace.collect(sheet, &cell.name);
    }
}

fn credential(sheet: &mut Sheet, cell: &CredentialCell) {
    let name = &*cell.name;
    for (result, count) in FETCH_RESULTS.iter().zip(cell.fetches) {
        sheet.count(&c::TOKEN_FETCHES, &[name, result], count);
    }
    sheet.put(&c::TOKEN_EXPIRY, &[name], cell.expires_unix_s);
    sheet.count(&c::TOKEN_REVOKED, &[name], cell.revoked);
}
