//! The normal distribution function.

use std::sync::OnceLock;

/// What [`phi`] is at least.
pub(super) const LEAST: f64 = 1e-12;

/// Logarithm of the normal distribution function, good to a percent and far into the tail.
pub(super) fn ln_phi(z: f64) -> f64 {
    if z > 6.0 {
        return 0.0;
    }
    if z < -6.0 {
        return -z * z / 2.0 - (-z).ln() - 0.92;
    }
    phi(z).ln()
}

/// The normal distribution function, good to a percent for what matters and at least [`LEAST`].
pub(super) fn phi(z: f64) -> f64 {
    exactly(z).max(LEAST)
}

/// Abramowitz and Stegun 26.2.17.
fn exactly(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = t
        * (0.319_381_53
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() * 0.398_942_28 * poly;
    if z >= 0.0 { 1.0 - tail } else { tail }
}

/// The same at so many places, joined by straight lines: a fit asks for millions.
pub(super) struct Table {
    at: Vec<f64>,
}

/// Beyond this it is 0 or 1, and so many places to 1: off by a part in three thousand where it is smallest.
const EDGE: f64 = 8.0;
const PLACES: f64 = 128.0;

/// The table; there is one.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let places = (2.0 * EDGE * PLACES) as u32;
        let at = (0..=places).map(|i| exactly(f64::from(i) / PLACES - EDGE)).collect();
        Table { at }
    })
}

impl Table {
    /// The normal distribution function; 0 or 1 beyond eight standard deviations.
    pub(super) fn phi(&self, z: f64) -> f64 {
        if z <= -EDGE {
            return 0.0;
        }
        if z >= EDGE {
            return 1.0;
        }
        let place = (z + EDGE) * PLACES;
        let before = place as usize;
        match self.at.get(before..before + 2) {
            Some(&[low, high]) => low + (high - low) * (place - before as f64),
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_it_is_made_of() {
        for i in -720..=720 {
            let z = f64::from(i) * 0.010_007;
            let (said, truth) = (table().phi(z), exactly(z));
            assert!((said / truth - 1.0).abs() < 4e-4, "{z}: {said} for {truth}");
        }
        assert_eq!((table().phi(-40.0), table().phi(40.0)), (0.0, 1.0));
        assert_eq!(table().phi(f64::INFINITY), 1.0);
    }
}
