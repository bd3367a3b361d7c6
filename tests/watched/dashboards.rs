//! The dashboards: classic JSON that says what it shows, about metrics that exist.

use std::collections::BTreeSet;
use std::fs;

use plimsoll::telemetry::{CATALOG, Kind};
use serde_json::Value;

use crate::browser::node;
use crate::rules::{self, metrics};
use crate::support::process::{temp_dir, write_file};
use crate::yaml::string;

/// Metrics that neither a dashboard nor a rule needs, and why.
const UNSEEN: [(&str, &str); 4] = [
    (
        "plimsoll_pod_info",
        "joins metrics to traces in Kubernetes, by labels that only a query of one's own needs",
    ),
    ("plimsoll_gate_long_pauses_total", "its alert is on the state, plimsoll_gate_long"),
    ("plimsoll_pace_ceiling", "the configured rates, added up; the live page shows it"),
    ("plimsoll_pace_in_flight_max", "concurrency limits only; the live page shows it"),
];

pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let entries = fs::read_dir("grafana/dashboards").expect("a folder");
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
    };
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// Panels that show something; rows only divide them.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().filter(|panel| panel["type"] != "row")
}

/// Every query of a dashboard, with what it belongs to: panels, annotations.
pub(crate) fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let of_panels = panels(dashboard).flat_map(|panel| {
        let targets = panel["targets"].as_array().expect("targets").iter();
        targets.map(|target| (said(panel, "/title"), said(target, "/expr")))
    });
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    of_panels.chain(annotations.map(|a| (said(a, "/name"), said(a, "/expr")))).collect()
}

/// A text that must be there and not empty.
fn said(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    assert!(!text.is_empty(), "{pointer} of {}", value["title"]);
    text.to_owned()
}

#[test]
fn every_metric_is_watched_or_it_is_said_why_not() {
    let known: BTreeSet<_> = CATALOG.iter().map(|family| family.name.to_owned()).collect();
    let mut seen: BTreeSet<String> =
        rules::rules("expr").iter().flat_map(|rule| metrics(string(&rule["expr"]))).collect();
    for (name, dashboard) in dashboards() {
        for metric in queries(&dashboard).iter().flat_map(|(_, query)| metrics(query)) {
            assert!(known.contains(&metric), "{name}: {metric} is not exported");
            seen.insert(metric);
        }
    }
    let unseen: BTreeSet<_> = known.difference(&seen).map(String::as_str).collect();
    let excused: BTreeSet<_> = UNSEEN.iter().map(|(name, _)| *name).collect();
    assert_eq!(unseen, excused, "what nobody looks at, and what is excused");
}

#[test]
fn every_dashboard_is_found_and_stays_as_it_is() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        // Newer schemas are refused by file provisioning.
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|v| v <= 42), "{name}");
        assert_eq!(dashboard["editable"], false, "{name}");
        assert!(dashboard.get("id").is_none(), "{name}: an id belongs to one Grafana only");
        assert!(uids.insert(said(&dashboard, "/uid")), "{name}: twice");
        said(&dashboard, "/title");
        said(&dashboard, "/description");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let names: Vec<_> = variables.iter().map(|v| said(v, "/name")).collect();
        assert_eq!(names[..3], ["datasource", "job", "instance"], "{name}");
        let annotations = dashboard["annotations"]["list"].as_array().expect("annotations");
        for wanted in ["Starts", "Reloads", "Limit changes"] {
            assert!(annotations.iter().any(|a| a["name"] == wanted), "{name}: {wanted}");
        }
    }
    assert_eq!(uids.len(), 3);
}

#[test]
fn every_panel_says_what_it_shows() {
    for (name, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = said(panel, "/title");
            for pointer in ["/description", "/fieldConfig/defaults/unit"] {
                said(panel, pointer);
            }
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {title}: its id is taken");
            assert!(titles.insert(title.clone()), "{name}: {title}: twice");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            assert!(!panel["targets"].as_array().expect("targets").is_empty(), "{name}: {title}");
        }
        let counters = CATALOG.iter().filter(|family| family.kind == Kind::Counter);
        let counters: Vec<_> = counters.map(|family| family.name).collect();
        for (title, query) in queries(&dashboard) {
            for selector in query.split("plimsoll_").skip(1) {
                assert!(
                    selector.contains("{job=~\"$job\",instance=~\"$instance\""),
                    "{title}: {query}"
                );
            }
            for counter in &counters {
                for (at, _) in query.match_indices(&format!("{counter}{{")) {
                    let before = &query[..at];
                    let counted = before.ends_with("rate(") || before.ends_with("increase(");
                    assert!(counted, "{name}: {title}: a bare counter: {query}");
                }
            }
        }
    }
}

#[test]
fn panels_do_not_overlap_and_fill_their_rows() {
    for (name, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("panels") {
            let side = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            let (x, y, w, h) = (side("x"), side("y"), side("w"), side("h"));
            assert!(x + w <= 24, "{name}: {}", panel["title"]);
            for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
                assert!(taken.insert(cell), "{name}: {} lies over another", panel["title"]);
            }
        }
        let rows = taken.iter().map(|(row, _)| *row).max().expect("panels") + 1;
        assert_eq!(taken.len() as u64, rows * 24, "{name}: there is a hole");
    }
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn grafanas_own_types_accept_them() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/watched/browser/grafana.js");
    let folder = temp_dir();
    let place = folder.path().display().to_string();
    let check = |file: &str| node(&[script, &place, file])["problems"].clone();
    for (name, mut dashboard) in dashboards() {
        assert_eq!(check(&name), serde_json::json!([]), "{name}");
        // It would say so if something were wrong.
        let panel = &mut dashboard["panels"][1]["options"];
        panel["colourMode"] = "value".into();
        let wrong = write_file(folder.path(), "wrong.json", &dashboard.to_string());
        let problems = check(&wrong.display().to_string()).to_string();
        assert!(problems.contains("colourMode"), "{name}: {problems}");
    }
}
