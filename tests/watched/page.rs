//! The live page: its files, its numbers against /metrics, and how it is used.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::look;
use crate::fall::picture;
use crate::support::http;
use crate::support::process::{Process, free_ports, temp_dir, wait_for, write_file};

const FOLDER: &str = "src/web/page";
const SOON: Duration = Duration::from_secs(30);
/// Shown, and not merely loaded.
const READY: &str = "Number(document.documentElement.dataset.at) > 0";

/// Charts follow a change of the window a frame later.
const LAID_OUT: &str = "new Promise((done) => setTimeout(() => done(true), 400))";

fn own_files() -> Vec<(String, String)> {
    let entries =
        fs::read_dir(FOLDER).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.is_file());
    files
        .map(|path| (path.display().to_string(), fs::read_to_string(path).expect("text")))
        .collect()
}

#[test]
fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let page = fs::read_to_string(format!("{FOLDER}/index.html")).expect("readable");
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:", "<script>"] {
        assert!(
            !page.contains(inline),
            "{inline} does not live with a strict content security policy"
        );
    }
    for (name, text) in own_files() {
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{name}");
        assert!(
            !text.contains("innerHTML") && !text.contains("eval("),
            "{name}: text is only ever text"
        );
    }
}

#[test]
fn what_others_wrote_is_kept_with_its_version_and_licence() {
    let folder = format!("{FOLDER}/vendor/uplot-1.6.32");
    let code = fs::read_to_string(format!("{folder}/uPlot.iife.min.js")).expect("readable");
    assert!(code.contains("uPlot (v1.6.32)"));
    let licence = fs::read_to_string(format!("{folder}/LICENSE")).expect("readable");
    assert!(licence.contains("MIT License") && licence.contains("Leon Sorokin"));
}

