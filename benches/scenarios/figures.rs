//! What the runs of one case, or of many, come to.

use crate::lab::case::Case;
use crate::lab::run::Outcome;
use crate::lab::verdict;

/// One case and its runs, one for each seed.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Row {
    /// The bars that each run misses; empty for one that misses none.
    pub(crate) fn misses(&self) -> Vec<Vec<String>> {
        self.outcomes.iter().map(|outcome| verdict::misses(&self.case, outcome)).collect()
    }

    /// Whether enough seeds keep the bars: all of them, or those that the experiment asks for where one
    /// epoch costs more than the bars allow. Inside a Retry-After nobody sends, in no seed.
    pub(crate) fn keeps(&self) -> bool {
        let kept = self.misses().iter().filter(|missed| missed.is_empty()).count();
        let share = kept as f64 / self.outcomes.len() as f64;
        let asked =
            if self.case.epochs_are_dear() { self.case.experiment.accepted.seeds } else { 1.0 };
        share >= asked && self.outcomes.iter().all(|outcome| outcome.early == 0)
    }
}

/// Figures over runs.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) runs: usize,
    pub(crate) goodput_min: f64,
    pub(crate) goodput_median: f64,
    /// Refused, of all that was sent.
    pub(crate) throttled: f64,
    pub(crate) epochs: u64,
    pub(crate) early: u64,
    pub(crate) refused_learning: u64,
    /// The longest, in seconds; `None`: nothing changed, or one run never recovered.
    pub(crate) recovered: Option<f64>,
    pub(crate) fairness: Option<(f64, f64)>,
}

impl Summary {
    pub(crate) fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let all: Vec<&Outcome> = outcomes.into_iter().collect();
        let mut goodput: Vec<f64> = all.iter().map(|o| o.goodput).collect();
        goodput.sort_by(f64::total_cmp);
        let sum = |of: fn(&Outcome) -> u64| all.iter().map(|o| of(o)).sum::<u64>();
        let sent = sum(|o| o.admitted + o.refused);
        let times: Option<Vec<f64>> =
            all.iter().map(|o| o.recovered.map(|t| t.as_secs_f64())).collect();
        let fairness = all.iter().filter_map(|o| o.fairness);
        Self {
            runs: all.len(),
            goodput_min: goodput.first().copied().unwrap_or_default(),
            goodput_median: goodput.get(goodput.len() / 2).copied().unwrap_or_default(),
            throttled: sum(|o| o.refused) as f64 / sent.max(1) as f64,
            epochs: sum(|o| o.epochs),
            early: sum(|o| o.early),
            refused_learning: sum(|o| o.refused_learning),
            recovered: times.and_then(|times| times.into_iter().max_by(f64::total_cmp)),
            fairness: fairness.map(|f| (f, f)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
        }
    }
}
