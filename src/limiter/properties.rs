//! What every limiter must keep, for arbitrary settings and arbitrary arrivals.

use std::time::Duration;

use proptest::prelude::*;

use super::{Decision, Kind, Limiter, LimiterSettings, Lockout};
use crate::model::{Moment, Rate};

fn windows() -> impl Strategy<Value = (u64, Duration, Duration)> {
    (1_u64..8, 1_u64..200, 0_u64..400).prop_map(|(limit, window, phase)| {
        (limit, Duration::from_micros(window), Duration::from_micros(phase))
    })
}

/// Rates whose period is seldom a whole number of nanoseconds.
fn rates() -> impl Strategy<Value = Rate> {
    (1_u64..1_000, 1_u64..1_000).prop_filter_map("in bounds", |(events, per)| {
        Rate::new(events, Duration::from_micros(per * 10))
    })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        windows().prop_map(|(limit, window, phase)| Kind::FixedWindow { limit, window, phase }),
        windows().prop_map(|(limit, window, _)| Kind::OnDemandWindow { limit, window }),
        windows().prop_map(|(limit, window, _)| Kind::SlidingLog { limit, window }),
        windows().prop_map(|(limit, window, phase)| Kind::SlidingCounter { limit, window, phase }),
        (rates(), 1_u64..8).prop_map(|(rate, burst)| Kind::TokenBucket { rate, burst }),
        (rates(), 0_u64..8).prop_map(|(rate, depth)| Kind::Queue { rate, depth }),
    ]
}

fn settings() -> impl Strategy<Value = LimiterSettings> {
    let lockouts = prop_oneof![
        Just(Lockout::None),
        (1_u64..300).prop_map(|us| Lockout::Fixed(Duration::from_micros(us))),
        (1_u64..300).prop_map(|us| Lockout::Extended(Duration::from_micros(us))),
    ];
    (kinds(), lockouts, any::<bool>()).prop_map(|(kind, lockout, counts_refused)| LimiterSettings {
        kind,
        lockout,
        counts_refused,
    })
}

/// Moments in order: bursts, small steps, and now and then a long silence.
fn arrivals() -> impl Strategy<Value = Vec<Moment>> {
    let gap = prop_oneof![4 => Just(0_u64), 8 => 1_u64..40_000, 1 => 100_000_u64..2_000_000];
    (0_u64..1_000_000, prop::collection::vec(gap, 1..120)).prop_map(|(start, gaps)| {
        let mut at = Moment::from_nanos(start);
        let step = |gap| {
            at += Duration::from_nanos(gap);
            at
        };
        gaps.into_iter().map(step).collect()
    })
}

fn admitted(limiter: &mut Limiter, arrivals: &[Moment]) -> Vec<Moment> {
    arrivals.iter().copied().filter(|at| limiter.decide(*at).is_admitted()).collect()
}

/// The most admissions in any half-open interval of this length.
fn most_within(times: &[Moment], window: Duration) -> usize {
    let count = |(i, t): (usize, &Moment)| times[i..].partition_point(|u| *u < *t + window);
    times.iter().enumerate().map(count).max().unwrap_or(0)
}

fn decisions(kind: Kind, arrivals: &[Moment]) -> Vec<Decision> {
    let mut limiter = Limiter::new(&LimiterSettings::plain(kind));
    arrivals.iter().map(|at| limiter.decide(*at)).collect()
}

