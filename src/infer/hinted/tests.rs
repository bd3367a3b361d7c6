//! What hints say, however they are counted.

use super::*;

fn notes(limit: f64, used: &[u64]) -> Vec<Note> {
    let note =
        |(i, used): (usize, &u64)| Note { t: i as f64, limit, used: *used as f64, reset: None };
    used.iter().enumerate().map(note).collect()
}

#[test]
fn a_request_that_uses_ten_points_uses_one_of_a_tenth_as_many() {
    let unit =
        |limit, used: &[u64]| super::unit(limit, &notes(limit, used).iter().collect::<Vec<_>>());
    assert_eq!(unit(1_000.0, &[10, 20, 30, 50, 90, 100]), 10.0);
    assert_eq!(unit(1_000.0, &[10, 20, 30, 55, 90, 100]), 5.0);
    assert_eq!(unit(100.0, &[1, 2, 3, 5, 9, 10]), 1.0);
    // The same all the time may be chance.
    assert_eq!(unit(100.0, &[90, 100, 90, 100, 90, 100]), 1.0);
}

#[test]
fn whole_seconds_stand_for_any_time_in_them_and_are_never_better_than_that() {
    let best = ln_reset(1.0, 0.4);
    for predicted in [0.01, 0.5, 1.0, 1.02, 1.2, 3.0] {
        assert!(ln_reset(1.0, predicted) <= best + 1e-9, "{predicted}");
    }
    assert!(ln_reset(1.0, 1.2) < best - 1.0);
    assert!(ln_reset(0.4, 0.4) > best, "decimals tell more");
}
