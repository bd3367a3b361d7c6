//! What is likelier than what before anything was seen: stated, so that it can be argued with.

/// Windows that vendors like, in seconds, and how much of the prior they share.
const ROUND: &[(f64, f64)] = &[
    (1.0, 0.40),
    (60.0, 0.25),
    (10.0, 0.10),
    (5.0, 0.04),
    (30.0, 0.04),
    (2.0, 0.03),
    (15.0, 0.02),
    (20.0, 0.02),
    (0.1, 0.02),
    (0.5, 0.02),
    (120.0, 0.02),
    (300.0, 0.02),
];
/// The share of the prior that any other window has.
const UNROUND: f64 = 0.12;
const UNROUND_STEPS: u32 = 48;
const WINDOW_MIN: f64 = 0.05;
/// The longest windows that are looked for, in seconds.
pub(super) const WINDOW_MAX: f64 = 300.0;
/// The prior of each family.
pub(super) const FIXED: f64 = 0.2;
pub(super) const ON_DEMAND: f64 = 0.15;
pub(super) const LOG: f64 = 0.2;
pub(super) const COUNTER: f64 = 0.05;
pub(super) const BUCKET: f64 = 0.3;
pub(super) const SPACED: f64 = 0.07;
pub(super) const CONCURRENT: f64 = 0.01;
/// The shortest windows of counters that approximate, in seconds.
pub(super) const COUNTED_LEAST: f64 = 1.0;

/// Windows that a limiter may have, each with the logarithm of its prior and, where it stands for its
/// neighbours, how far it is to the next (as a logarithm of their ratio).
pub(super) fn window_candidates() -> impl Iterator<Item = (f64, f64, f64)> {
    let step = (WINDOW_MAX / WINDOW_MIN).ln() / f64::from(UNROUND_STEPS);
    let unround = (0..UNROUND_STEPS).map(move |i| {
        let window = WINDOW_MIN * (step * (f64::from(i) + 0.5)).exp();
        // Windows of less than a second are rare, and the shorter the rarer.
        let share = UNROUND / f64::from(UNROUND_STEPS) * window.min(1.0);
        (window, share.ln(), step)
    });
    ROUND.iter().map(|(window, share)| (*window, share.ln(), 0.0)).chain(unround)
}

/// Logarithm of the prior of windows of about this length, in seconds, that nobody likes, over so wide a range of its
/// logarithm.
pub(super) fn ln_odd(window: f64, wide: f64) -> f64 {
    (UNROUND * wide / (WINDOW_MAX / WINDOW_MIN).ln() * window.min(1.0)).ln()
}

/// Rates that vendors like, per second or per minute: these digits, and a power of ten.
const LIKED: &[f64] = &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 9.0];
/// How much of the prior they share.
const LIKED_SHARE: f64 = 0.5;

/// How much likelier a refill of this rate is than one that nobody likes, as a logarithm, for a cell of this width
/// over the logarithm of the rate.
pub(super) fn ln_liked(rate: f64, width: f64) -> f64 {
    let near = |rate: f64| {
        let digits = 10.0_f64.powf(rate.log10().rem_euclid(1.0));
        let off = |liked: &f64| (digits / liked).ln().abs().min((digits / liked / 10.0).ln().abs());
        LIKED.iter().map(off).fold(f64::INFINITY, f64::min) <= width / 2.0
    };
    // So many of them in a decade of either unit, some of both.
    let each = LIKED_SHARE / (2.0 * LIKED.len() as f64) * 10.0_f64.ln();
    let liked = if near(rate) || near(rate * 60.0) { each / width } else { 0.0 };
    (1.0 - LIKED_SHARE + liked).ln()
}
