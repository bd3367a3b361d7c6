use super::*;
use crate::model::AdviceSource;
use crate::policy::{BackoffSettings, Jitter, RetryBudgetSettings};
use rand::SeedableRng;
use rand::rngs::StdRng;

const RESUME: AttemptId = AttemptId(100);
const POLICY: PolicySettings = PolicySettings {
    backoff: BackoffSettings {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(60),
        jitter: Jitter::Equal,
    },
    max_attempts: 5,
    retry_budget: RetryBudgetSettings { ratio: 0.1, reserve: 10 },
    deadline: Duration::from_secs(300),
    retry_after_max: Duration::from_secs(180),
    retry_after_jitter: Duration::ZERO,
};

fn at(seconds: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(seconds)
}

fn wait(seconds: u64) -> Advice {
    Advice::Wait(Duration::from_secs(seconds), AdviceSource::RetryAfterSeconds)
}

/// A gate with its dice, so that a test reads as a story.
struct Story(Gate, StdRng);

impl Story {
    fn new() -> Self {
        Self(Gate::default(), StdRng::seed_from_u64(1))
    }

    fn throttled(&mut self, attempt: u64, seconds: u64, advice: Advice) -> Pause {
        self.0.throttled(AttemptId(attempt), at(seconds), advice, &POLICY, &mut self.1)
    }
}

#[test]
fn an_epoch_cuts_once_however_many_stragglers_follow() {
    let mut story = Story::new();
    assert_eq!(story.throttled(1, 10, wait(30)), Pause::Began);
    assert_eq!(story.throttled(2, 10, wait(30)), Pause::Covered);
    assert_eq!(story.throttled(3, 12, wait(30)), Pause::Extended);
    assert_eq!(story.0.level(), 1);
    assert_eq!(story.0.passage(at(41)), Passage::Until(at(42)));
    assert_eq!(story.0.passage(at(42)), Passage::Resume(at(42)));
}

#[test]
fn traffic_flows_only_after_the_resume_is_accepted() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(30));
    story.0.resume_sent(RESUME, at(41));
    assert_eq!(story.0.passage(at(41)), Passage::Waiting);
    assert_eq!(story.0.ended(AttemptId(1), true, at(41), Duration::ZERO), None);
    let held = story.0.ended(RESUME, true, at(41), Duration::ZERO);
    assert_eq!(held, Some(Duration::from_secs(31)));
    assert_eq!((story.0.passage(at(41)), story.0.level()), (Passage::Free, 0));
}

#[test]
fn a_refused_resume_is_the_next_epoch_and_doubts_the_advice() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(1));
    for epoch in 2..8_u64 {
        let now = epoch * 100;
        story.0.resume_sent(RESUME, at(41));
        assert_eq!(story.throttled(RESUME.0, now, wait(1)), Pause::Began);
        assert_eq!(u64::from(story.0.level()), epoch);
        let floor = Duration::from_millis(500 << (epoch - 2)).min(Duration::from_secs(30));
        assert!(story.0.until() >= at(now) + floor.max(Duration::from_secs(1)));
    }
}

#[test]
fn a_failed_resume_proves_nothing_and_another_follows() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(30));
    story.0.resume_sent(RESUME, at(41));
    assert_eq!(story.0.ended(RESUME, false, at(41), Duration::from_secs(2)), None);
    assert_eq!(story.0.passage(at(42)), Passage::Until(at(43)));
    assert_eq!(story.0.level(), 1);
}

#[test]
fn a_straggler_in_the_half_open_state_postpones_the_opening() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(30));
    story.0.resume_sent(RESUME, at(41));
    assert_eq!(story.throttled(2, 41, wait(30)), Pause::Extended);
    assert_eq!(story.0.ended(RESUME, true, at(42), Duration::ZERO), None);
    assert_eq!(story.0.passage(at(70)), Passage::Until(at(71)));
}

#[test]
fn advice_of_more_than_a_day_counts_as_absent() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(24 * 3_600 + 1));
    assert!(story.0.until() <= at(11));
    let mut story = Story::new();
    story.throttled(1, 10, wait(24 * 3_600));
    assert_eq!(story.0.until(), at(10 + 24 * 3_600));
    assert!(story.0.is_long());
}

#[test]
fn an_operator_opens_a_long_pause_and_no_other() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(180));
    assert!(!story.0.open_by_operator(at(20)));
    assert!(story.0.forbids(at(20)));
    story.throttled(2, 11, wait(3_600));
    assert!(story.0.open_by_operator(at(20)));
    assert_eq!(story.0.passage(at(20)), Passage::Resume(at(20)));
    assert!(!story.0.forbids(at(20)), "the operator's word lifts the prohibition");
}

#[test]
fn a_redrawn_scope_inherits_the_pause() {
    let mut story = Story::new();
    story.throttled(1, 10, wait(30));
    story.0.resume_sent(RESUME, at(41));
    let mut heir = Gate::default();
    heir.inherit(&story.0);
    assert_eq!(heir.passage(at(20)), Passage::Until(at(40)));
    assert!(heir.forbids(at(39)));
}

#[test]
fn who_is_refused_again_when_hardly_anything_was_admitted_waits_for_longer() {
    let third = |admitted: u64| {
        let mut story = Story::new();
        for epoch in 0..3 {
            let now = 100 * epoch;
            story.throttled(1, now, wait(1));
            story.0.resume_sent(RESUME, at(now + 50));
            assert!(story.0.ended(RESUME, true, at(now + 50), Duration::ZERO).is_some());
            assert_eq!(story.0.level(), 0, "it is open");
            (0..admitted).for_each(|i| {
                story.0.ended(AttemptId(i), true, at(now + 51), Duration::ZERO);
            });
        }
        story.throttled(1, 300, wait(1));
        (story.0.level(), story.0.until() >= at(302))
    };
    let few = u64::from(HARDLY_ANY);
    assert_eq!(third(few - 1), (4, true), "the same silence again");
    assert_eq!(third(few), (1, false), "it had been enough");
}
