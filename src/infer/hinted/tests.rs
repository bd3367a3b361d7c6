//! What hints say, however they are counted.

use super::super::record::Record;
use super::*;

fn notes(limit: f64, used: &[u64]) -> Vec<Note> {
    let note =
        |(i, used): (usize, &u64)| Note { t: i as f64, limit, used: *used as f64, reset: None };
    used.iter().enumerate().map(note).collect()
}

#[test]
fn a_request_that_uses_ten_points_uses_one_of_a_tenth_as_many() {
    let unit_known = |limit, used: &[u64], known| {
        super::unit(limit, &notes(limit, used).iter().collect::<Vec<_>>(), known)
    };
    let unit = |limit, used: &[u64]| unit_known(limit, used, None);
    assert_eq!(unit(1_000.0, &[10, 20, 30, 50, 90, 100]), 10.0);
    assert_eq!(unit(1_000.0, &[10, 20, 30, 55, 90, 100]), 5.0);
    assert_eq!(unit(100.0, &[1, 2, 3, 5, 9, 10]), 1.0);
    // The same all the time may be chance.
    assert_eq!(unit(100.0, &[90, 100, 90, 100, 90, 100]), 1.0);
    // Unless it was known before; and only as long as it may be so.
    assert_eq!(unit_known(1_000.0, &[10, 20, 10, 20], Some(100)), 10.0);
    assert_eq!(unit_known(1_000.0, &[10, 25, 10, 20], Some(100)), 1.0);
    assert_eq!(unit_known(1_000.0, &[10, 20, 10, 20], Some(1_000)), 1.0);
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

#[test]
fn requests_that_jitter_brought_together_do_not_make_a_refill_slow() {
    // Twice as fast a refill as requests are sent, some of which come two or three at once.
    let (rate, limit) = (500.0, 2_000.0);
    let mut record = Record::new(0.0);
    for (i, used) in [1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 2.0].iter().cycle().take(300).enumerate() {
        let t = i as f64 / rate;
        record.admitted(t);
        record.noted(Note { t, limit, used: *used, reset: Some(1.0) });
    }
    let record = record.excerpt(f64::NEG_INFINITY);
    let latency = Latency { jitter: 0.001_4, jitter_max: 0.005, ..Latency::default() };
    let members = Evidence::of(&record, &latency, None).and_then(|e| e.members(&latency));
    let members = members.expect("a bucket explains them");
    let best = members.iter().map(|m| m.weight).fold(f64::NEG_INFINITY, f64::max);
    let mass = |least: f64| -> f64 {
        members.iter().filter(|m| m.rate > least).map(|m| (m.weight - best).exp()).sum()
    };
    assert!(mass(2.0 * rate) > 0.5 * mass(0.0), "{} of {}", mass(2.0 * rate), mass(0.0));
}
