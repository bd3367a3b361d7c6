//! The shipped dashboards: classic JSON that says what it shows, about metrics that exist.

use std::collections::BTreeSet;
use std::fs;

use plimsoll::telemetry::CATALOG;
use serde_json::Value;

fn dashboards() -> Vec<(String, Value)> {
    let entries = fs::read_dir("grafana/dashboards").expect("a folder");
    let read = |path: std::path::PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
    };
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// Metric names in a query, without the suffixes of histogram series.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("plimsoll_"));
    let base = |word: &str| {
        let suffix = ["_bucket", "_sum", "_count"].iter().find_map(|s| word.strip_suffix(s));
        suffix.unwrap_or(word).to_owned()
    };
    ours.map(base).collect()
}

#[test]
fn every_metric_in_a_dashboard_is_exported() {
    let known: BTreeSet<_> = CATALOG.iter().map(|family| family.name).collect();
    let mut seen = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        for metric in metrics(&dashboard.to_string()) {
            assert!(known.contains(metric.as_str()), "{name}: {metric} is not exported");
            seen.insert(metric);
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
}

#[test]
fn every_panel_says_what_it_shows() {
    for (name, dashboard) in dashboards() {
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|v| v <= 42), "{name}");
        assert_eq!(dashboard["editable"], false, "{name}");
        let panels = dashboard["panels"].as_array().expect("panels");
        assert!(!panels.is_empty(), "{name}");
        for panel in panels {
            let said = |pointer: &str| {
                panel.pointer(pointer).and_then(Value::as_str).is_some_and(|s| !s.is_empty())
            };
            for pointer in ["/title", "/description", "/fieldConfig/defaults/unit"] {
                assert!(said(pointer), "{name}: {pointer} of {}", panel["title"]);
            }
            for target in panel["targets"].as_array().expect("targets") {
                let query = target["expr"].as_str().expect("a query");
                assert!(query.contains("$job") && query.contains("$instance"), "{name}: {query}");
                let counted = query.contains("_total{") && !query.contains("violations");
                assert!(!counted || query.contains("rate("), "{name}: a bare counter: {query}");
            }
        }
    }
}
