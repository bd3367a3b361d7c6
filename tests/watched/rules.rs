//! The rules: what each must say, that each is tested, and what promtool thinks of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use plimsoll::telemetry::CATALOG;
use yaml_rust2::Yaml;

use crate::support::prometheus::promtool;
use crate::yaml::{self, list, string};

const RULES: &str = "deploy/prometheus/rules";
const TESTS: &str = "deploy/prometheus/tests";

/// The groups of all rule files: recording rules first, as alerts build on them.
pub(crate) fn groups() -> Vec<Yaml> {
    ["recording", "alerts"]
        .iter()
        .flat_map(|name| list(&yaml::read(&format!("{RULES}/{name}.yml"))["groups"]).to_vec())
        .collect()
}

/// Every rule that has this key: `alert` or `record`.
pub(crate) fn rules(key: &str) -> Vec<Yaml> {
    let all = groups().into_iter().flat_map(|group| list(&group["rules"]).to_vec());
    all.filter(|rule| !rule[key].is_badvalue()).collect()
}

pub(crate) fn alert_names() -> BTreeSet<String> {
    rules("alert").iter().map(|rule| string(&rule["alert"]).to_owned()).collect()
}

/// Names of metrics in a query, without the suffixes of histogram series.
pub(crate) fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let ours = words.filter(|word| word.starts_with("plimsoll_"));
    let base = |word: &str| {
        let suffix = ["_bucket", "_sum", "_count"].iter().find_map(|s| word.strip_suffix(s));
        suffix.unwrap_or(word).to_owned()
    };
    ours.map(base).collect()
}

#[test]
fn every_alert_says_what_a_person_needs() {
    let names = alert_names();
    assert!(names.len() >= 15, "{names:?}");
    for rule in rules("alert") {
        let name = string(&rule["alert"]);
        assert!(name.starts_with("Plimsoll"), "{name}");
        let severity = string(&rule["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let notes = &rule["annotations"];
        for note in ["summary", "description", "runbook_url", "dashboard_url"] {
            assert!(!string(&notes[note]).is_empty(), "{name}: {note}");
        }
        assert!(string(&notes["runbook_url"]).ends_with(&format!("/{name}.md")), "{name}");
        let dashboard = string(&notes["dashboard_url"]);
        let uid = dashboard.split("/d/").nth(1).and_then(|rest| rest.split('?').next());
        let uid = uid.unwrap_or_else(|| panic!("{name}: {dashboard}"));
        let file = format!("grafana/dashboards/{}.json", uid.trim_start_matches("plimsoll-"));
        assert!(Path::new(&file).is_file(), "{name}: {file}");
    }
}

#[test]
fn every_metric_in_a_rule_is_exported() {
    let known: BTreeSet<_> = CATALOG.iter().map(|family| family.name.to_owned()).collect();
    let recorded: BTreeSet<_> =
        rules("record").iter().map(|rule| string(&rule["record"]).to_owned()).collect();
    for rule in rules("expr") {
        let query = string(&rule["expr"]);
        for metric in metrics(query) {
            assert!(known.contains(&metric), "{metric} is not exported: {query}");
        }
        let words = query.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        for word in words.filter(|word| word.contains(":plimsoll_")) {
            assert!(recorded.contains(word), "{word} is not recorded: {query}");
        }
    }
}

#[test]
fn every_objective_has_a_rule_that_compares_with_it() {
    let all: String = rules("alert").iter().map(|rule| string(&rule["expr"]).to_owned()).collect();
    let used = metrics(&all);
    for family in CATALOG.iter().filter(|f| f.name.starts_with("plimsoll_objective_")) {
        assert!(used.contains(family.name), "{}", family.name);
    }
}

/// What one test file expects of its alert: per test, whether it fires at each time it is asked for.
fn expectations(alert: &str) -> Vec<Vec<bool>> {
    let file = yaml::read(&format!("{TESTS}/{alert}.yml"));
    let of_test = |test: &Yaml| {
        let asked = list(&test["alert_rule_test"]).iter();
        asked
            .map(|at| {
                assert_eq!(string(&at["alertname"]), alert);
                !list(&at["exp_alerts"]).is_empty()
            })
            .collect()
    };
    list(&file["tests"]).iter().map(of_test).collect()
}

#[test]
fn every_rule_is_tested() {
    for alert in alert_names() {
        let tests = expectations(&alert);
        // Quiet before, then firing, then quiet again: in the order of the file, which is that of time.
        let resolves = |told: &Vec<bool>| {
            let first = told.iter().position(|fires| *fires);
            first.is_some_and(|first| told[first..].iter().any(|fires| !fires))
        };
        assert!(tests.iter().any(resolves), "{alert}: no test that it fires and resolves");
        let quiet = |told: &Vec<bool>| !told.is_empty() && told.iter().all(|fires| !fires);
        let never_early = |told: &Vec<bool>| told.first() == Some(&false);
        assert!(tests.iter().any(quiet), "{alert}: no test that it stays quiet");
        assert!(tests.iter().any(never_early), "{alert}: no test that it is quiet before");
    }
    let tests = fs::read_to_string(format!("{TESTS}/recording.yml")).expect("readable");
    for rule in rules("record") {
        let name = string(&rule["record"]);
        assert!(
            tests.contains(&format!("expr: {name}\n")) || tests.contains(&format!("round({name},")),
            "{name} has no test"
        );
    }
}

#[test]
fn every_severity_of_an_alert_fires_in_its_tests() {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules("alert") {
        let severity = string(&rule["labels"]["severity"]).to_owned();
        wanted.entry(string(&rule["alert"]).to_owned()).or_default().insert(severity);
    }
    for (alert, severities) in wanted {
        let text = fs::read_to_string(format!("{TESTS}/{alert}.yml")).expect("readable");
        for severity in severities {
            assert!(text.contains(&format!("severity: '{severity}'")), "{alert}: {severity}");
        }
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn promtool_finds_no_fault_and_its_tests_pass() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |arguments: &[&str]| {
        let output = promtool(arguments, here);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "promtool {arguments:?}: {said}");
    };
    let (recording, alerts) = (format!("{RULES}/recording.yml"), format!("{RULES}/alerts.yml"));
    run(&["check", "rules", "--lint=all", "--lint-fatal", &recording, &alerts]);
    run(&["check", "config", "deploy/prometheus/prometheus.yml"]);
    let tests: Vec<String> = fs::read_dir(TESTS)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    let arguments: Vec<&str> =
        ["test", "rules"].into_iter().chain(tests.iter().map(String::as_str)).collect();
    run(&arguments);
}
