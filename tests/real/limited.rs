//! Over the limit of nginx: the story told by metrics and traces is the one in nginx's access log.

use std::time::Duration;

use crate::bench::{Daemon, JOB, TOKEN, Tracing, Transport};
use crate::support::collector::{Collector, Span};
use crate::support::nginx::{Access, LimitReq, Nginx};
use crate::support::process::{free_ports, wait_for};
use crate::support::prometheus::{Job, Prometheus};
use crate::{ledger, pauses, traces};

/// What nginx asks refused requests to wait for.
pub(crate) const RETRY_AFTER_S: u32 = 1;

/// Longer than any of these runs takes on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(40);
const TELL_MAX: Duration = Duration::from_secs(10);

/// What a run left behind, in everybody's records.
pub(crate) struct Records {
    pub(crate) log: Vec<Access>,
    pub(crate) spans: Vec<Span>,
    pub(crate) prometheus: Prometheus,
}

impl Records {
    pub(crate) fn refused(&self) -> impl Iterator<Item = &Access> {
        self.log.iter().filter(|access| access.status == 429)
    }
}

/// Runs one case to its end, and checks everything that must hold in each.
fn run(
    limit: &LimitReq,
    transport: Transport,
    sample_ratio: f64,
    count: u64,
    min_epochs: f64,
) -> Records {
    let limit = LimitReq { retry_after_s: Some(RETRY_AFTER_S), ..limit.clone() };
    let nginx = Nginx::start(&limit);
    let collector = Collector::start();
    let endpoint = match transport {
        Transport::Grpc => collector.grpc_endpoint(),
        Transport::Http => collector.http_endpoint(),
    };
    let [port] = free_ports();
    let prometheus =
        Prometheus::start(&[Job { name: JOB.to_owned(), address: format!("127.0.0.1:{port}") }]);
    // It scrapes nothing for its first seconds, and has to see the run from its beginning.
    prometheus.wait_for_scrape("prometheus", RUN_MAX);
    let tracing = Tracing { transport, endpoint, sample_ratio };
    let mut daemon = Daemon::start(port, &nginx.url(), &tracing, count, true);

    daemon.wait_until_drained(RUN_MAX);
    let settled = wait_for(TELL_MAX, || {
        prometheus.wait_for_scrape(JOB, TELL_MAX);
        (prometheus.value("plimsoll_spans_queued") == Some(0.0)).then_some(())
    });
    assert_eq!(settled, Some(()), "spans still wait for their export:\n{}", daemon.log());
    // A count that changed while that scrape was made is in the next.
    prometheus.wait_for_scrape(JOB, TELL_MAX);

    let records = Records { log: nginx.access_log(), spans: collector.spans(), prometheus };
    assert_eq!(records.log.len() as u64, count, "exactly as many requests as were asked for");
    for access in &records.log {
        assert_eq!(access.authorization, format!("Bearer {TOKEN}"));
        assert!([200, 429].contains(&access.status), "{access:?}");
    }
    ledger::agrees_with_nginx(&records);
    ledger::sums_held_in_every_scrape(&records.prometheus);
    ledger::nothing_was_lost(&records);
    traces::every_refusal_has_its_span(&records);
    traces::tell_one_story_per_message(&records);
    traces::exemplars_lead_to_spans(&records);
    pauses::were_kept(&records, min_epochs);

    assert!(!daemon.log().contains(TOKEN), "the token is nobody's to read");
    let status = daemon.terminate(TELL_MAX);
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    // What had been told before is all there was: the exit sent nothing, and lost nothing.
    assert_eq!(nginx.access_log().len() as u64, count);
    assert_eq!(collector.spans().len(), records.spans.len());
    records
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_burst_and_then_refusals_over_grpc() {
    let limit = LimitReq { rate: "20r/s".to_owned(), burst: 5, ..LimitReq::default() };
    let records = run(&limit, Transport::Grpc, 0.0, 60, 2.0);
    // Nobody chose these messages for tracing: every trace is there because of a refusal.
    assert!(records.log.iter().all(|access| access.traceparent.ends_with("-00")));
    traces::only_of_refused_messages(&records);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn no_burst_over_http() {
    let limit = LimitReq { rate: "20r/s".to_owned(), burst: 0, ..LimitReq::default() };
    let records = run(&limit, Transport::Http, 1.0, 14, 2.0);
    // All were chosen, so every request that nginx saw has its span.
    assert!(records.log.iter().all(|access| access.traceparent.ends_with("-01")));
    assert_eq!(traces::attempts(&records.spans).count(), records.log.len());
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_queue_that_still_answers_during_the_pause() {
    let limit =
        LimitReq { rate: "20r/s".to_owned(), burst: 3, nodelay: false, ..LimitReq::default() };
    let records = run(&limit, Transport::Grpc, 0.0, 40, 2.0);
    // Admitted before the refusal, answered after it: in flight when the gate closed, and no reason to open it.
    let overtaken = records.refused().any(|refusal| {
        let late = |a: &&Access| a.arrived_s() < refusal.time_s && a.time_s > refusal.time_s;
        records.log.iter().filter(late).any(|access| access.status == 200)
    });
    assert!(overtaken, "no request was in flight at a refusal: {:?}", records.log);
}
