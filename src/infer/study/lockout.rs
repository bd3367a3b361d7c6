//! What a refusal brings beyond itself.

use super::conclusion::{Figure, Finding, LockoutFinding, Reason};
use super::evidence::Pauses;
use super::observations::{Attempt, Observations};
use super::posterior::Posterior;
use crate::infer::Decision;

/// One pause: from its first and from its latest refusal, how long requests were still refused and when one was
/// admitted, in seconds.
struct Pause {
    advised: Option<f64>,
    refused_after_first: f64,
    admitted_after_first: f64,
    refused_after_latest: f64,
    admitted_after_latest: f64,
}

/// How long the shortest pause was, in seconds; `None`: none was longer. A lockout has made it, if any, and the limit
/// itself those that are longer.
pub(super) fn shortest(
    observations: &Observations,
    belongs: impl Fn(&Attempt) -> bool,
) -> Option<f64> {
    let pauses = pauses(observations, belongs);
    let shortest = pauses.iter().map(|p| p.admitted_after_first).fold(f64::INFINITY, f64::min);
    pauses.iter().any(|pause| pause.is_longer(shortest)).then_some(shortest)
}

impl Pause {
    /// Whether requests were still refused, or would have been, after so many seconds.
    fn is_longer(&self, than: f64) -> bool {
        /// Header fields round up to whole seconds.
        const WHOLE: f64 = 1.0;
        self.refused_after_first.max(self.advised.unwrap_or(0.0) - WHOLE) > than
    }
}

/// What pauses tell, where the limit itself does not explain them.
pub(super) fn lockout(
    observations: &Observations,
    posterior: &Posterior,
    belongs: impl Fn(&Attempt) -> bool,
) -> Finding<LockoutFinding> {
    let mut pauses = pauses(observations, belongs);
    if let Pauses::Longer(than) = posterior.reading.pauses {
        pauses.retain(|pause| !pause.is_longer(than));
    }
    if pauses.is_empty() {
        return Finding::Unknown {
            reason: Reason::TooLittleData,
            detail: "nobody was admitted after a refusal".into(),
            experiment: "a single request at growing intervals after a refusal".into(),
        };
    }
    if posterior.reading.pauses == Pauses::Limit {
        return Finding::Known {
            value: LockoutFinding::None,
            confidence: 0.95,
            evidence: format!("the limit by itself explains all {} pauses", pauses.len()),
        };
    }
    let advised: Vec<f64> = pauses.iter().filter_map(|p| p.advised).collect();
    if advised.len() == pauses.len() {
        let mean = advised.iter().sum::<f64>() / advised.len() as f64;
        let low = advised.iter().copied().fold(f64::INFINITY, f64::min);
        let high = advised.iter().copied().fold(0.0, f64::max);
        return Finding::Known {
            value: LockoutFinding::Advised { seconds: Figure { value: mean, low, high } },
            confidence: 0.95,
            evidence:
                "refusals ask for it; it was honoured, so whether it is enforced is not known"
                    .into(),
        };
    }
    measured(&pauses)
}

/// How likely the pauses are, as logarithms.
pub(super) struct Likely {
    /// If they are a lockout's: that of one length is likely, and each that has a length of its own costs as much as
    /// the length of any tells.
    pub(super) lockouts: f64,
    /// That they are of one length if each ends when some clock says so, whenever it began.
    pub(super) by_chance: f64,
}

impl Likely {
    /// Of a lockout of one length.
    pub(super) const LENGTH: f64 = -3.0;

    pub(super) fn of(observations: &Observations, belongs: impl Fn(&Attempt) -> bool) -> Self {
        /// How much lengths that count as one differ, as a ratio.
        const ALIKE: f64 = 0.1;
        /// By how much longer than asked for who honours it waits at most, as a ratio; and a second.
        const LATER: f64 = 1.2;
        let pauses = pauses(observations, belongs);
        let most = |of: fn(&Pause) -> f64| pauses.iter().map(of).fold(0.0, f64::max);
        let least = |of: fn(&Pause) -> f64| pauses.iter().map(of).fold(f64::INFINITY, f64::min);
        let advised = |p: &Pause| p.advised.unwrap_or(f64::NAN);
        let open = if pauses.iter().all(|p| p.advised.is_some()) {
            let alike = most(advised) - least(advised) <= ALIKE * most(advised);
            alike.then_some(ALIKE)
        } else {
            let first = (most(|p| p.refused_after_first), least(|p| p.admitted_after_first));
            let latest = (most(|p| p.refused_after_latest), least(|p| p.admitted_after_latest));
            let open = [first, latest].map(|(from, to)| (to - from) / to).into_iter();
            open.filter(|open| *open > 0.0).reduce(f64::max)
        };
        // Who was refused again after waiting as long as was asked for met something else.
        let over =
            |p: &Pause| p.advised.is_none_or(|asked| p.admitted_after_first < LATER * asked + 1.0);
        let others = pauses.len().saturating_sub(1) as f64;
        match open {
            Some(open) if pauses.iter().all(over) => {
                Self { lockouts: Self::LENGTH, by_chance: others * open.max(ALIKE).ln() }
            }
            Some(_) => Self { lockouts: Self::LENGTH, by_chance: 0.0 },
            None => Self { lockouts: Self::LENGTH * pauses.len() as f64, by_chance: 0.0 },
        }
    }
}

