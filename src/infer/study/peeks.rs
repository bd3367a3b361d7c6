//! Single requests inside another party's pause: what they tell of who shares it.

use super::conclusion::{Finding, PairFinding};
use super::observations::{Observations, Peek};

/// How sure one of them makes, and several that say the same. One alone may have come as a window ended.
const SURE: [f64; 2] = [0.95, 0.99];

/// Decides the pairs of the first party that nothing else has decided, where all peeks say the same.
pub(super) fn tell(observations: &Observations, pairs: &mut [PairFinding]) {
    for (i, pair) in pairs.iter_mut().enumerate() {
        let peeks = observations.peeks.iter().filter(|peek| peek.party == i + 1);
        let peeks: Vec<&Peek> = peeks.collect();
        let Some(first) = peeks.first() else { continue };
        let unanimous = peeks.iter().all(|peek| peek.admitted == first.admitted);
        if unanimous && matches!(pair.shared, Finding::Unknown { .. }) {
            let decided = if first.admitted { "admitted" } else { "refused" };
            pair.shared = Finding::Known {
                value: !first.admitted,
                confidence: SURE[usize::from(peeks.len() > 1)],
                evidence: format!(
                    "{} of {} requests that it sent inside the pause of the first were {decided}",
                    peeks.len(),
                    peeks.len()
                ),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conclusion::Reason;
    use super::*;

    fn told(decisions: &[bool], shared: Finding<bool>) -> Finding<bool> {
        let peek = |admitted: &bool| Peek { party: 1, admitted: *admitted };
        let peeks = decisions.iter().map(peek).collect();
        let observations = Observations { peeks, ..Observations::default() };
        let parties = ("a".to_owned(), "b".to_owned());
        let mut pairs = [PairFinding { parties, differ_in: Vec::new(), shared }];
        tell(&observations, &mut pairs);
        pairs[0].shared.clone()
    }

    fn open() -> Finding<bool> {
        let (detail, experiment) = (String::new(), String::new());
        Finding::Unknown { reason: Reason::TooLittleData, detail, experiment }
    }

    #[test]
    fn peeks_decide_what_nothing_else_has() {
        let value = |finding: &Finding<bool>| match finding {
            Finding::Known { value, confidence, .. } => Some((*value, *confidence)),
            Finding::Unknown { .. } => None,
        };
        assert_eq!(value(&told(&[false], open())), Some((true, 0.95)));
        assert_eq!(value(&told(&[true, true], open())), Some((false, 0.99)));
        assert_eq!(value(&told(&[true, false], open())), None);
        assert_eq!(value(&told(&[], open())), None);
        let known = Finding::Known { value: true, confidence: 0.9999, evidence: String::new() };
        assert_eq!(told(&[true, true], known.clone()), known);
    }
}
