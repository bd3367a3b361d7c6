use std::time::Duration;

use super::*;
use crate::infer::study::plan::Budget;
use crate::model::Identity;

/// What a probe does at an API that admits everything: how it ends, and requests sent.
fn unlimited(requests: u64) -> (Ended, u64) {
    let budget =
        Budget { requests, throttles: 10, time: Duration::from_secs(3_600), rate: 1_000.0 };
    let parties = vec![Identity::default()];
    let mut now = Moment::ZERO;
    let mut prober = Prober::new(Assignment { parties, budget, peek: false }, now);
    let mut sent = 0;
    loop {
        match prober.poll(now) {
            Order::Done(ended) => return (ended, sent),
            Order::WakeAt(at) => now = at,
            Order::Stop => {}
            Order::Send { party, rate, count, .. } => {
                for _ in 0..count {
                    let attempt = AttemptId(sent);
                    prober.sent(party, attempt, now);
                    let at = now + Duration::from_millis(1);
                    let decision = Decision::Admitted;
                    prober.answered(attempt, Answered { decision, at, advice: None, quota: None });
                    now += Duration::from_secs_f64(1.0 / rate);
                    sent += 1;
                }
            }
        }
    }
}

#[test]
fn no_more_is_ordered_than_the_budget_allows() {
    for requests in [1, 7, 100, 12_345] {
        assert_eq!(unlimited(requests), (Ended::Requests, requests));
    }
    assert_eq!(unlimited(1_000_000).0, Ended::NeverRefused);
}
