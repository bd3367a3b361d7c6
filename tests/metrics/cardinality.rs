//! How many series there are, and that they go.

use plimsoll::model::{Dialect, Event, GateId, Moment, Pace, StreamId, SubjectSafety, Verdict};
use plimsoll::telemetry::{Observer, Telemetry};

use crate::support::*;

const STREAMS: u32 = 1_000;

/// As the send loop tells it of so many streams.
fn envelope(observer: &mut Observer, streams: u32) {
    let one = |id| SubjectSafety {
        subject: Some(format!("s{id}").into()),
        paused: false,
        active: true,
        caps: Vec::new(),
    };
    observer.envelope(wall(), at(0), (0..streams).map(one).collect());
}

fn series(telemetry: &Telemetry) -> usize {
    scrape(telemetry).len()
}

#[test]
fn a_thousand_streams_have_at_most_forty_series_each_and_leave_none() {
    let (telemetry, mut observer) = plain();
    let before = series(&telemetry);
    feed(&mut observer, at(0), &[Event::StreamAdded(stream(0, "s0", "t"))]);
    let with_target = series(&telemetry);
    for id in 1..STREAMS {
        let name = format!("s{id}");
        feed(&mut observer, at(0), &[Event::StreamAdded(stream(id, &name, "t"))]);
    }
    envelope(&mut observer, STREAMS);
    let initial = (series(&telemetry) - with_target) / (STREAMS as usize - 1);
    assert_eq!(initial, 33, "as METRICS.md says");

    for id in 0..STREAMS {
        for (i, verdict) in [Verdict::Accepted, Verdict::Throttled, Verdict::Rejected, TIMEOUT]
            .into_iter()
            .enumerate()
        {
            let order = order(id, 1 + i as u128, 0, at(1));
            let mut answer = answer(verdict, at(1));
            answer.hints = vec![hint(Dialect::Inin, 5)];
            feed(&mut observer, at(1), &[Event::Sent(order), ended(order, answer)]);
        }
    }
    let busy = (series(&telemetry) - with_target) / STREAMS as usize;
    assert!(busy <= 40, "{busy} series per stream");

    for id in 0..STREAMS {
        feed(&mut observer, at(2), &[Event::StreamRemoved(StreamId(id))]);
    }
    envelope(&mut observer, 0);
    assert_eq!(series(&telemetry), before, "nothing is left of them, nor of their target");
}

#[test]
fn a_gate_that_goes_takes_its_series_and_begins_anew_when_it_comes_back() {
    let (telemetry, mut observer) = plain();
    let before = series(&telemetry);
    feed(&mut observer, at(0), &[gate_added(0, "d")]);
    let with_gate = series(&telemetry);
    assert!(with_gate > before);
    feed(&mut observer, at(0), &[gate_added(1, "other")]);
    let closed = |id| Event::Gate(GateId(id), closed(at(30_000), 1, false));
    feed(&mut observer, at(0), &[closed(0), Event::GateRemoved(GateId(0))]);
    assert_eq!(series(&telemetry), with_gate, "the other one's are left");

    feed(&mut observer, at(1), &[closed(0)]);
    assert_eq!(series(&telemetry), with_gate, "nothing is heard of the old one any more");
    feed(&mut observer, at(1), &[gate_added(2, "d"), closed(1)]);
    let scrape = scrape(&telemetry);
    assert_eq!(value(&scrape, r#"plimsoll_gate_epochs_total{gate="d"}"#), 0.0);
    assert_eq!(value(&scrape, r#"plimsoll_gate_epochs_total{gate="other"}"#), 1.0);
}

#[test]
fn a_pace_has_series_while_it_lasts_and_none_for_what_is_unknown() {
    let (telemetry, mut observer) = plain();
    feed(&mut observer, at(0), &[gate_added(0, "d")]);
    let without = series(&telemetry);
    let told = |limit| Event::Pace(GateId(0), Box::new(pace(limit)));
    let unknown = Pace { estimate: None, hints_trusted: None, in_flight_max: None, ..pace(1.0) };
    feed(&mut observer, at(0), &[Event::Pace(GateId(0), Box::new(unknown))]);
    let known = series(&telemetry) + 9;
    feed(&mut observer, at(0), &[told(97.0), told(97.0)]);
    assert_eq!(series(&telemetry), known, "seven of the estimate, hints, concurrency");
    let scrape = scrape(&telemetry);
    assert_eq!(value(&scrape, r#"plimsoll_estimate_rate{gate="d"}"#), 97.0);
    assert_eq!(value(&scrape, r#"plimsoll_pace_state{gate="d",state="holding"}"#), 1.0);
    assert_eq!(value(&scrape, r#"plimsoll_pace_changes_total{gate="d",reason="estimated"}"#), 1.0);
    let at = value(&scrape, r#"plimsoll_estimate_timestamp_seconds{gate="d"}"#);
    assert_eq!(at, EPOCH_S as f64 + 1.0);
    feed(&mut observer, Moment::ZERO, &[Event::PaceRemoved(GateId(0))]);
    assert_eq!(series(&telemetry), without);
}

#[test]
fn a_limit_is_told_of_gates_whose_streams_are_fixed_as_well() {
    let (telemetry, mut observer) = plain();
    feed(&mut observer, at(0), &[gate_added(0, "d"), known(0, 100.0)]);
    let scraped = || scrape(&telemetry);
    let scrape = scraped();
    assert_eq!(value(&scrape, r#"plimsoll_estimate_rate{gate="d"}"#), 100.0);
    assert_eq!(value(&scrape, r#"plimsoll_estimate_headroom_ratio{gate="d"}"#), 1.0 - 80.0 / 100.0);
    assert_eq!(value(&scrape, r#"plimsoll_declared_rate{gate="d"}"#), 100.0);
    assert_eq!(value(&scrape, r#"plimsoll_declared_disagreement_ratio{gate="d"}"#), 0.0);
    assert_eq!(value(&scrape, r#"plimsoll_limit_change_sight{gate="d",sight="falls"}"#), 1.0);
    assert_eq!(value(&scrape, r#"plimsoll_limit_changes_total{gate="d",direction="fell"}"#), 0.0);
    feed(&mut observer, at(12_000), &[moved(0, 100.0, 60.0)]);
    let scrape = scraped();
    assert_eq!(value(&scrape, r#"plimsoll_limit_changes_total{gate="d",direction="fell"}"#), 1.0);
    assert_eq!(value(&scrape, r#"plimsoll_limit_last_change_to_rate{gate="d"}"#), 60.0);
    let since = r#"plimsoll_limit_last_change_timestamp_seconds{gate="d",direction="fell"}"#;
    assert_eq!(value(&scrape, since), EPOCH_S as f64 + 2.0);
}
