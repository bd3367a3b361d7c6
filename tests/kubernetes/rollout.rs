//! A pod that is replaced at a bad moment, with a real collector: what was in flight is in the traces, too.

use std::time::Duration;

use serde_json::json;

use crate::support::collector::Collector;
use crate::world::{World, plimsoll, sending_to, stream, until};

/// OTLP's number for a client span.
const KIND_CLIENT: i64 = 3;
/// For requests of two seconds, a flush of three, and a busy machine; the default grace period alone is longer.
const EXIT_MAX: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn five_hundred_in_flight_come_home_and_so_do_their_spans() {
    let world = World::new();
    let collector = Collector::start();
    let api = world.api("[latency]\ndistribution = \"constant\"\nmean = \"2s\"\n");
    world.write("plimsoll.toml", &(sending_to(&api.url) + &stream("s", "400/s")));
    let args = ["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
    let mut command = plimsoll(&args);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.grpc_endpoint())
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .env("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p,k8s.namespace.name=n,k8s.node.name=m");
    let mut daemon = world.daemon_by(&mut command);
    let in_flight = || daemon.sum("plimsoll_attempts_in_flight", &[]);
    until("five hundred in flight", || in_flight() >= 500.0);
    assert_eq!(daemon.process.terminate(EXIT_MAX).code(), Some(0));

    let received = api.all("received");
    assert!(received >= 500, "{received}");
    assert_eq!(api.all("accepted"), received);
    let spans = collector.spans();
    let attempts: Vec<_> = spans.iter().filter(|s| s.raw["kind"] == KIND_CLIENT).collect();
    assert_eq!(attempts.len() as u64, received, "one span for each request that arrived");
    assert_eq!(spans.len() as u64, 2 * received, "and one for its message");
    for (name, value) in
        [("k8s.pod.name", "p"), ("k8s.namespace.name", "n"), ("k8s.node.name", "m")]
    {
        assert!(spans.iter().all(|span| span.resource.get(name) == Some(&json!(value))), "{name}");
    }
}
