//! Every query that people are given, against a real Prometheus with the real binary behind it.

use serde_json::Value;

use crate::dashboards::{self, dashboards};
use crate::generated::grafana_queries;
use crate::runbooks;
use crate::support::prometheus::Prometheus;
use crate::yaml::string;

/// How far back a query has to find something: since before the limit fell.
const WINDOW_S: f64 = 110.0;
const STEP_S: f64 = 1.0;

/// What Grafana puts in for its variables, at one scrape a second.
pub(crate) fn filled_in(query: &str) -> String {
    query
        .replace("$__rate_interval", "8s")
        .replace("$__interval", "5s")
        .replace("$__range", "5m")
        .replace("$job", "plimsoll")
        .replace("$instance", ".+")
        .replace("$stream", "steady")
}

/// Whether some series has some value that is a number.
fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    let number = |pair: &Value| pair[1].as_str().is_some_and(|v| v != "NaN");
    let series = prometheus.query_range(query, WINDOW_S, STEP_S);
    series.iter().any(|s| s["values"].as_array().is_some_and(|values| values.iter().any(number)))
}

pub(crate) fn all_return_data(prometheus: &Prometheus) {
    let mut empty = Vec::new();
    let mut asked = 0;
    for (name, dashboard) in dashboards() {
        for (title, query) in dashboards::queries(&dashboard) {
            asked += 1;
            if !has_data(prometheus, &filled_in(&query)) {
                empty.push(format!("{name}: {title}: {query}"));
            }
        }
    }
    for (name, text) in runbooks::runbooks() {
        for query in runbooks::queries(&text) {
            asked += 1;
            if !has_data(prometheus, &query) {
                empty.push(format!("{name}: {query}"));
            }
        }
    }
    assert!(asked > 120, "{asked}");
    assert!(empty.is_empty(), "no data:\n{}", empty.join("\n"));
    // An alert's query has no result while all is well; it has to be one all the same, Grafana's without recorded names.
    for (rule, query) in grafana_queries() {
        prometheus.query(&query);
        prometheus.query(string(&rule["expr"]));
    }
}
