//! What a set of runs has met: a checker that never meets a case proves nothing about it.

use plimsoll::model::{MessageResult, SkipReason};

/// What a set of runs has met, so that no check passes for want of occasion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) sent: u64,
    pub(crate) skipped: [u64; SkipReason::ALL.len()],
    pub(crate) results: [u64; MessageResult::ALL.len()],
    /// Paces told.
    pub(crate) paces: u64,
    pub(crate) epochs: u64,
    pub(crate) extended: u64,
    pub(crate) opened: u64,
    pub(crate) refused_resumes: u64,
    pub(crate) resends: u64,
    pub(crate) abandoned: u64,
}

impl Coverage {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.paces += other.paces;
        self.epochs += other.epochs;
        self.extended += other.extended;
        self.opened += other.opened;
        self.refused_resumes += other.refused_resumes;
        self.resends += other.resends;
        self.abandoned += other.abandoned;
        for (mine, theirs) in self.skipped.iter_mut().zip(other.skipped) {
            *mine += theirs;
        }
        for (mine, theirs) in self.results.iter_mut().zip(other.results) {
            *mine += theirs;
        }
    }

    pub(crate) fn assert_everything_was_met(&self) {
        // Whether a veto is met depends on what the policy learns: `days` has a world that is full of them.
        for reason in SkipReason::ALL.iter().filter(|reason| **reason != SkipReason::Vetoed) {
            assert!(self.skipped[reason.index()] > 1_000, "{reason}: {self:?}");
        }
        for result in MessageResult::ALL {
            // A full queue needs more waiting messages than these short worlds hold.
            let rare = matches!(result, MessageResult::QueueFull | MessageResult::Rejected);
            assert!(rare || self.results[result.index()] > 100, "{result}: {self:?}");
        }
        assert!(self.paces > 1_000, "{self:?}");
        let rest = [self.epochs, self.extended, self.opened, self.refused_resumes, self.abandoned];
        assert!(rest.iter().all(|n| *n > 100), "{self:?}");
    }
}
