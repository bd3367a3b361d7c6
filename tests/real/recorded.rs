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

/// A load test; and once more if the limit was not told from it as it is: a machine that halts for a moment is part of the
/// record, too. Twice is no accident.
fn told_of_two(load_test: impl Fn() -> Result<(), String>) {
    let _machine = alone();
    if let Err(missed) = load_test() {
        println!("{missed}");
        load_test().unwrap_or_else(|again| panic!("{missed}\n{again}"));
    }
}

/// Whether a finding of `limit` is this number, give or take.
fn is_about(limit: &Value, figure: &str, truth: f64, tolerance: f64) -> bool {
    let number = |key: &str| limit[figure]["value"][key].as_f64();
    let (Some(value), Some(low), Some(high)) = (number("value"), number("low"), number("high"))
    else {
        return false;
    };
    (value - truth).abs() <= tolerance && low <= truth && truth <= high
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn jmeter_and_nginx_tell_the_same_of_a_load_test() {
    told_of_two(against_nginx);
}

fn against_nginx() -> Result<(), String> {
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
    let of_nginx = infer(&[&access], &["--log-format", NGINX_FORMAT]);
    assert_eq!(counted(&of_nginx), expected);
    // Without a header, as JMeter is often told to write it.
    let csv_text = text(&csv);
    let (_, rows) = csv_text.split_once('\n').expect("a header");
    let bare = write_file(directory.path(), "bare.jtl", rows);
    assert_eq!(counted(&infer(&[&bare], &["--only", "label=Send & forget"])), expected);
    // And cut off in the middle of its last row.
    let cut = write_file(directory.path(), "cut.jtl", &csv_text[..csv_text.len() - 30]);
    assert_eq!(counted(&infer(&[&cut], &[]))[0], REQUESTS - 1);
    // nginx knows best when its requests came.
    let limit = &of_nginx["limits"][0];
    let numbers = is_about(limit, "rate", 100.0, 1.0) && is_about(limit, "burst", 21.0, 1.0);
    let told = limit["kind"]["value"] == "token_bucket" && numbers;
    told.then_some(()).ok_or_else(|| limit.to_string())
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn jmeter_and_the_simulated_api_tell_the_same_of_a_load_test() {
    told_of_two(against_the_simulated_api);
}

fn against_the_simulated_api() -> Result<(), String> {
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
    let rate = limit["rate"]["value"]["value"].as_f64();
    let near = rate.is_some_and(|rate| (rate - 100.0).abs() <= 2.0);
    let told = limit["kind"]["value"] == "fixed_window" && near;
    told.then_some(()).ok_or_else(|| limit.to_string())
}
