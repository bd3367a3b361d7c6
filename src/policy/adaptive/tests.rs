//! The policy of one scope, told what happens.

use super::super::ExplorationSettings;
use super::*;
use crate::model::{Dialect, EstimateSource, Interval, QuotaHint};

const SETTINGS: AdaptiveSettings =
    AdaptiveSettings { margin: 0.01, exploration: None, latency_max: None };

fn at(seconds: f64) -> Moment {
    Moment::ZERO + Duration::from_secs_f64(seconds)
}

fn known(rate: f64) -> Estimate {
    Estimate {
        rate: Interval { value: rate, low: rate * 0.998, high: rate * 1.002 },
        cautious: rate * 0.999,
        limiter: Kind::SlidingLog { limit: rate as u64, window: Duration::from_secs(1) },
        confidence: 0.99,
        jitter: Duration::ZERO,
        source: EstimateSource::Throttles,
        throttles: 2,
        at: at(0.0),
    }
}

fn review_until(policy: &mut Adaptive, from: f64, to: f64) {
    let steps = ((to - from) / 0.25) as u32;
    (1..=steps).for_each(|i| policy.review(at(from + 0.25 * f64::from(i))));
}

fn holding(settings: AdaptiveSettings, rate: f64) -> Adaptive {
    let mut policy = Adaptive::new(settings, 1_000.0, None, at(0.0));
    policy.closed(at(1.0));
    policy.estimated(Some(known(rate)), at(1.0));
    policy.opened(Duration::from_secs(1), at(2.0));
    policy
}

fn answer(verdict: Verdict, sent: f64, took: f64, hints: Vec<QuotaHint>) -> Answer {
    Answer { hints, ..Answer::bare(verdict, at(sent), at(sent + took)) }
}

fn hint(limit: u64, remaining: u64, reset: u64) -> QuotaHint {
    QuotaHint {
        dialect: Dialect::XRateLimit,
        policy: None,
        limit: Some(limit),
        remaining: Some(remaining),
        reset: Some(Duration::from_secs(reset)),
        window: None,
    }
}

#[test]
fn an_unknown_limit_is_sought_from_far_below_and_never_above_the_ceiling() {
    let mut policy = Adaptive::new(SETTINGS, 200.0, None, at(0.0));
    assert!(policy.rate() < 5.0);
    review_until(&mut policy, 0.0, 60.0);
    assert_eq!((policy.rate(), policy.pace().state), (200.0, PaceState::Ceiling));
}

#[test]
fn a_known_limit_is_held_just_below_and_without_end() {
    let mut policy = holding(SETTINGS, 100.0);
    let held = policy.rate();
    assert!((97.0..100.0).contains(&held), "{held}");
    review_until(&mut policy, 2.0, 7_200.0);
    assert_eq!((policy.rate(), policy.pace().state), (held, PaceState::Holding));
}

#[test]
fn one_epoch_cuts_once() {
    let mut policy = holding(SETTINGS, 100.0);
    policy.closed(at(10.0));
    let cut = policy.rate();
    policy.closed(at(10.1));
    assert_eq!(policy.rate(), cut);
    assert_eq!((policy.pace().state, policy.review_at()), (PaceState::Paused, Moment::NEVER));
}

#[test]
fn a_refusal_while_holding_is_followed_by_a_climb_back_to_a_lower_rate() {
    let mut policy = holding(SETTINGS, 100.0);
    let held = policy.rate();
    policy.closed(at(600.0));
    policy.estimated(Some(known(100.0)), at(600.1));
    policy.opened(Duration::from_secs(30), at(630.0));
    assert!(policy.rate() < held / 2.0);
    review_until(&mut policy, 630.0, 660.0);
    assert_eq!(policy.pace().state, PaceState::Holding);
    assert!(policy.rate() <= held * 0.985 + 1e-9 && policy.rate() > held * 0.97);
}

#[test]
fn exploration_is_due_after_its_interval_and_passes_a_limit_that_rose() {
    let look = ExplorationSettings { interval: Duration::from_secs(60), ..Default::default() };
    let settings = AdaptiveSettings { exploration: Some(look), ..SETTINGS };
    let mut policy = holding(settings, 100.0);
    review_until(&mut policy, 2.0, 50.0);
    assert_eq!(policy.pace().state, PaceState::Holding);
    review_until(&mut policy, 50.0, 150.0);
    assert_eq!((policy.pace().estimate, policy.pace().state), (None, PaceState::Seeking));
    assert!(policy.rate() > 103.0);
}

#[test]
fn two_epochs_in_spite_of_plenty_left_and_hints_are_not_believed() {
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    assert_eq!(policy.pace().hints_trusted, None);
    for epoch in 0..2 {
        let t = f64::from(epoch) * 10.0;
        policy.answered(
            &answer(Verdict::Accepted, t, 0.1, vec![hint(1_000, 900, 60)]),
            0,
            at(t + 0.1),
        );
        assert_eq!(policy.pace().hints_trusted, Some(true));
        policy.answered(&answer(Verdict::Throttled, t + 1.0, 0.1, vec![]), 0, at(t + 1.1));
    }
    assert_eq!(policy.pace().hints_trusted, Some(false));
}