/// A daemon at a fixed rate above the limit of its API, that has ended and shows what it has done.
fn drained() -> (Process, Process, String, tempfile::TempDir) {
    let directory = temp_dir();
    let [api, port] = free_ports();
    let simulation = format!(
        r#"
        listen_address = "127.0.0.1:{api}"
        seed = 3
        [[operations]]
        shape = "generic"
        path = "/messages"
        [[limits]]
        name = "org"
        kind = "fixed_window"
        limit = 50
        window = "1s"
        [faults]
        error_ratio = 0.05
        "#
    );
    let settings = format!(
        r#"
        [policy]
        retry_after_jitter = "0s"
        [schedule]
        ramp = "0s"
        [targets.t]
        base_url = "http://127.0.0.1:{api}"
        path = "/messages"
        body = '{{"text":"message"}}'
        [streams.first]
        target = "t"
        rate = "60/s"
        [streams.second]
        target = "t"
        rate = "30/s"
        "#
    );
    let run = |name: &str, arguments: &[&str], text: &str| {
        let file = write_file(directory.path(), &format!("{name}.toml"), text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.env_clear().args(arguments).arg("--config.file").arg(file);
        Process::spawn(name, &mut command, &directory.path().join(format!("{name}.log")))
    };
    let mut simulator = run("simulator", &["simulate"], &simulation);
    simulator.wait_for_answer(&format!("http://127.0.0.1:{api}/"), SOON);
    let address = format!("--web.listen-address=127.0.0.1:{port}");
    let arguments = ["run", "--count", "300", "--linger", &address];
    let mut daemon = run("daemon", &arguments, &settings);
    let url = format!("http://127.0.0.1:{port}");
    daemon.wait_for_answer(&format!("{url}/livez"), SOON);
    let ready = format!("{url}/readyz");
    let drained =
        wait_for(SOON, || http::get(&ready).ok().filter(|answer| answer.body.trim() == "drained"));
    assert!(drained.is_some(), "{}", daemon.log());
    (simulator, daemon, url, directory)
}

/// The sum of the series of a metric that carry all these labels.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let series = metrics.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let values: Vec<f64> = series
        .map(|line| line.rsplit(' ').next().and_then(|v| v.parse().ok()).expect("a number"))
        .collect();
    assert!(!values.is_empty(), "no {name} with {labels:?}");
    values.iter().sum()
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn its_numbers_are_those_of_metrics() {
    let (_simulator, _daemon, url, _directory) = drained();
    let steps = json!([
        {"do": "look"}, {"do": "open"}, {"do": "wait", "for": READY}, {"do": "facts"},
    ]);
    let seen = look(&format!("{url}/"), &steps);
    let metrics = http::get(&format!("{url}/metrics")).expect("/metrics is up").body;
    let facts = &seen["facts"][0];
    assert_eq!(facts["run_state"], "drained");
    for stream in ["first", "second"] {
        let of_stream = format!("stream=\"{stream}\"");
        let shown = |cell: &str| {
            let text = facts["streams"][stream][cell].as_str().unwrap_or_default();
            text.replace(',', "").parse::<f64>().unwrap_or_else(|e| panic!("{cell}: {text:?}: {e}"))
        };
        let outcome = |name: &str| {
            let label = format!("outcome=\"{name}\"");
            sum(&metrics, "plimsoll_attempts_total", &[&of_stream, &label])
        };
        for name in ["accepted", "throttled", "rejected", "failed"] {
            assert_eq!(shown(name), outcome(name), "{stream}: {name}");
        }
        assert_eq!(shown("sent"), sum(&metrics, "plimsoll_slots_sent_total", &[&of_stream]));
        assert_eq!(shown("skipped"), sum(&metrics, "plimsoll_slots_skipped_total", &[&of_stream]));
        assert_eq!(shown("in_flight"), sum(&metrics, "plimsoll_attempts_in_flight", &[&of_stream]));
    }
    for outcome in ["outcome=\"throttled\"", "outcome=\"failed\""] {
        let all = sum(&metrics, "plimsoll_attempts_total", &[outcome]);
        assert!(all > 0.0, "{outcome}: nothing to tell");
    }
    let epochs = sum(&metrics, "plimsoll_gate_epochs_total", &[]);
    assert!(epochs > 0.0);
    let held = facts["held"].as_str().unwrap_or_default();
    assert!(held.starts_with(&format!("{epochs} pause")), "{epochs} epochs: {held}");
    let events: Vec<_> = facts["events"].as_array().expect("events").iter().collect();
    let refusals = events.iter().filter(|e| e.as_str().is_some_and(|t| t.contains("Refused (")));
    assert_eq!(refusals.count() as f64, epochs, "one line for each pause: {events:?}");
}

/// The demo, and where its page is.
fn demo() -> (Process, String, tempfile::TempDir) {
    let directory = temp_dir();
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.env_clear().args(["demo", "--rate", "120/s", "--limit", "100/s"]);
    let process = Process::spawn("demo", &mut command, &directory.path().join("demo.log"));
    let url = wait_for(SOON, || {
        let log = process.log();
        let (_, rest) = log.split_once("Watch it on ")?;
        rest.split_once('\n').map(|(url, _)| url.trim().to_owned())
    });
    (process, url.expect("it says where to watch"), directory)
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn the_demo_can_be_watched_by_key_by_phone_and_in_the_dark() {
    let (_demo, url, _directory) = demo();
    let closed = "document.getElementById('gate-state').textContent.endsWith(' s') && performance.now() > 11000";
    let steps = json!([
        {"do": "look"}, {"do": "open"},
        {"do": "wait", "for": closed, "ms": 40000},
        {"do": "facts"}, {"do": "contrasts"},
        {"do": "picture", "path": picture("page-throttled-light")},
        {"do": "look", "scheme": "dark"}, {"do": "contrasts"},
        {"do": "picture", "path": picture("page-throttled-dark")},
        {"do": "look", "width": 390, "height": 844}, {"do": "wait", "for": LAID_OUT}, {"do": "facts"},
        {"do": "picture", "path": picture("page-throttled-narrow")},
        {"do": "look", "width": 320, "height": 700}, {"do": "wait", "for": LAID_OUT}, {"do": "facts"},
        // Without a mouse: the link to what happened comes first; keys choose the time, the theme, and hold the picture.
        {"do": "press", "key": "Tab"}, {"do": "facts"},
        {"do": "press", "key": "3"}, {"do": "press", "key": "t"}, {"do": "press", "key": "p"}, {"do": "facts"},
        {"do": "wait", "for": "new Promise((done) => setTimeout(() => done(true), 2500))"}, {"do": "facts"},
    ]);
    let seen = look(&url, &steps);
    let facts = seen["facts"].as_array().expect("facts");
    let headline = facts[0]["headline"].as_str().unwrap_or_default();
    assert!(headline.starts_with("Silence until"), "{headline}");
    let colours = |at: usize| facts[at]["canvases"].as_array().expect("canvases").clone();
    assert_eq!(colours(0).len(), 2, "both charts are drawn");
    assert!(
        colours(0).iter().all(|n| n.as_u64() > Some(8)),
        "lines, axes and letters: {:?}",
        colours(0)
    );
    for narrow in [1, 2] {
        assert_eq!(facts[narrow]["overflow"], 0, "nothing sticks out on a phone");
    }
    assert_eq!(facts[3]["focus"], "A");
    assert_eq!((&facts[4]["span"], &facts[4]["theme"]), (&json!("3600"), &json!("light")));
    assert_eq!(facts[4]["at"], facts[5]["at"], "a picture that is held does not move");
    assert_eq!(seen["complaints"], json!([]));
    let origin = url.trim_end_matches('/');
    let paths: BTreeSet<&str> = seen["requests"]
        .as_array()
        .expect("requests")
        .iter()
        .map(|request| {
            request.as_str().and_then(|r| r.strip_prefix(origin)).expect("all from here")
        })
        .collect();
    assert!(paths.contains("/api/v1/events") && paths.contains("/page/uplot.js"), "{paths:?}");
    let faint: Vec<&Value> = seen["contrasts"]
        .as_array()
        .expect("contrasts")
        .iter()
        .filter(|c| c["ratio"].as_f64().is_none_or(|ratio| ratio < 4.5))
        .collect();
    assert!(faint.is_empty(), "hard to read: {faint:?}");
}
