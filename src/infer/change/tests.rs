//! The detector against limits that stay and limits that move.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::limiter::{Limiter, LimiterSettings};
use crate::model::{EstimateSource, Kind, Rate};

fn estimate(kind: Kind, rate: f64) -> Estimate {
    Estimate {
        rate: Interval { value: rate, low: rate * 0.99, high: rate * 1.01 },
        cautious: rate * 0.99,
        limiter: kind,
        confidence: 0.97,
        jitter: Duration::ZERO,
        source: EstimateSource::Throttles,
        throttles: 3,
        at: Moment::ZERO,
    }
}

fn scaled(kind: Kind, by: f64) -> Kind {
    let less = |n: u64| (n as f64 * by).round().max(1.0) as u64;
    match kind {
        Kind::FixedWindow { limit, window, phase } => {
            Kind::FixedWindow { limit: less(limit), window, phase }
        }
        Kind::SlidingLog { limit, window } => Kind::SlidingLog { limit: less(limit), window },
        Kind::TokenBucket { rate, burst } => Kind::TokenBucket {
            rate: Rate::from_per_second(rate.per_second() * by).expect("a rate"),
            burst,
        },
        other => other,
    }
}

/// Sends evenly, waits after each refusal, and comes back slowly or at once.
struct Sender {
    detector: Detector,
    limiter: Limiter,
    rng: StdRng,
    now: f64,
    /// Time of sending, without pauses.
    ungated: f64,
    rate: f64,
    chance: f64,
    pause: f64,
    /// How long the way back to the rate takes, from a third of it.
    back: f64,
    back_from: f64,
    refusals: u32,
}

impl Sender {
    fn new(kind: Kind, detector: Detector, rate: f64, seed: u64) -> Self {
        Self {
            detector,
            limiter: Limiter::new(&LimiterSettings::plain(kind)),
            rng: StdRng::seed_from_u64(seed),
            now: 1_000.0,
            ungated: 0.0,
            rate,
            chance: 0.0,
            pause: 5.0,
            back: 0.0,
            back_from: f64::NEG_INFINITY,
            refusals: 0,
        }
    }

    fn step(&mut self) -> Option<LimitChange> {
        let risen = ((self.now - self.back_from) / self.back.max(1e-9)).min(1.0);
        let gap = 1.0 / (self.rate * 0.35_f64.powf(1.0 - risen));
        self.now += gap;
        self.ungated += gap;
        let chanced = self.chance > 0.0 && self.rng.random_bool(self.chance);
        if chanced || !self.limiter.decide(moment(self.now)).is_admitted() {
            self.detector.refused(self.now);
            self.refusals += 1;
            let found = self.detector.due(moment(self.now));
            self.now += self.pause;
            self.back_from = self.now;
            self.detector.resumed();
            return found;
        }
        self.detector.admitted(self.now, true);
        self.detector.due(moment(self.now))
    }

    fn run(&mut self, seconds: f64) -> Option<LimitChange> {
        let end = self.ungated + seconds;
        while self.ungated < end {
            if let Some(change) = self.step() {
                return Some(change);
            }
        }
        None
    }
}

fn kinds() -> Vec<(Kind, f64)> {
    let seconds = Duration::from_secs;
    let bucket =
        |rate: u64, burst| Kind::TokenBucket { rate: Rate::per_sec(rate).expect("a rate"), burst };
    let phase = Duration::from_millis(370);
    vec![
        (Kind::FixedWindow { limit: 100, window: seconds(1), phase }, 100.0),
        (Kind::FixedWindow { limit: 300, window: seconds(60), phase }, 5.0),
        (Kind::FixedWindow { limit: 10, window: seconds(1), phase }, 10.0),
        (Kind::SlidingLog { limit: 100, window: seconds(1) }, 100.0),
        (Kind::SlidingLog { limit: 2_000, window: seconds(1) }, 2_000.0),
        (bucket(100, 100), 100.0),
        (bucket(10, 10), 10.0),
        (bucket(20, 1), 20.0),
    ]
}