proptest! {
    #[test]
    fn windows_admit_no_more_than_they_say((limit, window, phase) in windows(), arrivals in arrivals(), counts_refused: bool) {
        let bound = |kind, most: u64| {
            let settings = LimiterSettings { kind, lockout: Lockout::None, counts_refused };
            let times = admitted(&mut Limiter::new(&settings), &arrivals);
            let seen = most_within(&times, window);
            prop_assert!(seen as u64 <= most, "{kind:?} admitted {seen}, at most {most} expected");
            Ok(())
        };
        bound(Kind::SlidingLog { limit, window }, limit)?;
        bound(Kind::FixedWindow { limit, window, phase }, 2 * limit)?;
        bound(Kind::OnDemandWindow { limit, window }, 2 * limit)?;
        bound(Kind::SlidingCounter { limit, window, phase }, 2 * limit)?;
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate(rate in rates(), burst in 1_u64..8, arrivals in arrivals()) {
        let kind = Kind::TokenBucket { rate, burst };
        let times = admitted(&mut Limiter::new(&LimiterSettings::plain(kind)), &arrivals);
        let (events, per) = rate.fraction();
        for (i, from) in times.iter().enumerate() {
            for (j, to) in times.iter().enumerate().skip(i) {
                let refilled = to.since(*from).as_nanos() * u128::from(events) / u128::from(per);
                let count = (j - i + 1) as u128;
                prop_assert!(count <= u128::from(burst) + refilled, "{count} from {from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_refusal_says_honestly_when_to_return(settings in settings(), arrivals in arrivals()) {
        let mut limiter = Limiter::new(&settings);
        for at in arrivals {
            let Decision::Refused { retry_after } = limiter.decide(at) else { continue };
            prop_assert!(!retry_after.is_zero());
            let then = at + retry_after;
            prop_assert!(limiter.clone().decide(then).is_admitted(), "refused at the promised time");
            let just_before = then - Duration::from_nanos(1);
            if just_before > at {
                prop_assert!(!limiter.clone().decide(just_before).is_admitted(), "the promise was too late");
            }
        }
    }

    #[test]
    fn asking_changes_nothing(settings in settings(), arrivals in arrivals()) {
        let mut limiter = Limiter::new(&settings);
        for at in arrivals {
            let before = limiter.clone();
            let asked = limiter.check(at).is_admitted();
            let quota = limiter.quota(at);
            prop_assert_eq!(&before, &limiter);
            prop_assert_eq!(asked, limiter.decide(at).is_admitted());
            prop_assert!(quota.remaining <= quota.limit);
            prop_assert_eq!(asked, quota.remaining > 0, "remaining {} before a decision", quota.remaining);
        }
    }

    #[test]
    fn the_quota_is_whole_again_after_its_reset(settings in settings(), arrivals in arrivals()) {
        let mut limiter = Limiter::new(&settings);
        for at in arrivals {
            limiter.decide(at);
            let then = at + limiter.quota(at).reset;
            prop_assert!(limiter.is_idle(then), "{:?} left", limiter.quota(then));
            let fresh = Limiter::new(&settings).quota(then).remaining;
            prop_assert_eq!(limiter.quota(then).remaining, fresh);
        }
    }

    #[test]
    fn a_bucket_of_one_is_a_log_of_one(us in 1_u64..100, arrivals in arrivals()) {
        let window = Duration::from_micros(us);
        let rate = Rate::new(1, window).expect("in bounds");
        let bucket = decisions(Kind::TokenBucket { rate, burst: 1 }, &arrivals);
        let log = decisions(Kind::SlidingLog { limit: 1, window }, &arrivals);
        prop_assert_eq!(bucket, log);
    }

    #[test]
    fn a_queue_admits_what_a_bucket_of_one_more_admits(rate in rates(), depth in 0_u64..8, arrivals in arrivals()) {
        let queue = decisions(Kind::Queue { rate, depth }, &arrivals);
        let bucket = decisions(Kind::TokenBucket { rate, burst: depth + 1 }, &arrivals);
        for (q, b) in queue.iter().zip(&bucket) {
            prop_assert_eq!(q.is_admitted(), b.is_admitted());
        }
        // And what it admits leaves in order, never faster than the rate.
        let (events, per) = rate.fraction();
        let leaves: Vec<Moment> = arrivals.iter().zip(&queue).filter_map(|(at, d)| match d {
            Decision::Admitted { delay } => Some(*at + *delay),
            Decision::Refused { .. } => None,
        }).collect();
        for pair in leaves.windows(2) {
            let gap = pair[1].since(pair[0]).as_nanos() + 1; // each is rounded up to a nanosecond
            prop_assert!(gap * u128::from(events) >= u128::from(per), "{:?}", pair);
        }
    }

    #[test]
    fn a_lockout_refuses_for_exactly_as_long_as_it_says(kind in kinds(), us in 1_u64..300, extended: bool, arrivals in arrivals()) {
        let length = Duration::from_micros(us);
        let lockout = if extended { Lockout::Extended(length) } else { Lockout::Fixed(length) };
        let mut limiter = Limiter::new(&LimiterSettings { kind, lockout, counts_refused: false });
        let mut bare = Limiter::new(&LimiterSettings::plain(kind));
        let mut until = Moment::ZERO;
        for at in arrivals {
            // The oracle: a lock in front of the bare limiter, which sees nothing while it is locked.
            let refused = at < until || !bare.decide(at).is_admitted();
            if refused && (extended || at >= until) {
                until = at + length;
            }
            prop_assert_eq!(limiter.decide(at).is_admitted(), !refused, "at {:?}", at);
        }
    }

    #[test]
    fn changing_to_the_same_limit_changes_nothing(settings in settings(), arrivals in arrivals(), step in 0_usize..120) {
        let mut limiter = Limiter::new(&settings);
        let mut twin = limiter.clone();
        for (i, at) in arrivals.into_iter().enumerate() {
            if i == step {
                twin.change(at, settings.kind);
            }
            prop_assert_eq!(limiter.decide(at), twin.decide(at));
        }
    }

    #[test]
    fn a_concurrency_limit_counts_who_is_inside(limit in 1_u64..6, steps in prop::collection::vec(any::<bool>(), 1..80)) {
        let mut limiter = Limiter::new(&LimiterSettings::plain(Kind::Concurrency { limit }));
        let mut inside = 0;
        for enters in steps {
            if enters {
                let free = inside < limit;
                prop_assert_eq!(limiter.decide(Moment::ZERO).is_admitted(), free);
                inside += u64::from(free);
            } else if inside > 0 {
                limiter.release(Moment::ZERO);
                inside -= 1;
            }
            prop_assert_eq!(limiter.quota(Moment::ZERO).remaining, limit - inside);
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

#[test]
fn an_odd_rate_does_not_drift_over_a_day() {
    let rate: Rate = "97.3/s".parse().expect("a rate");
    let kind = Kind::TokenBucket { rate, burst: 1 };
    let mut limiter = Limiter::new(&LimiterSettings::plain(kind));
    let day = 86_400 * 1_000_000_000;
    let mut now = Moment::ZERO;
    let mut count = 0_u64;
    while now.as_nanos() < day {
        match limiter.decide(now) {
            Decision::Admitted { .. } => count += 1,
            Decision::Refused { retry_after } => now += retry_after,
        }
    }
    // One at zero; a wait ends up to a nanosecond after the token is there, which is not lost.
    assert_eq!(count, 973 * 8_640);
}

#[test]
fn a_window_begins_where_its_phase_says() {
    let kind = Kind::FixedWindow { limit: 1, window: SECOND, phase: Duration::from_millis(300) };
    let mut limiter = Limiter::new(&LimiterSettings::plain(kind));
    assert!(limiter.decide(at(299)).is_admitted());
    assert!(limiter.decide(at(300)).is_admitted());
    let until_next = Decision::Refused { retry_after: Duration::from_millis(200) };
    assert_eq!(limiter.decide(at(1_100)), until_next);
}

#[test]
fn counting_refusals_keeps_an_impatient_caller_out_of_a_log() {
    let kind = Kind::SlidingLog { limit: 2, window: SECOND };
    let strict = LimiterSettings { counts_refused: true, ..LimiterSettings::plain(kind) };
    let count = |settings| {
        let mut limiter = Limiter::new(&settings);
        (0..100).filter(|i| limiter.decide(at(i * 100)).is_admitted()).count()
    };
    assert_eq!(count(strict), 2, "every refusal renews the wait");
    assert_eq!(count(LimiterSettings::plain(kind)), 20);
}

#[test]
fn counting_refusals_empties_a_bucket_and_never_overdraws_it() {
    let kind = Kind::TokenBucket { rate: "1/s".parse().expect("a rate"), burst: 3 };
    let strict = LimiterSettings { counts_refused: true, ..LimiterSettings::plain(kind) };
    let mut limiter = Limiter::new(&strict);
    for i in 0..50 {
        let admitted = limiter.decide(at(i * 900)).is_admitted();
        // Three, and what 900 ms refill meanwhile; then each refusal takes what had come in.
        assert_eq!(admitted, i < 21, "request {i}");
    }
    assert!(limiter.decide(at(49 * 900 + 1_000)).is_admitted(), "one token after one second");
}

#[test]
fn a_lowered_limit_holds_for_what_was_already_used() {
    let window = SECOND;
    let phase = Duration::ZERO;
    let mut limiter =
        Limiter::new(&LimiterSettings::plain(Kind::FixedWindow { limit: 10, window, phase }));
    for _ in 0..6 {
        assert!(limiter.decide(at(0)).is_admitted());
    }
    limiter.change(at(1), Kind::FixedWindow { limit: 5, window, phase });
    assert!(!limiter.decide(at(2)).is_admitted());
    limiter.change(at(3), Kind::FixedWindow { limit: 7, window, phase });
    assert!(limiter.decide(at(4)).is_admitted());
    assert!(!limiter.decide(at(5)).is_admitted());
}

#[test]
fn a_bucket_keeps_its_missing_tokens_when_the_rate_changes() {
    let rate = |text: &str| text.parse::<Rate>().expect("a rate");
    let mut limiter =
        Limiter::new(&LimiterSettings::plain(Kind::TokenBucket { rate: rate("10/s"), burst: 4 }));
    for _ in 0..3 {
        assert!(limiter.decide(at(0)).is_admitted());
    }
    limiter.change(at(0), Kind::TokenBucket { rate: rate("1/s"), burst: 4 });
    let quota = limiter.quota(at(0));
    assert_eq!((quota.remaining, quota.reset), (1, 3 * SECOND));
}
