//! The dashboards drawn from what their own queries return, so that layout and content can be judged by eye. Grafana
//! itself draws better; what it would be given is what is drawn here.

use std::fs;

use serde_json::{Value, json};

use crate::browser::node;
use crate::dashboards::dashboards;
use crate::fall::picture;
use crate::queries::filled_in;
use crate::support::process::testbed_tool;
use crate::support::prometheus::Prometheus;

const WINDOW_S: f64 = 120.0;
const STEP_S: f64 = 1.0;

/// One picture for each dashboard, in target/watched.
pub(crate) fn draw(prometheus: &Prometheus, instance: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/watched/browser/preview.js");
    for (_, mut dashboard) in dashboards() {
        let uid = dashboard["uid"].as_str().expect("a uid").to_owned();
        for panel in dashboard["panels"].as_array_mut().expect("panels") {
            let Some(targets) = panel["targets"].as_array_mut() else { continue };
            for target in targets {
                let query = target["expr"].as_str().expect("a query");
                let query = filled_in(&query.replace("$instance", instance));
                target["result"] = json!(prometheus.query_range(&query, WINDOW_S, STEP_S));
            }
        }
        let path = picture(&format!("dashboard-{uid}"));
        let data = path.replace(".png", ".json");
        fs::write(&data, dashboard.to_string()).expect("the target folder can be written");
        let chromium = testbed_tool("chromium").display().to_string();
        let drawn: Value = node(&[script, &chromium, &data, &path]);
        let panels = dashboard["panels"].as_array().expect("panels").len();
        assert_eq!(drawn["panels"], panels, "{uid}");
        assert_eq!(drawn["empty"], json!([]), "{uid}: drawn without data");
    }
}