#[test]
fn a_drop_is_told_soon_after_the_first_refusal() {
    for (kind, rate) in kinds() {
        for back in [0.0, 15.0] {
            let known = estimate(kind, rate);
            let mut sender = Sender::new(kind, Detector::new(None), 0.97 * rate, 1);
            assert_eq!(sender.detector.estimated(&known, moment(sender.now)), None);
            sender.back = back;
            let window = kind.window().as_secs_f64();
            assert_eq!(sender.run(300.0_f64.max(window * 5.0)), None, "{kind:?}");
            sender.limiter.change(moment(sender.now), scaled(kind, 0.6));
            while sender.refusals == 0 {
                assert_eq!(sender.step(), None);
            }
            let end = sender.ungated + 30.0_f64.max(2.0 * window);
            let mut told = None;
            while told.is_none() && sender.ungated < end {
                told = sender.step();
                // Who comes back slowly meets the limit seldom, and has a learner that says where it is.
                if told.is_none() && back > 0.0 && sender.refusals >= 3 {
                    let fallen = estimate(scaled(kind, 0.6), 0.6 * rate);
                    told = sender.detector.estimated(&fallen, moment(sender.now));
                }
            }
            let change = told.unwrap_or_else(|| panic!("{kind:?}, {back}: {}", sender.refusals));
            assert_eq!(change.direction, LimitDirection::Fell);
            assert!(
                change.to.low <= 0.61 * rate && 0.59 * rate <= change.to.high,
                "{kind:?} {change:?}"
            );
            assert!(change.confidence > 0.7, "{kind:?} {change:?}");
        }
    }
}

#[test]
fn what_is_admitted_for_long_is_held_against_what_comes() {
    let kind =
        Kind::FixedWindow { limit: 100, window: Duration::from_secs(1), phase: Duration::ZERO };
    let mut sender = Sender::new(kind, Detector::new(None), 80.0, 1);
    assert_eq!(sender.run(300.0), None);
    assert_eq!(sender.detector.sight(moment(sender.now)), ChangeSight::Falls);
    sender.limiter.change(moment(sender.now), scaled(kind, 0.6));
    let change = sender.run(30.0).expect("told");
    assert_eq!((change.direction, change.from.high), (LimitDirection::Fell, f64::INFINITY));
    assert!((change.from.value - 80.0).abs() < 1.0, "{change:?}");
}

#[test]
fn a_rise_shows_only_to_who_sends_more() {
    let kind = Kind::SlidingLog { limit: 100, window: Duration::from_secs(1) };
    let known = estimate(kind, 100.0);
    let mut sender = Sender::new(kind, Detector::new(None), 95.0, 1);
    sender.detector.estimated(&known, moment(sender.now));
    assert_eq!(sender.run(100.0), None);
    sender.limiter.change(moment(sender.now), scaled(kind, 1.6));
    assert_eq!(sender.run(100.0), None, "nobody has asked for more");
    assert_eq!(sender.detector.sight(moment(sender.now)), ChangeSight::Falls);
    sender.rate = 150.0;
    assert_eq!(sender.run(60.0), None, "a longer window would admit as much for a while");
    let change = sender.run(90.0).expect("told");
    assert_eq!(change.direction, LimitDirection::Rose);
    assert!(change.to.low > 107.0 && change.to.high.is_infinite(), "{change:?}");
}

#[test]
fn another_rate_of_ours_is_no_change_of_theirs() {
    let kind = Kind::SlidingLog { limit: 100, window: Duration::from_secs(1) };
    let mut sender = Sender::new(kind, Detector::new(None), 50.0, 1);
    assert_eq!(sender.run(300.0), None);
    sender.rate = 130.0;
    assert_eq!(sender.run(60.0), None, "more is sent, and refused");
    assert!(sender.refusals > 30);
}

/// Believes a sliding log of so many requests in a second, and has sent under it for long.
fn believer(limit: u64, rate: f64) -> Sender {
    let kind = Kind::SlidingLog { limit, window: Duration::from_secs(1) };
    let mut sender = Sender::new(kind, Detector::new(None), rate, 1);
    sender.detector.estimated(&estimate(kind, limit as f64), moment(sender.now));
    assert_eq!(sender.run(300.0), None);
    sender
}

