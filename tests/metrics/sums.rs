//! The sums that hold in every scrape, while events go on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use plimsoll::model::{Event, SkipReason, StreamId, Verdict};

use crate::support::*;

/// The sum of all series of `name` that carry `stream`.
fn sum(samples: &BTreeMap<String, f64>, name: &str, stream: &str) -> f64 {
    let (prefix, marker) = (format!("{name}{{"), format!("stream=\"{stream}\""));
    let own = samples.iter().filter(|(k, _)| k.starts_with(&prefix) && k.contains(&marker));
    own.map(|(_, v)| v).sum()
}

fn check(samples: &BTreeMap<String, f64>, stream: &str) -> f64 {
    let of = |name| sum(samples, name, stream);
    let sent = of("plimsoll_slots_sent_total");
    assert_eq!(of("plimsoll_slots_scheduled_total"), sent + of("plimsoll_slots_skipped_total"));
    let in_flight = of("plimsoll_attempts_in_flight");
    assert!((0.0..=2.0).contains(&in_flight), "{in_flight} in flight; at most two ever are");
    assert_eq!(sent, of("plimsoll_attempts_total") + in_flight);
    assert_eq!(sent, of("plimsoll_messages_started_total") + of("plimsoll_resends_total"));
    sent
}

#[test]
fn every_scrape_agrees_with_itself_while_events_go_on() {
    // So many messages, and as many more as it takes for so many scrapes: a busy machine may run the one thread and then
    // the other.
    const MESSAGES: u128 = 60_000;
    const SCRAPES: u64 = 6;
    const ALSO: u128 = 1 << 64;
    let (telemetry, mut observer) = plain();
    let added = [Event::StreamAdded(stream(0, "a", "t")), Event::StreamAdded(stream(1, "b", "t"))];
    feed(&mut observer, at(0), &added);
    let (done, scrapes) = (AtomicBool::new(false), AtomicU64::new(0));
    let messages = std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut last = 0.0;
            while !done.load(Ordering::Acquire) {
                let now = scrape(&telemetry);
                let sent = check(&now, "a") + check(&now, "b");
                assert!(sent >= last, "counters never fall");
                last = sent;
                scrapes.fetch_add(1, Ordering::Release);
            }
        });
        let verdicts = [Verdict::Accepted, Verdict::Throttled, Verdict::Rejected, TIMEOUT];
        let mut message = 0;
        while message < MESSAGES
            || scrapes.load(Ordering::Acquire) < SCRAPES && !scraper.is_finished()
        {
            let id = (message % 2) as u32;
            let verdict = verdicts[(message % 4) as usize];
            // Two in flight at once: the first event of the next before the end of this one.
            let [sent, ended, message_ended] = single(id, message + 1, verdict, at(1));
            let [also_sent, also_ended, also_message_ended] =
                single(id, message + 1 + ALSO, Verdict::Accepted, at(1));
            let skipped =
                Event::Skipped { stream: StreamId(id), reason: SkipReason::Late, count: 3 };
            let events =
                [sent, also_sent, skipped, ended, message_ended, also_ended, also_message_ended];
            feed(&mut observer, at(1), &events);
            message += 1;
        }
        done.store(true, Ordering::Release);
        scraper.join().expect("no scrape disagreed");
        message
    });
    observer.finish(wall(), at(1));
    let end = scrape(&telemetry);
    assert_eq!(check(&end, "a") + check(&end, "b"), 2.0 * messages as f64, "nothing was lost");
}