#[test]
fn what_hints_say_is_left_lasts_until_the_reset() {
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    policy.answered(&answer(Verdict::Accepted, 0.0, 0.1, vec![hint(300, 119, 60)]), 0, at(0.1));
    review_until(&mut policy, 0.0, 20.0);
    assert!((policy.rate() - 2.0).abs() < 0.01, "{}", policy.rate());
    (0..119).for_each(|_| policy.sent(at(20.0)));
    assert!(policy.vetoes(at(59.0)));
    policy.review(at(60.2));
    assert!(!policy.vetoes(at(60.2)), "one may ask after the reset");
}

#[test]
fn slow_answers_slow_it_down_only_where_configured() {
    for (most, slowed) in [(None, false), (Some(Duration::from_millis(500)), true)] {
        let mut policy = holding(AdaptiveSettings { latency_max: most, ..SETTINGS }, 100.0);
        let held = policy.rate();
        for i in 0..100 {
            let t = 10.0 + f64::from(i) * 0.1;
            policy.answered(&answer(Verdict::Accepted, t - 2.0, 2.0, vec![]), 0, at(t));
        }
        assert_eq!(policy.rate() < held * 0.95, slowed);
        assert_eq!(policy.pace().reason == PaceReason::Latency, slowed);
    }
}

#[test]
fn a_ramp_does_not_make_the_search_begin_near_nothing() {
    let mut policy = Adaptive::new(SETTINGS, 1.0 / 60.0, None, at(0.0));
    for i in 1..=50 {
        let now = f64::from(i) * 0.1;
        policy.configure(SETTINGS, 3.0 * f64::from(i), at(now));
        policy.review(at(now));
        assert!(policy.rate() <= 3.0 * f64::from(i));
    }
    review_until(&mut policy, 5.0, 30.0);
    assert!(policy.rate() > 50.0, "{}", policy.rate());
}

#[test]
fn refusals_that_no_estimate_explains_are_met_by_feel_and_the_rate_comes_back() {
    let open = |rate: f64| Estimate {
        rate: Interval { value: rate, low: rate * 0.2, high: rate * 2.0 },
        cautious: rate * 0.3,
        ..known(rate)
    };
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    let (mut now, mut wall) = (0.0, 0.0);
    for trip in 0..6 {
        review_until(&mut policy, now, now + 40.0);
        now += 40.0;
        wall = policy.rate();
        policy.closed(at(now));
        policy.estimated(Some(open(10.0 + f64::from(trip))), at(now));
        policy.opened(Duration::from_secs(1), at(now + 1.0));
        now += 1.0;
    }
    review_until(&mut policy, now, now + 20.0);
    let back = policy.rate();
    assert!(back > wall * 0.9 && back < wall, "just below the wall of {wall}, and not {back}");
    review_until(&mut policy, now + 20.0, now + 7_200.0);
    assert!(policy.rate() > back * 1.3, "it does not stay at a wrong place for ever: {back}");
}

#[test]
fn what_is_left_of_one_window_does_not_rise_or_the_hints_are_of_somebody_else() {
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    for (i, left) in [500, 200, 550, 300, 700].into_iter().enumerate() {
        let t = i as f64;
        let hints = vec![hint(1_000, left, 60 - i as u64)];
        policy.answered(&answer(Verdict::Accepted, t, 0.0, hints), 0, at(t));
    }
    assert_eq!(policy.pace().hints_trusted, Some(false));
}

#[test]
fn a_bucket_is_believed_after_a_third_refusal_where_one_costs_little() {
    let bucket = |throttles| Estimate {
        limiter: Kind::TokenBucket { rate: "100/s".parse().expect("a rate"), burst: 60 },
        throttles,
        ..known(100.0)
    };
    let refused = |policy: &mut Adaptive, throttles, t: f64, pause: f64| {
        policy.closed(at(t));
        policy.estimated(Some(bucket(throttles)), at(t));
        policy.opened(Duration::from_secs_f64(pause), at(t + pause));
        policy.pace().state
    };
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    assert_eq!(refused(&mut policy, 2, 1.0, 1.0), PaceState::Seeking);
    assert_eq!(refused(&mut policy, 3, 30.0, 1.0), PaceState::Holding);
    let mut dear = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    refused(&mut dear, 1, 1.0, 30.0);
    assert_eq!(refused(&mut dear, 2, 60.0, 30.0), PaceState::Holding, "what is dear is not tested");
}

