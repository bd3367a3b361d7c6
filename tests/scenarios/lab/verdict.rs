//! The bars: which figures of a run are outside of what its experiment accepts.

use super::case::Case;
use super::run::Outcome;

/// Which bars a run misses, each with its figure. Empty: none.
pub(crate) fn misses(case: &Case, outcome: &Outcome) -> Vec<String> {
    let bars = &case.experiment.accepted;
    let mut missed = Vec::new();
    let mut hold = |holds: bool, what: String| {
        if !holds {
            missed.push(what);
        }
    };
    hold(outcome.early == 0, format!("{} sent inside a Retry-After", outcome.early));
    if let (Some(allowed), recovered) = (case.recovery(), outcome.recovered) {
        let took = recovered.map_or("never".to_owned(), |t| format!("{:.0} s", t.as_secs_f64()));
        let what = format!("recovered after {took}, allowed {:.0} s", allowed.as_secs_f64());
        hold(recovered.is_some_and(|t| t <= allowed), what);
    }
    // Explorations cost refusals; what holds between them is what the other experiments measure.
    if case.experiment.exploration {
        return missed;
    }
    let [least, most] = bars.goodput;
    let within = (least..=most).contains(&outcome.goodput);
    hold(within, format!("goodput {:.2} %", outcome.goodput * 100.0));
    let allowed = if case.hints_tell() { bars.throttled_with_hints } else { bars.throttled };
    let what = format!("throttled {:.3} % ({})", outcome.throttled() * 100.0, outcome.refused);
    hold(outcome.throttled() <= allowed, what);
    if case.epochs_are_dear() {
        hold(outcome.epochs == 0, format!("{} epochs", outcome.epochs));
    }
    let learning = if case.hints_tell() { Some(0) } else { bars.throttled_learning };
    let what = format!("{} throttled while learning", outcome.refused_learning);
    hold(learning.is_none_or(|most| outcome.refused_learning <= most), what);
    if let Some(fairness) = outcome.fairness {
        let [least, most] = bars.fairness;
        hold((least..=most).contains(&fairness), format!("fairness {fairness:.3}"));
    }
    missed
}
