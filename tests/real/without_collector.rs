//! A collector that is gone, or silent: sending is not disturbed, the spans lost are counted, and the exit is not held up.

use std::time::Duration;

use crate::bench::{Daemon, Tracing, Transport};
use crate::support::collector::Collector;
use crate::support::nginx::{LimitReq, Nginx};
use crate::support::process::{free_ports, wait_for};

/// A second of sending.
const COUNT: u64 = 40;
/// Each is delivered at once, and leaves a span of its own and one of its message.
const SPANS: f64 = 2.0 * COUNT as f64;

const RUN_MAX: Duration = Duration::from_secs(20);
/// The flush may take three seconds, whatever the collector does.
const EXIT_MAX: Duration = Duration::from_secs(6);

/// A limit that these requests stay far below.
fn generous() -> Nginx {
    Nginx::start(&LimitReq { rate: "10000r/s".to_owned(), burst: 1_000, ..LimitReq::default() })
}

fn all_accepted(nginx: &Nginx) {
    let statuses: Vec<u16> = nginx.access_log().iter().map(|access| access.status).collect();
    assert_eq!(statuses, [200; COUNT as usize]);
}

/// Traces of every message, to where nobody listens.
fn refused(transport: Transport) -> Tracing {
    let [nobody] = free_ports();
    Tracing { transport, endpoint: format!("http://127.0.0.1:{nobody}"), sample_ratio: 1.0 }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn spans_that_nobody_takes_are_counted() {
    for transport in [Transport::Grpc, Transport::Http] {
        let nginx = generous();
        let mut daemon = Daemon::start_anywhere(&nginx.url(), &refused(transport), COUNT, true);
        daemon.wait_until_drained(RUN_MAX);
        all_accepted(&nginx);
        let accepted = daemon.metric("plimsoll_attempts_total", "outcome=\"accepted\"");
        assert_eq!(accepted, COUNT as f64);
        assert_eq!(daemon.metric("plimsoll_slots_skipped_total", "reason=\"in_flight\""), 0.0);

        let lost = || {
            daemon.metric("plimsoll_spans_failed_total", "")
                + daemon.metric("plimsoll_spans_dropped_total", "")
        };
        let all_lost = wait_for(RUN_MAX, || Some(lost()).filter(|spans| *spans >= SPANS));
        assert_eq!(all_lost, Some(SPANS), "{transport:?}");
        assert_eq!(daemon.metric("plimsoll_spans_exported_total", ""), 0.0);
        assert!(daemon.log().contains("spans are lost"), "nobody was told: {}", daemon.log());
        assert_eq!(daemon.terminate(EXIT_MAX).code(), Some(0), "{transport:?}");
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_silent_collector_holds_up_nobody() {
    for transport in [Transport::Grpc, Transport::Http] {
        let nginx = generous();
        let mut collector = Collector::start();
        let endpoint = match transport {
            Transport::Grpc => collector.grpc_endpoint(),
            Transport::Http => collector.http_endpoint(),
        };
        // It takes connections, and never answers.
        collector.process().signal("STOP");
        let tracing = Tracing { transport, endpoint, sample_ratio: 1.0 };
        let mut daemon = Daemon::start_anywhere(&nginx.url(), &tracing, COUNT, true);
        daemon.wait_until_drained(RUN_MAX);
        all_accepted(&nginx);
        // The first export is under way, and its timeout longer than the flush.
        assert_eq!(daemon.terminate(EXIT_MAX).code(), Some(0), "{transport:?}");
        let log = daemon.log();
        assert!(log.contains("some spans were not exported before the exit"), "{log}");
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_run_ends_by_itself_without_a_collector() {
    let nginx = generous();
    let tracing = refused(Transport::Grpc);
    let mut daemon = Daemon::start_anywhere(&nginx.url(), &tracing, COUNT, false);
    // A second of sending, and the flush.
    assert_eq!(daemon.wait(Duration::from_secs(1) + EXIT_MAX).code(), Some(0));
    all_accepted(&nginx);
}
