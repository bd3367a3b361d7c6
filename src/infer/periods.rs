//! Windows that begin at fixed times end pauses when they begin: which lengths agree with all of the pauses.

/// Lengths that are looked for, in seconds.
const LEAST: f64 = 0.5;
const MOST: f64 = 300.0;
/// How many of them there may be, and how closely they are told apart: by a part of what the shortest gap leaves open.
const PERIODS_MAX: usize = 300;
const PART: f64 = 0.3;
const STEP: (f64, f64) = (2e-6, 0.01);

/// Lengths next to each other that agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Period {
    /// Logarithm of the middle one, in seconds, and of how far they differ.
    pub(super) ln: f64,
    pub(super) wide: f64,
    /// When one of its windows begins, near the last pause, and how far that is open, in seconds.
    pub(super) begins: f64,
    pub(super) open: f64,
}

/// For each pause between when requests were last refused and when they were first admitted, in seconds: the lengths of
/// windows of which one begins in each of these gaps.
pub(super) fn periods(gaps: &[(f64, f64)]) -> Vec<Period> {
    let (Some(first), Some(last)) = (gaps.first(), gaps.last()) else { return Vec::new() };
    let shortest = gaps.iter().map(|gap| gap.1 - gap.0).fold(f64::INFINITY, f64::min);
    let step = (PART * shortest / (last.1 - first.0)).clamp(STEP.0, STEP.1);
    let steps = ((MOST / LEAST).ln() / step) as u32;
    let at = |i: u32| LEAST.ln() + step * f64::from(i);
    let mut found: Vec<Period> = Vec::new();
    let mut from: Option<u32> = None;
    for i in 0..=steps {
        match (common(gaps, at(i).exp()), from) {
            (Some(_), None) => from = Some(i),
            (None, Some(begun)) => {
                let (ln, wide) = ((at(begun) + at(i - 1)) / 2.0, step * f64::from(i - begun));
                if let Some((low, high)) = common(gaps, ln.exp()) {
                    found.push(Period { ln, wide, begins: (low + high) / 2.0, open: high - low });
                }
                from = None;
            }
            _ => {}
        }
    }
    let every = found.len().div_ceil(PERIODS_MAX).max(1);
    found.into_iter().step_by(every).map(|p| Period { wide: p.wide * every as f64, ..p }).collect()
}

/// When a window of this length may begin, near the last gap; `None`: no one time agrees with all of them.
fn common(gaps: &[(f64, f64)], window: f64) -> Option<(f64, f64)> {
    let last = gaps.last()?;
    let anchor = (last.0 + last.1) / 2.0;
    let (mut low, mut high) = (anchor - window / 2.0, anchor + window / 2.0);
    for (from, to) in gaps.iter().filter(|gap| gap.1 - gap.0 < window / 2.0) {
        let later = ((anchor - (from + to) / 2.0) / window).round() * window;
        (low, high) = (low.max(from + later), high.min(to + later));
    }
    (low < high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_that_made_the_pauses_is_among_few() {
        let (window, phase) = (2.775_f64, 1.343_f64);
        // Asked every 0.2 s, at times that have nothing to do with it.
        let gaps: Vec<(f64, f64)> = [3.0, 41.0, 67.5, 102.1, 158.9]
            .map(|about: f64| {
                let end = phase + ((about - phase) / window).ceil() * window;
                let asked = about + ((end - about) / 0.2).floor() * 0.2;
                (asked, asked + 0.2)
            })
            .into();
        let found = periods(&gaps);
        let right = found.iter().find(|p| (p.ln - f64::ln(window)).abs() <= p.wide);
        let right = right.expect("it is among them");
        let off = ((right.begins - phase) / window).rem_euclid(1.0);
        assert!(off.min(1.0 - off) * window < 0.2, "{right:?}");
        let open: f64 = found.iter().map(|p| p.wide).sum();
        assert!(open < 1.5, "of {:.1}: {open}", (MOST / LEAST).ln());
    }

    #[test]
    fn no_pauses_tell_nothing() {
        assert!(periods(&[]).is_empty());
    }
}
