//! The same rules for Kubernetes (a PrometheusRule) and for Grafana (alert provisioning), made of the one source in
//! deploy/prometheus/rules. `PLIMSOLL_WRITE_GENERATED=1 cargo test --test watched generated` writes them anew.

use std::fs;

use yaml_rust2::Yaml;

use crate::rules::{groups, rules};
use crate::yaml::{self, list, map, string, text};

const COMMENT: &str = "Made of deploy/prometheus/rules by tests/watched/generated.rs; do not edit.";

/// Where Grafana evaluates a recorded name over a range, it evaluates its query this often.
const STEP: &str = "1m";

#[expect(clippy::disallowed_methods, reason = "a person says so when the files are to be written")]
fn writing() -> bool {
    std::env::var_os("PLIMSOLL_WRITE_GENERATED").is_some()
}

fn holds(path: &str, wanted: &str) {
    if writing() {
        fs::write(path, wanted).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "{path} is not what its source makes of it: PLIMSOLL_WRITE_GENERATED=1 cargo test --test watched generated"
    );
}

#[test]
fn the_prometheus_rule_is_generated() {
    let labels = map([
        ("app.kubernetes.io/name", text("plimsoll")),
        ("app.kubernetes.io/component", text("monitoring")),
    ]);
    let document = map([
        ("apiVersion", text("monitoring.coreos.com/v1")),
        ("kind", text("PrometheusRule")),
        ("metadata", map([("name", text("plimsoll")), ("labels", labels)])),
        ("spec", map([("groups", Yaml::Array(groups()))])),
    ]);
    holds("deploy/kubernetes/base/prometheusrule.yaml", &yaml::write(COMMENT, &document));
}

#[test]
fn grafanas_alerts_are_generated() {
    let rules = grafana_queries().into_iter().enumerate().map(|(i, (rule, query))| {
        let labels = rule["labels"].clone();
        let duration = if rule["for"].is_badvalue() { text("0s") } else { rule["for"].clone() };
        map([
            ("uid", text(&format!("plimsoll-{i:02}"))),
            ("title", text(&title(&rule))),
            ("condition", text("threshold")),
            ("data", Yaml::Array(steps(&query))),
            ("for", duration),
            // A query of an alert has no result while all is well.
            ("noDataState", text("OK")),
            ("execErrState", text("Error")),
            ("annotations", rule["annotations"].clone()),
            ("labels", labels),
        ])
    });
    let group = map([
        ("orgId", Yaml::Integer(1)),
        ("name", text("plimsoll")),
        ("folder", text("Plimsoll")),
        ("interval", text(STEP)),
        ("rules", Yaml::Array(rules.collect())),
    ]);
    let document = map([("apiVersion", Yaml::Integer(1)), ("groups", Yaml::Array(vec![group]))]);
    holds("grafana/provisioning/alerting/plimsoll.yaml", &yaml::write(COMMENT, &document));
}

/// Grafana wants titles that differ; the windows of the burn alerts tell theirs apart.
fn title(rule: &Yaml) -> String {
    let name = string(&rule["alert"]);
    rule["labels"]["long"].as_str().map_or(name.to_owned(), |long| format!("{name} {long}"))
}

/// A query, then the condition that turns each series it returns into a firing alert, whatever its value: the same
/// that Grafana's own import of Prometheus rules writes.
fn steps(query: &str) -> Vec<Yaml> {
    let range = map([("from", Yaml::Integer(600)), ("to", Yaml::Integer(0))]);
    let step = |name: &str, source: &str, model: Yaml| {
        map([
            ("refId", text(name)),
            ("relativeTimeRange", range.clone()),
            ("datasourceUid", text(source)),
            ("model", model),
        ])
    };
    let any = "is_number($query) || is_nan($query) || is_inf($query)";
    let threshold = map([("type", text("gt")), ("params", Yaml::Array(vec![Yaml::Integer(0)]))]);
    vec![
        step(
            "query",
            "prometheus",
            map([
                ("refId", text("query")),
                ("expr", text(query)),
                ("instant", Yaml::Boolean(true)),
                ("range", Yaml::Boolean(false)),
            ]),
        ),
        step(
            "fires",
            "__expr__",
            map([("refId", text("fires")), ("type", text("math")), ("expression", text(any))]),
        ),
        step(
            "threshold",
            "__expr__",
            map([
                ("refId", text("threshold")),
                ("type", text("threshold")),
                ("expression", text("fires")),
                ("conditions", Yaml::Array(vec![map([("evaluator", threshold)])])),
            ]),
        ),
    ]
}

/// Each alert with its query, in which recorded names are replaced by what they record: Grafana's rules then need
/// nothing but the metrics.
pub(crate) fn grafana_queries() -> Vec<(Yaml, String)> {
    let recorded: Vec<(String, String)> = rules("record")
        .iter()
        .map(|rule| (string(&rule["record"]).to_owned(), string(&rule["expr"]).trim().to_owned()))
        .collect();
    rules("alert")
        .into_iter()
        .map(|rule| {
            let query = expand(string(&rule["expr"]).trim(), &recorded);
            (rule, query)
        })
        .collect()
}

fn expand(query: &str, recorded: &[(String, String)]) -> String {
    let mut query = query.to_owned();
    for (name, recorded) in recorded {
        let mut out = String::new();
        let mut rest = query.as_str();
        while let Some((before, after)) = rest.split_once(name.as_str()) {
            out.push_str(before);
            out.push_str(&format!("({recorded})"));
            rest = after;
            // Over a range, it is a query in a query.
            if let Some((window, after)) = after.strip_prefix('[').and_then(|r| r.split_once(']')) {
                out.push_str(&format!("[{window}:{STEP}]"));
                rest = after;
            }
        }
        out.push_str(rest);
        query = out;
    }
    query
}

#[test]
fn no_recorded_name_is_left_in_grafanas_queries() {
    let queries = grafana_queries();
    assert_eq!(queries.len(), rules("alert").len());
    for (_, query) in queries {
        assert!(!query.contains(":plimsoll_"), "{query}");
    }
    let expanded =
        expand("max_over_time(a:b[1d]) > a:b", &[("a:b".to_owned(), "x + y".to_owned())]);
    assert_eq!(expanded, "max_over_time((x + y)[1d:1m]) > (x + y)");
    assert_eq!(list(&steps("up")[2]["model"]["conditions"]).len(), 1);
}
