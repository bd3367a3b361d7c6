//! What is said by the numbers of a hint.

use super::Note;

/// The chance that a reset means something else.
const ODD_RESET: f64 = 0.3;

/// How much of what is stated a request uses: quotas are counted in points, too, and hints may be several times what is
/// true. Where a rate is held, they say so little that what was `known` of the quota is believed until they say otherwise.
pub(super) fn unit(limit: f64, notes: &[&Note], known: Option<u64>) -> f64 {
    const DIFFERENT: usize = 5;
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let mut used: Vec<u64> = notes.iter().map(|note| note.used as u64).collect();
    let unit = used.iter().fold(limit as u64, |unit, used| divisor(unit, *used)).max(1);
    used.sort_unstable();
    used.dedup();
    let known = known.map(|quota| limit as u64 / quota.max(1)).filter(|known| *known > 1);
    match known.filter(|known| unit % known == 0) {
        Some(known) if used.len() < DIFFERENT => known as f64,
        _ if used.len() < DIFFERENT => 1.0,
        _ => unit as f64,
    }
}

/// How likely a stated reset is, if a member predicts another. Whole seconds are rounded up.
pub(super) fn ln_reset(stated: f64, predicted: f64) -> f64 {
    let off = stated - predicted;
    let whole = stated.fract() == 0.0;
    let blur = 0.003 + 0.02 * predicted;
    let normal = |off: f64| (-(off / blur).powi(2) / 2.0).exp();
    // A whole number may stand for anything in a second before it.
    let likely =
        if whole { normal((off - 1.0).max(-off).max(0.0)) } else { normal(off) / blur / 2.5 };
    ((1.0 - ODD_RESET) * likely + ODD_RESET / 60.0).ln()
}
