//! The learner against limiters that are known.

use std::time::Duration;

use super::*;
use crate::limiter::{Limiter, LimiterSettings};
use crate::model::{AttemptId, Dialect, Estimate, EstimateSource, Kind, Moment, QuotaHint, Rate};

const ROUND_TRIP: Duration = Duration::from_millis(20);

/// A learner that watches a limiter on a network without jitter.
struct Lab {
    limiter: Limiter,
    learner: Learner,
    now: Moment,
    next: u64,
    hinted: bool,
    fits: u32,
}

impl Lab {
    fn new(kind: Kind) -> Self {
        Self {
            limiter: Limiter::new(&LimiterSettings::plain(kind)),
            learner: Learner::new(None),
            now: Moment::ZERO + Duration::from_secs(100),
            next: 0,
            hinted: false,
            fits: 0,
        }
    }

    /// One request; whether it was admitted.
    fn send(&mut self) -> bool {
        let attempt = AttemptId(self.next);
        self.next += 1;
        let admitted = self.limiter.decide(self.now).is_admitted();
        let quota = self.limiter.quota(self.now);
        let hint = QuotaHint {
            dialect: Dialect::XRateLimit,
            policy: None,
            limit: Some(quota.limit),
            remaining: Some(quota.remaining),
            reset: Some(quota.reset),
            window: None,
        };
        let decision = if admitted { Decision::Admitted } else { Decision::Refused };
        self.learner.sent(attempt, self.now);
        let hints: &[QuotaHint] = if self.hinted { &[hint] } else { &[] };
        let seen = Seen { decision, at: self.now + ROUND_TRIP, hints };
        self.learner.answered(attempt, seen);
        admitted
    }

    fn fit(&mut self) -> Option<Found> {
        let found = self.learner.job(self.now)?.run();
        self.fits += 1;
        self.learner.fitted(&found, self.now);
        Some(found)
    }

    /// Sends ever faster until a refusal, then waits for half a minute: what the fit made of it.
    fn climb(&mut self, from: f64, growth: f64) -> Option<Estimate> {
        let mut rate = from;
        while self.send() {
            let gap = Duration::from_secs_f64(1.0 / rate);
            self.now += gap;
            rate *= (growth * gap.as_secs_f64()).exp();
            assert!(rate < 1e5, "never refused");
        }
        let found = self.fit();
        self.now += Duration::from_secs(30);
        found.expect("a refusal calls for a fit").estimate
    }

    fn hold(&mut self, rate: f64, seconds: f64) -> bool {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            if !self.send() {
                return false;
            }
            self.now += Duration::from_secs_f64(1.0 / rate);
        }
        true
    }
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// What is known of a limiter that admits this rate after three searches, each closer than the one before.
fn three_climbs(kind: Kind, rate: f64) -> Estimate {
    let mut lab = Lab::new(kind);
    lab.climb(rate / 50.0, 0.14);
    lab.climb(rate * 0.4, 0.05);
    lab.climb(rate * 0.9, 0.01).expect("an estimate")
}

#[test]
fn two_or_three_refusals_tell_the_rate_within_a_percent() {
    let bucket =
        |rate, burst| Kind::TokenBucket { rate: Rate::per_sec(rate).expect("a rate"), burst };
    let phase = Duration::from_millis(370);
    for (kind, rate) in [
        (Kind::SlidingLog { limit: 100, window: seconds(1) }, 100.0),
        (Kind::FixedWindow { limit: 100, window: seconds(1), phase }, 100.0),
        (Kind::SlidingLog { limit: 300, window: seconds(60) }, 5.0),
        (bucket(100, 100), 100.0),
        (bucket(10, 40), 10.0),
        (bucket(5, 1), 5.0),
    ] {
        let known = three_climbs(kind, rate);
        let off = known.rate.value / rate - 1.0;
        assert!(off.abs() < 0.011, "{kind:?}: {known:?}");
        assert!(known.rate.low <= rate * 1.001 && rate * 0.999 <= known.rate.high, "{known:?}");
        assert!(known.cautious <= rate * 1.001, "{kind:?}: {known:?}");
        assert_eq!(known.limiter.as_str(), kind.as_str(), "{known:?}");
    }
}

/// Windows that begin on demand, and counts of two windows, are told from other kinds only by and by.
#[test]
fn what_windows_approximate_is_found_as_a_rate() {
    let phase = Duration::from_millis(370);
    for (kind, rate) in [
        (Kind::OnDemandWindow { limit: 100, window: seconds(1) }, 100.0),
        (Kind::SlidingCounter { limit: 100, window: seconds(1), phase }, 99.0),
    ] {
        let known = three_climbs(kind, rate);
        assert!((known.rate.value / rate - 1.0).abs() < 0.011, "{kind:?}: {known:?}");
        assert!(known.cautious <= rate * 1.001, "{kind:?}: {known:?}");
    }
}

#[test]
fn without_a_refusal_or_a_hint_nothing_is_claimed() {
    let mut lab = Lab::new(Kind::SlidingLog { limit: 100, window: seconds(1) });
    assert!(lab.hold(80.0, 60.0));
    assert_eq!(lab.fit(), None);
}

#[test]
fn hints_tell_the_limit_before_any_refusal() {
    let mut lab = Lab::new(Kind::SlidingLog { limit: 100, window: seconds(1) });
    lab.hinted = true;
    assert!(lab.hold(40.0, 5.0));
    let known = lab.fit().and_then(|found| found.estimate).expect("an estimate");
    assert_eq!((known.source, known.throttles), (EstimateSource::Hints, 0));
    assert!((known.rate.value / 100.0 - 1.0).abs() < 0.02, "{known:?}");
}

