//! Does each real part that the other tests stand on work by itself? When one of these fails, what the others say about
//! Plimsoll means nothing.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use serde_json::json;

mod support;

use support::collector::Collector;
use support::http::{self, Server};
use support::limited::{Express, Headers, Limited, Lockout, Npm, PyLimits, Strategy};
use support::nginx::{LimitReq, Nginx};
use support::process::temp_dir;
use support::prometheus::{Job, Prometheus, promtool};

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn nginx_refuses_above_its_rate_and_its_log_says_so() {
    // One a minute: the test cannot take so long that a second one would be earned.
    let nginx = Nginx::start(&LimitReq {
        rate: "1r/m".to_owned(),
        burst: 2,
        retry_after_s: Some(7),
        ..LimitReq::default()
    });

    let url = format!("{}/messages?x=1", nginx.url());
    let answers: Vec<_> = (0..5)
        .map(|i| {
            let request = http::client().post(&url).header("x-request-id", format!("r{i}"));
            http::send(request.body("{}")).expect("nginx answers")
        })
        .collect();

    // The one that the rate earns, and the burst of two.
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(answers[2].header("retry-after"), None);
    assert_eq!(answers[3].header("retry-after"), Some("7"));
    assert_eq!(answers[3].json()["code"], "too.many.requests");

    let log = nginx.access_log();
    let logged: Vec<_> = log
        .iter()
        .map(|line| (line.request_id.as_str(), line.status, line.limit.as_str()))
        .collect();
    assert_eq!(
        logged,
        [
            ("r0", 200, "PASSED"),
            ("r1", 200, "PASSED"),
            ("r2", 200, "PASSED"),
            ("r3", 429, "REJECTED"),
            ("r4", 429, "REJECTED"),
        ]
    );
    assert_eq!((log[0].method.as_str(), log[0].path.as_str()), ("POST", "/messages?x=1"));
    assert!(log.windows(2).all(|pair| pair[0].arrived_s() <= pair[1].time_s));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn nginx_delays_a_burst_when_it_is_told_to() {
    let nginx = Nginx::start(&LimitReq {
        rate: "20r/s".to_owned(),
        burst: 2,
        nodelay: false,
        retry_after_s: None,
        key: "$http_authorization".to_owned(),
    });

    let ask = |token: &str| {
        let request = http::client().get(nginx.url()).header("authorization", token);
        http::send(request).expect("nginx answers").status
    };
    assert_eq!([ask("a"), ask("a"), ask("b")], [200, 200, 200]);

    let log = nginx.access_log();
    // The key is the token: the first request of another one waits for nobody.
    let limits: Vec<_> = log.iter().map(|line| line.limit.as_str()).collect();
    assert_eq!(limits, ["PASSED", "DELAYED", "PASSED"]);
    // 20/s is one per 50 ms, and the second request came after the first was answered.
    assert!(log[1].duration_s > 0.02, "{:?}", log[1]);
}

/// Asks `count` times, one after the other, each with the number as its request id.
fn ask(limited: &Limited, count: usize) -> Vec<http::Answer> {
    let url = format!("{}/left/messages", limited.url());
    (0..count)
        .map(|i| {
            let request = http::client().post(&url).header("x-request-id", format!("r{i}"));
            http::send(request.body("{}")).expect("the server answers")
        })
        .collect()
}

/// The first `admitted` of these answers were, and the server has written down exactly that.
fn assert_admitted(limited: &Limited, answers: &[http::Answer], admitted: usize) {
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let refused = answers.len() - admitted;
    assert_eq!(statuses, [vec![202; admitted], vec![429; refused]].concat());
    assert_eq!(limited.stats(), (admitted as u64, refused as u64));
    let decisions = limited.decisions();
    assert_eq!(decisions.len(), answers.len());
    for (i, (decision, answer)) in decisions.iter().zip(answers).enumerate() {
        assert_eq!(decision.admitted, answer.status == 202, "{decision:?}");
        assert_eq!(decision.request_id, format!("r{i}"));
        let said = answer.header("retry-after").map(|s| s.parse().expect("whole seconds"));
        assert_eq!(decision.retry_after_s, said);
    }
    assert!(decisions.windows(2).all(|pair| pair[0].arrived_ns <= pair[1].arrived_ns));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn express_rate_limit_refuses_above_its_limit_and_tells_the_quota() {
    // A minute: the test cannot take so long that the window would end.
    let window = Duration::from_secs(60);
    let express = Express { limit: 3, window, ..Express::default() };
    for (headers, limit, remaining) in [
        (Headers::Legacy, "x-ratelimit-limit", ("x-ratelimit-remaining", "2")),
        (Headers::Draft(6), "ratelimit-limit", ("ratelimit-remaining", "2")),
        (Headers::Draft(7), "ratelimit", ("ratelimit", "limit=3, remaining=2, reset=60")),
    ] {
        let limited = Express { headers, ..express.clone() }.start();
        let answers = ask(&limited, 5);
        assert_admitted(&limited, &answers, 3);
        assert!(answers[0].header(limit).is_some(), "{:?}", answers[0]);
        assert_eq!(answers[0].header(remaining.0), Some(remaining.1));
        assert!(answers[0].header("retry-after").is_none());
        assert_eq!(answers[4].header("retry-after"), Some("60"));
    }

    let silent = Express { retry_after: false, ..express }.start();
    let answers = ask(&silent, 4);
    assert_admitted(&silent, &answers, 3);
    let hints = answers[3].headers.keys().filter(|name| name.as_str().contains("ratelimit"));
    assert_eq!(hints.count(), 0, "{:?}", answers[3]);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn rate_limiter_flexible_blocks_whoever_was_refused() {
    let limited = Express {
        limiter: Npm::Flexible { block_s: 30 },
        limit: 3,
        headers: Headers::Legacy,
        key: "authorization".to_owned(),
        ..Express::default()
    }
    .start();
    let answers = ask(&limited, 5);
    assert_admitted(&limited, &answers, 3);
    assert_eq!(answers[0].header("x-ratelimit-remaining"), Some("2"));
    assert_eq!(answers[4].header("retry-after"), Some("30"));

    let other = http::client().post(limited.url()).header("authorization", "another");
    assert_eq!(http::send(other).expect("the server answers").status, 202);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn limits_refuses_above_its_rate_in_each_strategy() {
    for strategy in [Strategy::FixedWindow, Strategy::SlidingWindowCounter, Strategy::MovingWindow]
    {
        // An hour, so that hardly ever a window of the clock begins meanwhile.
        let rate = "3/hour".to_owned();
        let limited =
            PyLimits { rate, strategy, headers: Headers::Legacy, ..PyLimits::default() }.start();
        let answers = ask(&limited, 5);
        assert_admitted(&limited, &answers, 3);
        let remaining: Vec<_> =
            answers.iter().map(|answer| answer.header("x-ratelimit-remaining")).collect();
        assert_eq!(remaining, [Some("2"), Some("1"), Some("0"), Some("0"), Some("0")]);
        assert!(answers[4].header("retry-after").is_some());
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn limits_keeps_a_lockout_when_it_is_told_to() {
    let lockout = Lockout::Extended(Duration::from_secs(2));
    let limited = PyLimits { rate: "2/second".to_owned(), lockout, ..PyLimits::default() }.start();
    // One in half a second is far below its rate, and the last two come after a lockout that nobody extended.
    let mut answers = ask(&limited, 3);
    for _ in 0..6 {
        pause(Duration::from_millis(500));
        let request = http::client().post(limited.url());
        answers.push(http::send(request).expect("the server answers"));
    }
    pause(Duration::from_millis(2100));
    answers.push(http::send(http::client().post(limited.url())).expect("the server answers"));

    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [[202, 202].as_slice(), &[429; 7], &[202]].concat());
    assert_eq!(answers[8].header("retry-after"), Some("2"));
}

#[expect(clippy::disallowed_methods, reason = "real programs run in real time")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn prometheus_scrapes_and_keeps_exemplars() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let metrics = format!(
        "# TYPE sends counter\nsends_total{{stream=\"s\"}} 3 # {{trace_id=\"{TRACE}\"}} 1.0\n# EOF\n"
    );
    let exposed = Server::start(Router::new().route(
        "/metrics",
        get(|| async {
            let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, open_metrics)], metrics)
        }),
    ));
    let mut prometheus =
        Prometheus::start(&[Job { name: "exposed".to_owned(), address: exposed.address() }]);

    prometheus.wait_for_scrape("exposed", Duration::from_secs(10));
    prometheus.wait_for_scrape("prometheus", Duration::from_secs(10));

    assert_eq!(prometheus.value("sum(up)"), Some(2.0));
    assert_eq!(prometheus.value("absent_metric"), None);
    let samples = prometheus.query("sends_total");
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].value, samples[0].labels["stream"].as_str()), (3.0, "s"));
    let exemplars = prometheus.query_exemplars("sends_total");
    assert_eq!(exemplars.len(), 1, "{exemplars:?}");
    assert_eq!(exemplars[0].labels["trace_id"], TRACE);
    assert_eq!(exemplars[0].series["stream"], "s");

    assert!(prometheus.process().terminate(Duration::from_secs(10)).success());
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn promtool_tells_good_rules_from_bad_ones() {
    let directory = temp_dir();
    let rule = |expression: &str| json!({"groups": [{"name": "g", "rules": [{"record": "a:b", "expr": expression}]}]});
    let check = |expression: &str| {
        support::process::write_file(directory.path(), "rules.yml", &rule(expression).to_string());
        promtool(&["check", "rules", "rules.yml"], directory.path()).status.success()
    };
    assert!(check("sum(rate(sends_total[1m]))"));
    assert!(!check("sum(rate(sends_total))"));
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn collector_hands_on_the_span_that_it_was_sent() {
    let collector = Collector::start();
    let export = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "someone"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c",
            "spanId": "eee19b7ec3c1b174",
            "parentSpanId": "eee19b7ec3c1b173",
            "name": "send",
            "kind": 3,
            "startTimeUnixNano": "1544712660000000000",
            "endTimeUnixNano": "1544712661000000000",
            "attributes": [
                {"key": "http.response.status_code", "value": {"intValue": "429"}},
                {"key": "scope", "value": {"arrayValue": {"values": [{"stringValue": "token"}]}}},
            ],
        }]}],
    }]});

    let answer = http::post_json(&format!("{}/v1/traces", collector.http_endpoint()), &export)
        .expect("the collector answers");
    assert_eq!(answer.status, 200, "{answer:?}");

    let spans = collector.wait_for_spans(Duration::from_secs(10), |spans| !spans.is_empty());
    assert_eq!(spans.len(), 1);
    let span = &spans[0];
    assert_eq!(span.trace_id, "5b8efff798038103d269b633813fc60c");
    assert_eq!(span.span_id, "eee19b7ec3c1b174");
    assert_eq!(span.parent_span_id.as_deref(), Some("eee19b7ec3c1b173"));
    assert_eq!(span.name, "send");
    assert_eq!(span.resource["service.name"], "someone");
    assert_eq!(span.attributes["http.response.status_code"], 429);
    assert_eq!(span.attributes["scope"], json!(["token"]));
    assert_eq!(span.raw["kind"], 3);
}
