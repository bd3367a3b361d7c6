//! Prometheus' numbers against nginx's access log: exactly equal, and equal among themselves.

use std::collections::BTreeSet;

use crate::bench::STREAMS;
use crate::limited::{RETRY_AFTER_S, Records};
use crate::support::nginx::Access;
use crate::support::prometheus::Prometheus;

/// A number that must be there.
fn value(prometheus: &Prometheus, expression: &str) -> f64 {
    prometheus.value(expression).unwrap_or_else(|| panic!("{expression} has no value"))
}

#[track_caller]
fn assert_counts(prometheus: &Prometheus, counts: &[(&str, usize)]) {
    for (expression, expected) in counts {
        assert_eq!(value(prometheus, expression), *expected as f64, "{expression}");
    }
}

/// What nginx answered is what the daemon says that it sent, stream by stream and as a whole.
pub(crate) fn agrees_with_nginx(records: &Records) {
    let prometheus = &records.prometheus;
    let with = |status: u16| records.log.iter().filter(|a| a.status == status).count();
    let (accepted, refused) = (with(200), with(429));
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
    assert_counts(
        prometheus,
        &[
            ("sum(plimsoll_responses_total)", records.log.len()),
            ("sum(plimsoll_responses_total{code=\"200\"})", accepted),
            ("sum(plimsoll_responses_total{code=\"429\"})", refused),
            ("sum(plimsoll_errors_total)", 0),
            ("sum(plimsoll_service_duration_seconds_count{outcome=\"accepted\"})", accepted),
            ("sum(plimsoll_service_duration_seconds_count{outcome=\"throttled\"})", refused),
            ("sum(plimsoll_send_lateness_seconds_count)", records.log.len()),
            ("sum(plimsoll_throttle_advice_total)", refused),
            ("sum(plimsoll_throttle_advice_total{source=\"retry_after_seconds\"})", refused),
            ("sum(plimsoll_retry_after_asked_seconds_count)", refused),
            ("sum(plimsoll_retry_after_asked_seconds_sum)", refused * RETRY_AFTER_S as usize),
        ],
    );
    for (stream, _) in STREAMS {
        of_stream(records, stream);
    }
}

fn of_stream(records: &Records, stream: &str) {
    let path = format!("/{stream}/messages");
    let log: Vec<&Access> = records.log.iter().filter(|a| a.path == path).collect();
    assert!(!log.is_empty(), "{stream} sent nothing");
    let with = |status: u16| log.iter().filter(|a| a.status == status).count();
    let messages: BTreeSet<&str> = log.iter().map(|a| a.request_id.as_str()).collect();
    let of = |metric: &str, label: &str| format!("sum({metric}{{stream=\"{stream}\"{label}}})");
    let attempts =
        |outcome: &str| of("plimsoll_attempts_total", &format!(",outcome=\"{outcome}\""));
    let delivered = of("plimsoll_messages_ended_total", ",result=\"delivered\"");
    for (expression, expected) in [
        (of("plimsoll_slots_sent_total", ""), log.len()),
        (attempts("accepted"), with(200)),
        (attempts("throttled"), with(429)),
        (attempts("rejected"), 0),
        (attempts("failed"), 0),
        (of("plimsoll_attempts_in_flight", ""), 0),
        (of("plimsoll_messages_started_total", ""), messages.len()),
        (of("plimsoll_messages_ended_total", ""), messages.len()),
        (of("plimsoll_resends_total", ""), log.len() - messages.len()),
        // One answer 200 per message, and no message sent again after it.
        (delivered, with(200)),
    ] {
        assert_counts(&records.prometheus, &[(&expression, expected)]);
    }
    let gated = of("plimsoll_slots_skipped_total", ",reason=\"gated\"");
    assert!(value(&records.prometheus, &gated) > 0.0, "{stream} skipped no slot in a pause");
}

/// The sums of `METRICS.md`, in all scrapes of the run, those during it included. Every sample of a scrape has the
/// same time, so that an expression never mixes two.
pub(crate) fn sums_held_in_every_scrape(prometheus: &Prometheus) {
    let by = |metric: &str| format!("sum by (stream) ({metric})");
    let [scheduled, sent] = ["plimsoll_slots_scheduled_total", "plimsoll_slots_sent_total"].map(by);
    let skipped = by("plimsoll_slots_skipped_total");
    let [attempts, in_flight] = ["plimsoll_attempts_total", "plimsoll_attempts_in_flight"].map(by);
    let [started, resends] = ["plimsoll_messages_started_total", "plimsoll_resends_total"].map(by);
    // So that "in all scrapes" does not mean the last.
    let seen = value(prometheus, "max(count_over_time(plimsoll_slots_sent_total[2m]))");
    assert!(seen >= 4.0, "{seen} scrapes");
    let rising = value(prometheus, "max(changes(plimsoll_slots_sent_total[2m]))");
    assert!(rising >= 2.0, "the counts changed {rising} times");
    for difference in [
        format!("{scheduled} - {sent} - {skipped}"),
        format!("{sent} - {attempts} - {in_flight}"),
        format!("{sent} - {started} - {resends}"),
    ] {
        let worst = format!("max_over_time(abs({difference})[2m:250ms])");
        let samples = prometheus.query(&worst);
        assert_eq!(samples.len(), STREAMS.len(), "{worst}");
        for sample in samples {
            assert_eq!(sample.value, 0.0, "{difference} of {:?}", sample.labels);
        }
    }
}

/// Every span that was made reached the collector, and no log line was lost.
pub(crate) fn nothing_was_lost(records: &Records) {
    assert_counts(
        &records.prometheus,
        &[
            ("plimsoll_spans_exported_total", records.spans.len()),
            ("plimsoll_spans_failed_total", 0),
            ("sum(plimsoll_spans_dropped_total)", 0),
            ("plimsoll_log_lines_dropped_total", 0),
        ],
    );
}
