//! The shadow limiter: the learned model, fed with what we send. A veto and never an accelerator.

use std::collections::VecDeque;

use crate::limiter::{Limiter, LimiterSettings};
use crate::model::{Kind, Moment};

/// Runs of sends that are remembered, to bring another model up to date.
const RUNS_MAX: usize = 4_096;

/// The model and what it has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    model: Option<Limiter>,
    /// Sends: the time of the last of a run, and how many it holds. Old runs are merged, so that memory
    /// stays bounded however long a window reaches back.
    runs: VecDeque<(Moment, u32)>,
}

impl Shadow {
    pub(super) fn sent(&mut self, at: Moment) {
        if self.runs.len() == RUNS_MAX {
            self.merge();
        }
        self.runs.push_back((at, 1));
        if let Some(model) = &mut self.model {
            model.decide(at);
        }
    }

    /// Merges neighbours of the older half.
    fn merge(&mut self) {
        let old: Vec<_> = self.runs.drain(..RUNS_MAX / 2).collect();
        for pair in old.rchunks(2) {
            let count = pair.iter().map(|(_, n)| *n).fold(0, u32::saturating_add);
            if let Some((at, _)) = pair.last() {
                self.runs.push_front((*at, count));
            }
        }
    }

    /// Takes over a model, as it would stand after what has been sent; or none.
    pub(super) fn adopt(&mut self, kind: Option<Kind>) {
        let same = self.model.as_ref().map(|m| m.settings().kind) == kind;
        if same {
            return;
        }
        self.model = kind.map(|kind| {
            let mut model = Limiter::new(&LimiterSettings::plain(kind));
            for (at, count) in &self.runs {
                (0..*count).for_each(|_| {
                    model.decide(*at);
                });
            }
            model
        });
    }

    /// Whether a request would be refused now.
    pub(super) fn vetoes(&self, now: Moment) -> bool {
        self.model.as_ref().is_some_and(|model| !model.check(now).is_admitted())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_model_that_comes_late_knows_what_was_sent_before() {
        let mut shadow = Shadow::default();
        (0..100).for_each(|i| shadow.sent(at(i * 10)));
        assert!(!shadow.vetoes(at(995)));
        shadow.adopt(Some(Kind::SlidingLog { limit: 100, window: Duration::from_secs(1) }));
        assert!(shadow.vetoes(at(995)));
        assert!(!shadow.vetoes(at(1_000)));
        shadow.adopt(None);
        assert!(!shadow.vetoes(at(995)));
    }

    #[test]
    fn memory_is_bounded_and_no_send_is_lost() {
        let mut shadow = Shadow::default();
        (0..100_000).for_each(|i| shadow.sent(at(i)));
        assert!(shadow.runs.len() <= RUNS_MAX);
        let total: u64 = shadow.runs.iter().map(|(_, n)| u64::from(*n)).sum();
        assert_eq!(total, 100_000);
    }
}
