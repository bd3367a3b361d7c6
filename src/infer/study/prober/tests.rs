use std::time::Duration;

use super::*;
use crate::infer::study::plan::Budget;
use crate::model::Identity;

/// A probe at an API that answers after a millisecond what `admits` says of the time, in seconds, until it ends: how it
/// ended, and requests sent.
fn probed(requests: u64, mut admits: impl FnMut(f64) -> bool) -> (Prober, Ended, u64) {
    let budget =
        Budget { requests, throttles: 1_000, time: Duration::from_secs(36_000), rate: 1_000.0 };
    let parties = vec![Identity::default()];
    let mut now = Moment::ZERO;
    let mut prober = Prober::new(Assignment { parties, budget, peek: false }, now);
    let mut sent = 0;
    loop {
        match prober.poll(now) {
            Order::Done(ended) => return (prober, ended, sent),
            Order::WakeAt(at) => now = at,
            Order::Stop => {}
            Order::Send { party, rate, count, .. } => {
                for _ in 0..count {
                    let attempt = AttemptId(sent);
                    prober.sent(party, attempt, now);
                    let at = now + Duration::from_millis(1);
                    let admitted = admits(now.as_secs_f64());
                    let decision = if admitted { Decision::Admitted } else { Decision::Refused };
                    prober.answered(attempt, Answered { decision, at, advice: None, quota: None });
                    now += Duration::from_secs_f64(1.0 / rate);
                    sent += 1;
                    if !admitted {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn no_more_is_ordered_than_the_budget_allows() {
    let unlimited = |requests| {
        let (_, ended, sent) = probed(requests, |_| true);
        (ended, sent)
    };
    for requests in [1, 7, 100, 12_345] {
        assert_eq!(unlimited(requests), (Ended::Requests, requests));
    }
    assert_eq!(unlimited(1_000_000).0, Ended::NeverRefused);
}

#[test]
fn where_what_is_predicted_does_not_come_it_is_asked_without_a_prediction() {
    // A window of 300 per 3 s, and of five times as many once it has refused twice.
    let (mut window, mut admitted, mut refused) = (0.0, 0, 0);
    let (prober, ..) = probed(1_000_000, |at| {
        if (at / 3.0).floor() > window {
            (window, admitted) = ((at / 3.0).floor(), 0);
        }
        let admits = admitted < if refused < 2 { 300 } else { 1_500 };
        if admits {
            admitted += 1
        } else {
            refused += 1
        }
        admits
    });
    let trials = prober.trials();
    let first =
        trials.iter().position(|t| t.why == choice::WITHOUT_PREDICTION).expect("one of them");
    let refused: Vec<bool> = trials.iter().map(|trial| trial.refused).collect();
    assert_eq!(refused[first - 3..first], [true, false, false], "{trials:?}");
    assert_eq!(trials[first].rate, 1_000.0, "{trials:?}");
    assert!(refused[first..].contains(&true), "{trials:?}");
}

#[test]
fn a_limit_over_a_minute_is_met_at_the_highest_rate() {
    // More than that rate sends in a minute, and less than it sends in what a search takes.
    let mut admitted = 0;
    let (prober, ..) = probed(1_000_000, |_| {
        admitted += 1;
        admitted <= 61_000
    });
    let search = &prober.trials()[0];
    assert!(search.refused && search.admitted == 61_000, "{search:?}");
}
