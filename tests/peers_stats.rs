//! The arithmetic of the bench against peers: a figure that is quoted must be right.

#[path = "../benches/peers/stats.rs"]
mod stats;

const SECOND_NS: f64 = 1e9;

/// Arrivals of a sender that keeps `rate` to the nanosecond from an arbitrary start, each delayed by `delay_ns(i)`.
fn arrivals(count: u64, rate: f64, delay_ns: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..count)
        .map(|i| 7_000_000_123 + (i as f64 / rate * SECOND_NS).round() as u64 + delay_ns(i))
        .collect()
}

#[test]
fn a_sender_on_time_is_late_by_nothing_but_rounding() {
    let late = stats::lateness(&arrivals(2_000, 97.3, |_| 50_000), 97.3).expect("arrivals");
    assert!(late.max_ms < 2e-6, "a constant way is no lateness: {late:?}");
}

#[test]
fn quantiles_are_those_of_the_delays() {
    // 1 % of 1 ms, one in a thousand of 9 ms, everything else on time.
    let delay_ns = |i| if i % 1_000 == 7 { 9_000_000 } else { u64::from(i % 100 == 3) * 1_000_000 };
    let late = stats::lateness(&arrivals(10_000, 1_000.0, delay_ns), 1_000.0).expect("arrivals");
    let near = |a: f64, b: f64| (a - b).abs() < 1e-3;
    assert!(near(late.p50_ms, 0.0), "{late:?}");
    assert!(near(late.p99_ms, 1.0), "{late:?}");
    assert!(near(late.p999_ms, 1.0), "{late:?}");
    assert!(near(late.max_ms, 9.0), "{late:?}");
}

#[test]
fn a_slot_left_out_makes_the_rest_late() {
    let mut with_hole = arrivals(1_000, 100.0, |_| 0);
    with_hole.remove(100);
    let late = stats::lateness(&with_hole, 100.0).expect("arrivals");
    assert!((late.p50_ms - 10.0).abs() < 1e-3, "{late:?}");
}

#[test]
fn the_fitted_rate_sees_a_few_millionths_through_jitter() {
    let rate = 1_000.0 * (1.0 + 20e-6);
    let jitter_ns = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 45; // 0 to 0.5 ms
    let fitted = stats::fitted_rate(&arrivals(20_000, rate, jitter_ns)).expect("arrivals");
    let error_ppm = (fitted / 1_000.0 - 1.0) * 1e6;
    assert!((error_ppm - 20.0).abs() < 1.0, "{error_ppm}");
}

#[test]
fn too_few_arrivals_say_nothing() {
    assert_eq!(stats::lateness(&[], 1.0), None);
    assert_eq!(stats::fitted_rate(&[5]), None);
}

#[test]
fn the_median_of_an_even_number_is_between_the_middle_two() {
    assert_eq!(stats::median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    assert_eq!(stats::median(&[3.0, 1.0, 2.0]), 2.0);
    assert!(stats::median(&[]).is_nan());
}