fn measured(pauses: &[Pause]) -> Finding<LockoutFinding> {
    let most = |of: fn(&Pause) -> f64| pauses.iter().map(of).fold(0.0, f64::max);
    let least = |of: fn(&Pause) -> f64| pauses.iter().map(of).fold(f64::INFINITY, f64::min);
    let figure = |low: f64, high: f64| Figure { value: (low * high).sqrt().max(low), low, high };
    let first = (most(|p| p.refused_after_first), least(|p| p.admitted_after_first));
    let latest = (most(|p| p.refused_after_latest), least(|p| p.admitted_after_latest));
    let evidence = format!("requests that asked after {} refusals", pauses.len());
    let known = |value| Finding::Known { value, confidence: 0.95, evidence };
    match (first.0 < first.1, latest.0 < latest.1) {
        (true, false) => known(LockoutFinding::Fixed { seconds: figure(first.0, first.1) }),
        (false, true) => known(LockoutFinding::Extended { seconds: figure(latest.0, latest.1) }),
        (true, true) => Finding::Unknown {
            reason: Reason::NotIdentifiable,
            detail: format!(
                "{:.1} to {:.1} s from the first refusal, or {:.1} to {:.1} s from the latest",
                first.0, first.1, latest.0, latest.1
            ),
            experiment: "one pause without asking, and one with".into(),
        },
        (false, false) => Finding::Unknown {
            reason: Reason::SeveralLayers,
            detail: "pauses differ in length".into(),
            experiment: "more refusals, each asked after at the same intervals".into(),
        },
    }
}

fn pauses(observations: &Observations, belongs: impl Fn(&Attempt) -> bool) -> Vec<Pause> {
    let mut pauses = Vec::new();
    let mut open: Option<(f64, f64, f64, Option<f64>, f64)> = None;
    for attempt in observations.attempts.iter().filter(|a| belongs(a)) {
        match (attempt.decision, &mut open) {
            (Decision::Refused, None) => {
                let heard = attempt.answered.unwrap_or(attempt.sent);
                open = Some((attempt.sent, attempt.sent, heard, attempt.advice, 0.0));
            }
            (Decision::Refused, Some((_, latest, heard, advice, gap))) => {
                // Only who asks after the news has come.
                if attempt.sent > *heard {
                    *gap = gap.max(attempt.sent - *latest);
                }
                *latest = attempt.sent;
                *heard = heard.max(attempt.answered.unwrap_or(attempt.sent));
                *advice = attempt.advice.or(*advice);
            }
            (Decision::Admitted, Some((first, latest, heard, advice, gap)))
                if attempt.sent > *heard =>
            {
                pauses.push(Pause {
                    advised: *advice,
                    refused_after_first: *latest - *first,
                    admitted_after_first: attempt.sent - *first,
                    refused_after_latest: *gap,
                    admitted_after_latest: attempt.sent - *latest,
                });
                open = None;
            }
            _ => {}
        }
    }
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal each minute, admitted again after so long; the refusal says how long, if it says anything.
    fn pauses(lengths: &[f64], advised: bool) -> Observations {
        let attempt = |sent: f64, decision, advice| Attempt {
            sent,
            answered: Some(sent + 0.02),
            decision,
            party: 0,
            advice,
            quota: None,
        };
        let minutes = lengths.iter().enumerate().flat_map(|(i, length)| {
            let at = 60.0 * i as f64;
            let advice = advised.then_some(*length);
            [
                attempt(at, Decision::Refused, advice),
                attempt(at + length - 0.5, Decision::Refused, advice.map(|_| *length)),
                attempt(at + length, Decision::Admitted, None),
            ]
        });
        Observations { attempts: minutes.collect(), ..Observations::default() }
    }

    #[test]
    fn that_pauses_are_alike_is_no_chance() {
        for advised in [false, true] {
            let alike = Likely::of(&pauses(&[10.0, 10.1, 9.9, 10.0], advised), |_| true);
            assert!(alike.by_chance < 3.0 * 0.2_f64.ln(), "{}", alike.by_chance);
            let others = Likely::of(&pauses(&[10.0, 3.0, 7.0, 20.0], advised), |_| true);
            assert_eq!(others.by_chance, 0.0);
            assert!(others.lockouts < alike.lockouts - 5.0);
        }
        // As long as was asked for each time, but twice and three times over.
        let mut again = pauses(&[10.0, 20.0, 30.0], true);
        again.attempts.iter_mut().for_each(|a| a.advice = a.advice.map(|_| 10.0));
        assert_eq!(Likely::of(&again, |_| true).by_chance, 0.0);
    }
}