#[test]
fn hints_that_nothing_explains_are_not_used() {
    let mut lab = Lab::new(Kind::SlidingLog { limit: 100, window: seconds(1) });
    for i in 0..400_u64 {
        let hint = QuotaHint {
            dialect: Dialect::XRateLimit,
            policy: None,
            limit: Some(1_000),
            remaining: Some(i * 7_919 % 1_000),
            reset: Some(seconds(i % 17)),
            window: None,
        };
        let attempt = AttemptId(i);
        lab.learner.sent(attempt, lab.now);
        let at = lab.now + ROUND_TRIP;
        let seen = Seen { decision: Decision::Admitted, at, hints: &[hint] };
        lab.learner.answered(attempt, seen);
        lab.now += Duration::from_millis(25);
    }
    let found = lab.fit().expect("hints call for a fit");
    assert_eq!((found.news, found.estimate), (false, None));
}

#[test]
fn hints_that_tell_nothing_new_call_for_ever_fewer_fits() {
    let mut lab = Lab::new(Kind::SlidingLog { limit: 100, window: seconds(1) });
    lab.hinted = true;
    for _ in 0..600 {
        assert!(lab.hold(50.0, 1.0));
        lab.fit();
    }
    assert!(lab.fits < 40, "{} fits in ten minutes", lab.fits);
}

#[test]
fn a_limit_that_fell_is_told_from_the_one_before() {
    let mut lab = Lab::new(Kind::SlidingLog { limit: 100, window: seconds(1) });
    lab.climb(2.0, 0.14);
    lab.climb(40.0, 0.05);
    assert!(lab.hold(98.0, 120.0));
    lab.now += seconds(30);
    lab.limiter.change(lab.now, Kind::SlidingLog { limit: 60, window: seconds(1) });
    lab.climb(30.0, 0.05);
    let known = lab.climb(30.0, 0.03).expect("an estimate");
    assert!((known.rate.value / 60.0 - 1.0).abs() < 0.02, "{known:?}");
}

#[test]
fn a_fall_shows_by_the_first_refusal_that_agrees_with_nothing() {
    let demanded = |limit| Kind::OnDemandWindow { limit, window: seconds(1) };
    let mut lab = Lab::new(demanded(10));
    for (from, growth) in [(1.0, 0.14), (4.0, 0.05), (9.0, 0.01)] {
        lab.climb(from, growth);
    }
    assert!(lab.hold(9.8, 120.0));
    lab.limiter.change(lab.now, demanded(6));
    assert!(!lab.hold(9.8, 5.0));
    let found = lab.fit().expect("a refusal calls for a fit");
    assert_eq!((found.news, found.estimate), (true, None), "nothing is known of the new limit");
    lab.now += seconds(30);
    let known = lab.climb(3.0, 0.05).expect("an estimate");
    assert!((known.rate.value / 6.0 - 1.0).abs() < 0.011, "one refusal tells the rest: {known:?}");
}

#[test]
fn a_minute_still_holds_what_was_admitted_before_the_limit_fell() {
    let phase = Duration::from_millis(370);
    let counter = |limit| Kind::SlidingCounter { limit, window: seconds(60), phase };
    let mut lab = Lab::new(counter(300));
    for (from, growth) in [(1.0, 0.14), (2.0, 0.05), (4.5, 0.01)] {
        lab.climb(from, growth);
    }
    lab.now += seconds(60);
    assert!(lab.hold(4.9, 180.0));
    lab.limiter.change(lab.now, counter(180));
    assert!(!lab.hold(4.9, 5.0));
    let found = lab.fit().expect("a refusal calls for a fit");
    assert_eq!((found.news, found.estimate), (true, None), "nothing is known of the new limit");
    lab.now += seconds(30);
    lab.climb(1.7, 0.05);
    let known = lab.climb(1.7, 0.05).expect("an estimate");
    let rate = 179.0 / 60.0;
    assert!((0.97..1.01).contains(&(known.cautious / rate)), "{known:?}");
}

#[test]
fn a_rise_shows_by_the_first_refusal_above_it() {
    let log = |limit| Kind::SlidingLog { limit, window: seconds(1) };
    let mut lab = Lab::new(log(100));
    for (from, growth) in [(2.0, 0.14), (40.0, 0.05), (90.0, 0.01)] {
        lab.climb(from, growth);
    }
    assert!(lab.hold(98.0, 120.0));
    lab.limiter.change(lab.now, log(150));
    let known = lab.climb(98.0, 0.01).expect("an estimate");
    assert!((known.rate.value / 150.0 - 1.0).abs() < 0.011, "{known:?}");
    assert!(known.cautious > 147.0, "{known:?}");
}

#[test]
fn a_limit_of_a_few_requests_is_one_whole_number() {
    let known = three_climbs(Kind::SlidingLog { limit: 6, window: seconds(1) }, 6.0);
    assert!((5.95..=6.0).contains(&known.cautious), "{known:?}");
}

#[test]
fn hints_of_a_small_bucket_are_not_of_half_a_second() {
    let six = Rate::per_sec(6).expect("a rate");
    let mut lab = Lab::new(Kind::TokenBucket { rate: six, burst: 6 });
    lab.hinted = true;
    assert!(lab.hold(7.0, 4.0) && lab.hold(5.5, 20.0) && lab.hold(7.0, 4.0));
    let known = lab.fit().and_then(|found| found.estimate).expect("an estimate");
    assert!((known.rate.value / 6.0 - 1.0).abs() < 0.02, "{known:?}");
}
