//! What goes wrong on purpose.

use std::time::Duration;

use super::super::{FaultSettings, SimulatorSettings};
use super::{Running, header, slow_limit};
use crate::model::HumanDuration;

fn with(faults: FaultSettings) -> SimulatorSettings {
    SimulatorSettings { faults, ..SimulatorSettings::default() }
}

/// Whether an error has this kind of I/O error among its causes.
fn is(error: &reqwest::Error, kind: std::io::ErrorKind) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == kind) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[tokio::test]
async fn a_reset_is_an_error_and_is_counted_where_it_happened() {
    let reset = std::io::ErrorKind::ConnectionReset;
    let before = FaultSettings { reset_before_ratio: 1.0, ..FaultSettings::default() };
    let after = FaultSettings { reset_after_ratio: 1.0, ..FaultSettings::default() };
    for (faults, admitted) in [(before, 0), (after, 5)] {
        let running = Running::start(with(faults));
        for _ in 0..5 {
            let error = running.post().await.expect_err("a reset");
            assert!(is(&error, reset), "{error:?}");
        }
        let stats = running.stop().await;
        let route = &stats.routes["POST /messages"];
        assert_eq!((route.received, route.admitted), (5, admitted));
        assert_eq!((route.reset_before, route.resets), (5 - admitted, admitted));
    }
}

#[tokio::test]
async fn errors_come_in_their_ratio_and_a_seed_repeats_them() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let running =
            Running::start(with(FaultSettings { error_ratio: 0.3, ..FaultSettings::default() }));
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(running.post().await.expect("an answer").status().as_u16());
        }
        let errors = statuses.iter().filter(|s| **s != 200).count();
        assert!((28..92).contains(&errors), "{errors} of 200 at 0.3, five sigma either side");
        assert!(statuses.iter().all(|s| [200, 500, 502, 503].contains(s)));
        assert_eq!(running.stop().await.routes["POST /messages"].errors, errors as u64);
        runs.push(statuses);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_stalled_request_is_never_answered() {
    let stalls = FaultSettings {
        stall_ratio: 1.0,
        stall_time: HumanDuration(Duration::from_millis(300)),
        ..FaultSettings::default()
    };
    let running = Running::start(with(stalls));
    let start = std::time::Instant::now();
    running.post().await.expect_err("no answer");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(running.stop().await.routes["POST /messages"].stalls, 1);
}

#[tokio::test]
async fn garbage_takes_the_place_of_advice_and_quota() {
    let mut settings = with(FaultSettings { malformed_ratio: 1.0, ..FaultSettings::default() });
    settings.limits = vec![slow_limit("l", 1)];
    let running = Running::start(settings);
    for status in [200, 429, 429, 429, 429] {
        let response = running.post().await.expect("an answer");
        assert_eq!(response.status(), status);
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
            assert!(response.headers().contains_key(name));
            let readable = header(&response, name).and_then(|v| v.parse::<u32>().ok());
            assert_eq!(readable, None, "{name}");
        }
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
    }
    running.stop().await;
}

#[tokio::test]
async fn it_stops_in_good_time_though_clients_hang_on() {
    let mut settings = SimulatorSettings::default();
    settings.latency.mean = HumanDuration(Duration::from_secs(20));
    let running = Running::start(settings);
    let url = running.url("/messages");
    let client = running.client.clone();
    let hanging = tokio::spawn(async move { client.post(url).body("{}").send().await.is_err() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = std::time::Instant::now();
    running.stop().await;
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(hanging.await.expect("it ended"), "cut off at the end of the grace period");
}
