//! What one message costs the send loop. Not part of the normal run: it measures this machine.

use std::time::Instant;

use plimsoll::model::{Event, Verdict};
use plimsoll::telemetry::{Sampling, Telemetry, TracingSettings};

use crate::support::*;
use crate::traces::Memory;

/// Nanoseconds per message: the best of several rounds, as the others were disturbed.
fn cost(sampling: Sampling, verdict: Verdict, streams: u32) -> f64 {
    const MESSAGES: u128 = 50_000;
    let settings = TracingSettings {
        sampling,
        throttled_spans_per_s: 1e9,
        queue_spans_max: 1_000_000,
        ..Default::default()
    };
    let (_telemetry, mut observer) =
        Telemetry::with_exporter(&build(), 0.0, &settings, Memory::default()).expect("starts");
    for id in 0..streams {
        let name = format!("s{id}");
        feed(&mut observer, at(0), &[Event::StreamAdded(stream(id, &name, "t"))]);
    }
    let events: Vec<_> = (0..MESSAGES)
        .flat_map(|m| {
            single((m % u128::from(streams)) as u32, (m + 1) << 40 | 1 << 63, verdict, at(1))
        })
        .collect();
    let rounds = (0..5).map(|_| {
        let before = Instant::now();
        feed(&mut observer, at(1), &events);
        before.elapsed().as_nanos() as f64 / MESSAGES as f64
    });
    rounds.fold(f64::MAX, f64::min)
}

#[test]
#[ignore = "measures time on this machine"]
fn a_message_that_is_not_kept_costs_less_than_a_microsecond() {
    let (none, all) = (Sampling::ratio(0.0), Sampling::ratio(1.0));
    let one = cost(none, Verdict::Accepted, 1);
    let thousand = cost(none, Verdict::Accepted, 1_000);
    let kept = cost(all, Verdict::Accepted, 1);
    let throttled = cost(none, Verdict::Throttled, 1);
    println!("ns per message: {one:.0}; of a thousand streams {thousand:.0}");
    println!("ns per message whose spans are built: {kept:.0}, throttled {throttled:.0}");
    assert!(one < 1_000.0 && thousand < 1_000.0);
}
