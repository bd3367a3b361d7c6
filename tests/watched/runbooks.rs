//! The runbooks: one for each alert, which leads to panels and queries that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use plimsoll::telemetry::CATALOG;

use crate::dashboards::{dashboards, panels};
use crate::rules::{alert_names, metrics};

const FOLDER: &str = "docs/runbooks";

pub(crate) fn runbooks() -> Vec<(String, String)> {
    let entries =
        fs::read_dir(FOLDER).expect("a folder").map(|entry| entry.expect("an entry").path());
    let named = entries.map(|path| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("readable"))
    });
    named.filter(|(name, _)| name != "README").collect()
}

/// The queries of a runbook.
pub(crate) fn queries(text: &str) -> Vec<String> {
    let blocks = text.split("```promql\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn every_alert_has_its_runbook_and_the_other_way_round() {
    let written: BTreeSet<_> = runbooks().into_iter().map(|(name, _)| name).collect();
    assert_eq!(written, alert_names());
    let index = fs::read_to_string(format!("{FOLDER}/README.md")).expect("readable");
    for name in written {
        assert!(index.contains(&format!("- [{name}]({name}.md)")), "{name}");
    }
}

#[test]
fn every_runbook_says_why_what_and_whom() {
    for (name, text) in runbooks() {
        let mut rest = text.as_str();
        for heading in [
            &format!("# {name}\n"),
            "\n## How to tell why\n",
            "\n## What to do\n",
            "\n## Whom to ask at the vendor\n",
        ] {
            let (_, after) =
                rest.split_once(heading).unwrap_or_else(|| panic!("{name}: no {heading:?}"));
            let said = after.split("\n## ").next().unwrap_or_default();
            assert!(said.trim().len() > 40, "{name}: {heading:?} says nothing");
            rest = after;
        }
        assert!(!queries(&text).is_empty(), "{name}: no query");
    }
}

#[test]
fn every_panel_query_and_link_of_a_runbook_exists() {
    let known: BTreeSet<_> = CATALOG.iter().map(|family| family.name.to_owned()).collect();
    let dashboards = dashboards();
    let titles: BTreeSet<String> = dashboards
        .iter()
        .flat_map(|(_, dashboard)| {
            let uid = dashboard["uid"].as_str().expect("a uid");
            panels(dashboard).map(move |panel| {
                format!("*{}* of `{uid}`", panel["title"].as_str().expect("a title"))
            })
        })
        .collect();
    let mut led = 0;
    for (name, text) in runbooks() {
        for panel in text.lines().filter_map(|line| line.strip_prefix("Panel: ")) {
            assert!(titles.contains(panel.trim_end_matches('.')), "{name}: {panel}");
            led += 1;
        }
        for query in queries(&text) {
            for metric in metrics(&query) {
                assert!(known.contains(&metric), "{name}: {metric} is not exported");
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(Path::new(FOLDER).join(link).is_file(), "{name}: {link}");
        }
    }
    assert!(led >= 30, "{led}");
}
