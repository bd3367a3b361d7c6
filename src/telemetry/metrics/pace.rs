//! The numbers of an adaptive scope: its pace.

use super::catalog as c;
use super::sheet::Sheet;
use crate::model::{Estimate, Pace, PaceReason, PaceState, WallOffset};

/// One adaptive scope.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct PaceCell {
    pace: Pace,
    changes: [u64; PaceReason::ALL.len()],
    estimated_unix_s: f64,
}

impl PaceCell {
    /// Counts what is told of a pace; `cell` holds what was told before.
    pub(in crate::telemetry) fn told(cell: &mut Option<Self>, wall: WallOffset, pace: &Pace) {
        let mut changes = cell.as_ref().map_or([0; PaceReason::ALL.len()], |known| known.changes);
        let before = cell.as_ref().map(|known| (known.pace.reason, known.pace.changed_at));
        if before != Some((pace.reason, pace.changed_at)) {
            changes[pace.reason.index()] += 1;
        }
        let at = pace.estimate.as_ref().map_or(0.0, |estimate| wall.unix_seconds(estimate.at));
        *cell = Some(Self { pace: pace.clone(), changes, estimated_unix_s: at });
    }

    /// Adds the series of this scope. What is unknown has none.
    pub(in crate::telemetry) fn collect(&self, sheet: &mut Sheet, gate: &str) {
        let pace = &self.pace;
        sheet.put(&c::PACE_RATE, &[gate], pace.rate);
        sheet.put(&c::PACE_CEILING, &[gate], pace.ceiling);
        for state in PaceState::ALL {
            let is = u8::from(*state == pace.state);
            sheet.put(&c::PACE_STATE, &[gate, state.as_str()], f64::from(is));
        }
        for (reason, count) in PaceReason::ALL.iter().zip(self.changes) {
            sheet.count(&c::PACE_CHANGES, &[gate, reason.as_str()], count);
        }
        if let Some(max) = pace.in_flight_max {
            sheet.put(&c::PACE_IN_FLIGHT, &[gate], f64::from(max));
        }
        if let Some(trusted) = pace.hints_trusted {
            sheet.put(&c::HINTS_TRUSTED, &[gate], f64::from(u8::from(trusted)));
        }
    }

    /// The estimate that it rests on, and when that was made, Unix seconds.
    pub(in crate::telemetry) fn estimate(&self) -> Option<(&Estimate, f64)> {
        Some((self.pace.estimate.as_ref()?, self.estimated_unix_s))
    }
}
