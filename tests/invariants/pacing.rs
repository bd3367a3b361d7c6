//! How streams that share a limit share its rate.

use std::time::Duration;

use plimsoll::engine::{Engine, Input, Output, Plan, StreamPlan};
use plimsoll::model::{Answer, Moment, SendOrder, Verdict};
use plimsoll::policy::Mode;
use plimsoll::schedule::{Arrivals, ScheduleSettings};

use crate::scenario::Scenario;

fn paced(name: &str, rate: &str, weight: f64, like: &StreamPlan) -> StreamPlan {
    let schedule = ScheduleSettings {
        rate: rate.parse().expect("a rate"),
        arrivals: Arrivals::Uniform,
        ramp: Duration::ZERO,
        catch_up_slots: 2,
    };
    StreamPlan { name: name.into(), mode: Mode::Adaptive, weight, schedule, ..like.clone() }
}

/// Every order of so many seconds, each accepted after 10 ms.
fn orders(plan: Plan, seconds: u64) -> Vec<SendOrder> {
    let mut engine = Engine::new(1, None);
    let mut now = Moment::ZERO;
    engine.handle(now, Input::Apply(plan));
    let (mut orders, mut answered) = (Vec::<SendOrder>::new(), 0);
    while now < Moment::ZERO + Duration::from_secs(seconds) {
        match engine.poll(now) {
            Output::Send(order) => orders.push(order),
            Output::Fit(gate, job) => engine.handle(now, Input::Fitted(gate, job.run())),
            Output::WakeAt(wake) => {
                let next = orders.get(answered).map(|o| o.ordered_at + Duration::from_millis(10));
                now = next.map_or(wake, |at| at.min(wake));
                if let Some(order) = orders.get(answered).filter(|_| next == Some(now)) {
                    let answer = Answer::bare(Verdict::Accepted, order.ordered_at, now);
                    engine.handle(now, Input::Answered { attempt: order.attempt, answer });
                    answered += 1;
                }
            }
            Output::Event(_) | Output::FetchToken(_) | Output::Record | Output::Drained => {}
        }
    }
    orders
}

#[test]
fn two_streams_of_one_to_three_share_evenly_spaced_slots() {
    let mut plan = Scenario::a_day().plan;
    let like = plan.streams[0].clone();
    plan.streams = vec![paced("one", "25/s", 1.0, &like), paced("three", "75/s", 3.0, &like)];
    let orders = orders(plan, 60);
    assert!(orders.len() > 1_000, "{}", orders.len());
    let first = orders[0].stream.min(orders[1].stream).min(orders[2].stream).min(orders[3].stream);
    let mut had = [0.0, 0.0];
    for (i, order) in orders.iter().enumerate() {
        had[usize::from(order.stream != first)] += 1.0;
        let right = (i + 1) as f64 / 4.0;
        assert!(
            (had[0] - right).abs() <= 1.0 && (had[1] - 3.0 * right).abs() <= 1.0,
            "{i}: {had:?}"
        );
    }
    // Even in total: a gap is never longer than the one before, as the rate only rises.
    let gaps: Vec<_> = orders.windows(2).map(|pair| pair[1].due.since(pair[0].due)).collect();
    for pair in gaps.windows(2) {
        assert!(pair[1] <= pair[0] + Duration::from_nanos(1), "{pair:?}");
    }
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_millis(10) - Duration::from_nanos(1)));
}