#[test]
fn a_quota_that_is_stated_and_lower_than_before_is_a_fall() {
    for (sent, told) in [(50.0, true), (90.0, false)] {
        let mut sender = believer(100, sent);
        let mut found = None;
        for i in 0..1_000 {
            sender.detector.stated(if i < 100 { 100.0 } else { 60.0 }, sender.now);
            found = found.or(sender.step());
        }
        // Who is admitted more than is stated knows better.
        assert_eq!(found.is_some(), told, "{sent} {found:?}");
        if let Some(change) = found {
            assert_eq!(change.direction, LimitDirection::Fell);
            assert!((change.to.value - 60.0).abs() < 1e-6, "{change:?}");
            assert!(change.since < change.at, "{change:?}");
        }
    }
}

#[test]
fn an_estimate_that_was_wrong_is_no_limit_that_moved() {
    let kind = |limit| Kind::SlidingLog { limit, window: Duration::from_secs(1) };
    // New, and contradicted at once.
    let mut sender = Sender::new(kind(100), Detector::new(None), 95.0, 1);
    sender.detector.estimated(&estimate(kind(60), 60.0), moment(sender.now));
    assert_eq!(sender.run(300.0), None, "60/s were believed for a moment");
    // One more than was believed of a small quota.
    let mut sender = believer(5, 4.8);
    sender.limiter.change(moment(sender.now), kind(6));
    sender.rate = 5.9;
    assert_eq!(sender.run(600.0), None, "a request more or less");
    // For a moment something else, and then what it had been before.
    let mut sender = believer(100, 95.0);
    let wrong = estimate(kind(150), 150.0);
    for _ in 0..2 {
        assert_eq!(sender.detector.estimated(&wrong, moment(sender.now)), None);
        assert_eq!(sender.run(100.0), None);
    }
    assert_eq!(sender.run(300.0), None);
    let right = estimate(kind(100), 100.0);
    for _ in 0..2 {
        assert_eq!(sender.detector.estimated(&right, moment(sender.now)), None);
        assert_eq!(sender.run(100.0), None);
    }
}

#[test]
fn a_refusal_once_in_a_while_below_an_unknown_limit_is_no_fall() {
    let kind =
        Kind::FixedWindow { limit: 100, window: Duration::from_secs(1), phase: Duration::ZERO };
    let mut sender = Sender::new(kind, Detector::new(None), 20.0, 1);
    assert_eq!(sender.run(200.0), None);
    for _ in 0..40 {
        sender.detector.refused(sender.now);
        sender.now += 1.0;
        sender.detector.resumed();
        assert_eq!(sender.run(300.0), None);
    }
}

/// Days of traffic at a believed limit in which requests are refused by chance: false alarms, and days.
fn alarms(chance: f64, back: f64, every: f64, days: f64) -> (f64, f64) {
    let kind =
        Kind::FixedWindow { limit: 10, window: Duration::from_secs(1), phase: Duration::ZERO };
    let known = estimate(kind, 10.0);
    let mut detector = Detector::new(None);
    detector.set_alarm_every(Duration::from_secs_f64(every));
    let mut sender = Sender::new(kind, detector, 9.7, 7);
    sender.detector.estimated(&known, moment(sender.now));
    (sender.chance, sender.back) = (chance, back);
    let end = days * 86_400.0;
    let mut alarms = 0.0;
    while sender.ungated < end {
        if sender.run(end - sender.ungated).is_some() {
            alarms += 1.0;
            sender.detector.estimated(&known, moment(sender.now));
        }
    }
    (alarms, days)
}

#[test]
fn chance_raises_no_alarm_for_weeks() {
    for (chance, back) in [(0.001, 0.0), (0.001, 15.0)] {
        assert_eq!(
            alarms(chance, back, FALSE_ALARM_EVERY.as_secs_f64(), 7.0).0,
            0.0,
            "{chance} {back}"
        );
    }
}

/// At so low a threshold that it can be waited for, false alarms come no more often than is stated; and not so
/// seldom that the threshold has lost its meaning.
#[test]
fn false_alarms_come_no_more_often_than_is_stated() {
    let hour = 3_600.0;
    let (told, days) = alarms(0.03, 15.0, hour, 6.0);
    let mean = days * 86_400.0 / told;
    assert!((hour..hour * 100.0).contains(&mean), "{told} in {days} days: every {mean} s");
}
