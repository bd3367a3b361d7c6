//! What an earlier run knew, and what this one would tell the next. Where it is kept, and for how long
//! nobody ran, is not known here.

use std::time::Duration;

use super::Engine;
use crate::model::{
    Estimate, EstimateMemory, EstimateSource, Identity, Kind, MannersMemory, Memory, Moment,
    RunState, ScopeKey, ScopeMemory,
};
use crate::policy::Gate;

/// Where windows begin was known by a clock that is gone. A kind that depends on it is believed no more than
/// this: enough to pace by, too little for the shadow limiter to veto on a phase that is wrong.
const UNPHASED_CONFIDENCE: f64 = 0.5;

/// What was recalled. Each entry serves every gate that is made while it holds, because a reload may take a
/// scope away and bring it back.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    scopes: Vec<ScopeMemory>,
    at: Moment,
}

impl Recalled {
    pub(super) const fn new(scopes: Vec<ScopeMemory>, at: Moment) -> Self {
        Self { scopes, at }
    }

    /// A gate closed for the longest pause that concerns a holder of a limit, under whatever idea of the
    /// scope it was asked for.
    pub(super) fn gate(&self, key: &ScopeKey, identity: &Identity, now: Moment) -> Option<Gate> {
        let concerns = |s: &&ScopeMemory| s.key.domain == key.domain && s.key.covers(identity);
        let left = self.scopes.iter().filter(concerns).filter_map(|s| self.now(s, now)?.pause);
        left.filter_map(|pause| Gate::recalled(&pause, now)).max_by_key(Gate::until)
    }

    /// What was believed about the limit of exactly this holder.
    pub(super) fn estimate(&self, key: &ScopeKey, now: Moment) -> Option<Estimate> {
        let mut estimate = self.unused(key, now)?.estimate;
        estimate.source = EstimateSource::Memory;
        estimate.at = now;
        if let Kind::FixedWindow { .. } | Kind::SlidingCounter { .. } = estimate.limiter {
            estimate.confidence = estimate.confidence.min(UNPHASED_CONFIDENCE);
        }
        Some(estimate)
    }

    /// How the server of exactly this holder was found to behave.
    pub(super) fn manners(&self, key: &ScopeKey, now: Moment) -> Option<MannersMemory> {
        let known = self.scopes.iter().find(|scope| scope.key == *key)?;
        self.now(known, now)?.manners
    }

    /// An operator has ended the pause of a holder: it must not come back with the next reload.
    pub(super) fn forgive(&mut self, key: &ScopeKey) {
        let of_domain = self.scopes.iter_mut().filter(|scope| scope.key.domain == key.domain);
        of_domain.for_each(|scope| scope.pause = None);
    }

    fn unused(&self, key: &ScopeKey, now: Moment) -> Option<EstimateMemory> {
        let known = self.scopes.iter().find(|scope| scope.key == *key)?;
        self.now(known, now)?.estimate
    }

    fn now(&self, scope: &ScopeMemory, now: Moment) -> Option<ScopeMemory> {
        scope.later(now.since(self.at))
    }
}

impl Engine {
    /// What the next run should know, for [`super::Input::Recall`]: every scope of which anything is known,
    /// those of an earlier run that configuration does not name now included. O(gates).
    #[must_use]
    pub fn memory(&self, now: Moment) -> Memory {
        let live = self.gates.iter().map(|entry| {
            let pace = entry.pace.as_ref();
            let fresh = |estimate| EstimateMemory { estimate, unused: Duration::ZERO };
            let estimate = match pace {
                Some(pace) => pace.adaptive.pace().estimate.map(fresh),
                None => {
                    // What this run did not learn itself is known, and nobody relies on it.
                    let learned = entry.learning.known();
                    let learned = learned.filter(|e| e.source != EstimateSource::Memory).cloned();
                    learned.map(fresh).or_else(|| self.gates.recalled.unused(&entry.key, now))
                }
            };
            // Who is fixed does not find out about hints; what was known stays.
            let recalled = self.gates.recalled.manners(&entry.key, now);
            let lay = recalled.is_some_and(|manners| manners.hints_lie);
            let manners = MannersMemory {
                hints_lie: pace.map_or(lay, |pace| pace.adaptive.hints_lie()),
                silence: entry.gate.silence(),
                unused: Duration::ZERO,
            };
            let manners = Some(manners).filter(MannersMemory::is_known);
            let pause = entry.gate.pause(now);
            ScopeMemory { key: (*entry.key).clone(), estimate, pause, manners }
        });
        let recalled = &self.gates.recalled;
        let absent = recalled.scopes.iter().filter(|s| self.gates.iter().all(|e| *e.key != s.key));
        let absent = absent.filter_map(|scope| recalled.now(scope, now));
        let live =
            live.filter(|s| s.estimate.is_some() || s.pause.is_some() || s.manners.is_some());
        let ended = self.run != RunState::Running;
        let safety = self.safety.memory(ended, now);
        Memory { scopes: live.chain(absent).collect(), safety }
    }
}