#[test]
fn as_many_are_in_flight_as_there_may_be_places_while_it_is_looked_for() {
    let places = |limit, low: f64, high: f64| Estimate {
        rate: Interval { value: 380.0, low, high },
        cautious: low,
        limiter: Kind::Concurrency { limit },
        ..known(380.0)
    };
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    policy.closed(at(1.0));
    policy.estimated(Some(places(19, 340.0, 400.0)), at(1.0));
    policy.opened(Duration::from_secs(1), at(2.0));
    assert_eq!((policy.pace().state, policy.in_flight_max()), (PaceState::Seeking, Some(20)));
    policy.closed(at(3.0));
    policy.estimated(Some(places(19, 379.5, 380.5)), at(3.0));
    policy.opened(Duration::from_secs(1), at(4.0));
    assert_eq!((policy.pace().state, policy.in_flight_max()), (PaceState::Holding, Some(19)));
}

#[test]
fn a_look_above_an_estimate_that_leaves_much_open_does_not_take_for_ever() {
    let look = ExplorationSettings { interval: Duration::from_secs(60), ..Default::default() };
    let settings = AdaptiveSettings { exploration: Some(look), ..SETTINGS };
    let mut policy = Adaptive::new(settings, 1_000.0, None, at(0.0));
    policy.closed(at(1.0));
    let open = Interval { value: 100.0, low: 99.8, high: 109.0 };
    policy.estimated(Some(Estimate { rate: open, ..known(100.0) }), at(1.0));
    policy.opened(Duration::from_secs(1), at(2.0));
    review_until(&mut policy, 2.0, 80.0);
    assert_eq!(policy.pace().state, PaceState::Seeking, "{:?}", policy.pace());
    assert!(policy.rate() > 109.0, "{}", policy.rate());
}

#[test]
fn a_limit_that_fell_is_sought_anew_with_patience() {
    let open = |rate: f64| Estimate {
        rate: Interval { value: rate, low: rate * 0.5, high: rate * 2.0 },
        cautious: rate * 0.6,
        ..known(rate)
    };
    let mut policy = Adaptive::new(SETTINGS, 1_000.0, None, at(0.0));
    let mut refused = |estimate: Option<Estimate>, t: f64| {
        policy.closed(at(t));
        policy.estimated(estimate, at(t));
        policy.opened(Duration::from_secs(30), at(t + 30.0));
        policy.rate()
    };
    for i in 0..3 {
        refused(Some(known(100.0)), 100.0 * f64::from(i));
    }
    assert!(refused(None, 400.0) < 50.0, "nothing is known of the new limit");
    // Of the new limit this is the first refusal: it goes by the estimate, not by feel.
    assert_eq!(refused(Some(open(60.0)), 500.0), 30.0);
}

/// Requests that are all admitted, and hints of a quota of 1,000 a minute of which `left` says what is left; until `to`.
fn hinted_by_a_stranger(to: f64, left: impl Fn(f64) -> u64) -> Adaptive {
    let mut policy = Adaptive::new(SETTINGS, 100.0, None, at(0.0));
    let (mut now, mut due) = (0.0, 0.0);
    while now < to {
        policy.review(at(now));
        if now >= due && !policy.vetoes(at(now)) {
            policy.sent(at(now));
            let said = vec![hint(1_000, left(now), 60 - now as u64 % 60)];
            policy.answered(&answer(Verdict::Accepted, now, 0.0, said), 0, at(now));
            due = now + 1.0 / policy.rate();
        }
        now += 0.25;
        due = due.min(now + 1.0 / policy.rate());
    }
    policy
}

#[test]
fn many_small_rises_of_one_window_are_as_bad_as_a_large_one() {
    let by_turns = |t: f64| if ((t / 2.0) as u64).is_multiple_of(2) { 390 } else { 470 };
    let policy = hinted_by_a_stranger(59.0, by_turns);
    assert_eq!(policy.pace().hints_trusted, Some(false));
    let falls = hinted_by_a_stranger(59.0, |t| 470 - 4 * t as u64);
    assert_eq!(falls.pace().hints_trusted, Some(true));
}

#[test]
fn a_quota_that_somebody_else_has_used_up_when_its_window_begins_is_asked_and_then_left_alone() {
    let policy = hinted_by_a_stranger(70.0, |_| 0);
    assert_eq!(
        policy.pace().hints_trusted,
        Some(false),
        "a full window, and one that was admitted"
    );
    assert!(policy.rate() >= 100.0 / 64.0, "the search begins anew: {}", policy.rate());
}

#[test]
fn the_way_back_from_a_quota_that_is_used_up_is_short_as_nobody_was_refused() {
    let used_up = |t: f64| if (2.0..60.0).contains(&t) { 0 } else { 990 };
    let mut policy = hinted_by_a_stranger(61.0, used_up);
    assert!(policy.rate() < 2.0, "it did not last: {}", policy.rate());
    review_until(&mut policy, 61.0, 181.0);
    assert!(policy.rate() > 9.0, "{}", policy.rate());
}
