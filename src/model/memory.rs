//! What is worth knowing again after a restart, about one holder of a limit.
//!
//! Times are spans rather than moments: the monotonic clock of one run means nothing to the next, and the
//! wall clock, which alone connects the two, may be stepped. [`ScopeMemory::later`] says what is left
//! after a span; whoever knows how long ago it was written asks it.

use std::time::Duration;

use super::{Estimate, SafetyMemory, ScopeKey};

/// An estimate on which nobody has relied for this long is dropped. While it is relied on, a limit that has
/// changed shows; vendors change theirs between releases, which are weeks apart.
pub const ESTIMATE_UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What one run tells the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// About limits and pauses, by scope.
    pub scopes: Vec<ScopeMemory>,
    /// About caps and what an operator has paused.
    pub safety: SafetyMemory,
}

impl Memory {
    /// What is left of it after some time without a daemon.
    #[must_use]
    pub fn later(&self, elapsed: Duration) -> Self {
        let scopes = self.scopes.iter().filter_map(|scope| scope.later(elapsed)).collect();
        Self { scopes, safety: self.safety.later(elapsed) }
    }
}

impl From<Vec<ScopeMemory>> for Memory {
    fn from(scopes: Vec<ScopeMemory>) -> Self {
        Self { scopes, safety: SafetyMemory::default() }
    }
}

/// What one run tells the next about a scope.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeMemory {
    /// Whose limit it is.
    pub key: ScopeKey,
    /// What was believed about the limit.
    pub estimate: Option<EstimateMemory>,
    /// The pause that was on.
    pub pause: Option<PauseMemory>,
    /// How its server was found to behave.
    pub manners: Option<MannersMemory>,
}

/// How a server behaves, where that has been learned by being refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MannersMemory {
    /// Its quota hints do not agree with what it admits.
    pub hints_lie: bool,
    /// After a refusal that says nothing of it, so long a silence was found to be enough; zero: not known.
    pub silence: Duration,
    /// How long ago a run last relied on it.
    pub unused: Duration,
}

impl MannersMemory {
    /// Whether there is anything to tell.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.hints_lie || !self.silence.is_zero()
    }
}

/// An estimate, and how stale it is.
#[derive(Clone, Debug, PartialEq)]
pub struct EstimateMemory {
    /// The estimate; its moment is of no use to another run.
    pub estimate: Estimate,
    /// How long ago it was last relied on.
    pub unused: Duration,
}

/// A pause that was not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseMemory {
    /// What is left of it.
    pub left: Duration,
    /// What is left of the silence that the server asked for; zero when it asked for none. Not more than
    /// `left`.
    pub asked: Duration,
    /// Epochs in a row without an admitted resume request.
    pub level: u32,
    /// It is longer than the configured maximum.
    pub long: bool,
}

impl ScopeMemory {
    /// What is left of it after some time without a daemon; `None`: nothing. No span can make a pause
    /// longer.
    #[must_use]
    pub fn later(&self, elapsed: Duration) -> Option<Self> {
        let estimate = self.estimate.as_ref().and_then(|memory| {
            let unused = memory.unused.saturating_add(elapsed);
            (unused <= ESTIMATE_UNUSED_MAX)
                .then(|| EstimateMemory { estimate: memory.estimate.clone(), unused })
        });
        let pause = self.pause.and_then(|pause| {
            let left = pause.left.saturating_sub(elapsed);
            let asked = pause.asked.saturating_sub(elapsed);
            (!left.is_zero()).then_some(PauseMemory { left, asked, ..pause })
        });
        let manners = self.manners.and_then(|manners| {
            let unused = manners.unused.saturating_add(elapsed);
            (unused <= ESTIMATE_UNUSED_MAX).then_some(MannersMemory { unused, ..manners })
        });
        let some = estimate.is_some() || pause.is_some() || manners.is_some();
        some.then(|| Self { key: self.key.clone(), estimate, pause, manners })
    }
}
