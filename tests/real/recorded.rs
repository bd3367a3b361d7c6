//! What `plimsoll infer` makes of records that others wrote: JMeter's result files of a load test, and nginx's access log
//! of the same. Everybody has to have counted the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::alone;
use crate::support::http;
use crate::support::jmeter::LoadTest;
use crate::support::nginx::{LimitReq, Nginx};
use crate::support::process::{Process, free_ports, temp_dir, wait_for, write_file};

/// The load test that began it all, cut to ten seconds: 200 users, a message a second each.
const LOAD: LoadTest = LoadTest { threads: 200, loops: 10, pause: Duration::from_millis(950) };
const REQUESTS: u64 = 2_000;
/// The same for twenty seconds: where a busy machine sends late, ten windows of a second may not suffice to be certain that
/// they do not slide.
const LONGER: LoadTest = LoadTest { loops: 2 * LOAD.loops, ..LOAD };
/// A JVM starts slowly on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(90);

/// The format that the tests' nginx logs in: the JSON of its own configuration.
const NGINX_FORMAT: &str = r#"{"time_s":$msec,"duration_s":$request_time,"status":$status,"limit":"$limit_req_status","method":"$request_method","path":"$request_uri","request_id":"$http_x_request_id","traceparent":"$http_traceparent","authorization":"$http_authorization"}"#;

/// The conclusion about some files.
fn infer(files: &[&Path], more: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.arg("infer").args(files).args(more).args(["--format", "json"]).output();
    let output = output.expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{files:?}: {errors}");
    let mut report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    report["conclusion"].take()
}

#[track_caller]
fn counted(conclusion: &Value) -> [u64; 4] {
    ["attempts", "admitted", "refused", "unknown"]
        .map(|count| conclusion["material"][count].as_u64().expect("a count"))
}

fn text(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn jmeter_and_nginx_tell_the_same_of_a_load_test() {
    let _machine = alone();
    let directory = temp_dir();
    // One limit for all, because all come from one address.
    let limit = LimitReq { rate: "100r/s".to_owned(), burst: 20, ..LimitReq::default() };
    let nginx = Nginx::start(&limit);
    let port = nginx.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let (csv, xml) = LOAD.run(port, directory.path(), RUN_MAX);
    let log = nginx.access_log();
    let refused = log.iter().filter(|access| access.limit == "REJECTED").count() as u64;
    assert_eq!(log.len() as u64, REQUESTS);
    assert!(refused > 100, "{refused}: the load is twice the limit");
    let expected = [REQUESTS, REQUESTS - refused, refused, 0];
    assert_eq!(counted(&infer(&[&csv], &[])), expected);
    assert_eq!(counted(&infer(&[&xml], &[])), expected);
    let access = nginx.access_log_file();
    // What was not told from it is looked into afterwards.
    let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/jmeter-against-nginx.log");
    fs::copy(&access, kept).expect("a copy");
    let of_nginx = infer(&[&access], &["--log-format", NGINX_FORMAT]);
    assert_eq!(counted(&of_nginx), expected);
    // nginx knows best when its requests came.
    let limit = &of_nginx["limits"][0];
    assert_eq!(limit["kind"]["value"], "token_bucket", "{limit}");
    for (figure, truth, tolerance) in [("rate", 100.0, 1.0), ("burst", 21.0, 1.0)] {
        let number = |key: &str| limit[figure]["value"][key].as_f64().expect("a number");
        let (value, low, high) = (number("value"), number("low"), number("high"));
        assert!((value - truth).abs() <= tolerance && low <= truth && truth <= high, "{limit}");
    }
    // Without a header, as JMeter is often told to write it.
    let csv_text = text(&csv);
    let (_, rows) = csv_text.split_once('\n').expect("a header");
    let bare = write_file(directory.path(), "bare.jtl", rows);
    assert_eq!(counted(&infer(&[&bare], &["--only", "label=Send & forget"])), expected);
    // And cut off in the middle of its last row.
    let cut = write_file(directory.path(), "cut.jtl", &csv_text[..csv_text.len() - 30]);
    assert_eq!(counted(&infer(&[&cut], &[]))[0], REQUESTS - 1);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn jmeter_and_the_simulated_api_tell_the_same_of_a_load_test() {
    let _machine = alone();
    let directory = temp_dir();
    let [port] = free_ports();
    let simulator = "[[limits]]\nname = \"org.rate.per.second\"\nkind = \"fixed_window\"\nlimit = 100\n\
                     window = \"1s\"\nkey = \"org.rate.per.second\"\n";
    write_file(directory.path(), "simulator.toml", simulator);
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["simulate", "--config.file", "simulator.toml", "--listen-address"]);
    command.arg(format!("127.0.0.1:{port}")).current_dir(directory.path());
    let url = format!("http://127.0.0.1:{port}/simulator/stats");
    let mut simulating =
        Process::spawn("simulate", &mut command, &directory.path().join("api.log"));
    simulating.wait_for_answer(&url, Duration::from_secs(15));
    let (csv, xml) = LONGER.run(port, directory.path(), RUN_MAX);
    let stats = wait_for(Duration::from_secs(5), || {
        let stats = http::get(&url).ok()?.json();
        (stats["routes"]["POST /messages"]["received"].as_u64() == Some(2 * REQUESTS))
            .then_some(stats)
    });
    let stats = stats.expect("every request came");
    let route = |what: &str| stats["routes"]["POST /messages"][what].as_u64().expect("a count");
    let expected = [2 * REQUESTS, route("admitted"), route("refused"), 0];
    assert!(expected[2] > 100, "{stats}");
    assert_eq!(counted(&infer(&[&csv], &[])), expected);
    let conclusion = infer(&[&xml], &[]);
    assert_eq!(counted(&conclusion), expected);
    // The question that it all began with, answered from the file that was on the disk.
    let limit = &conclusion["limits"][0];
    assert_eq!(limit["kind"]["value"], "fixed_window", "{limit}");
    let rate = limit["rate"]["value"]["value"].as_f64().expect("a rate");
    assert!((rate - 100.0).abs() <= 2.0, "{limit}");
}
