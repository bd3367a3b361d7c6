//! A real Prometheus that scrapes what the test names, every second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::clock::unix_now_s;
use super::http;
use super::process::{Process, free_ports, temp_dir, testbed_tool, wait_for, write_file};

/// How wide a window of exemplars is asked for, each way: wider than any test lasts.
const EXEMPLAR_WINDOW_S: f64 = 3600.0;

/// Something to scrape.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
}

/// One series' value at the time of the query.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// An exemplar that Prometheus kept.
#[derive(Clone, Debug)]
pub(crate) struct Exemplar {
    /// The series that it belongs to.
    pub(crate) series: BTreeMap<String, String>,
    /// Its own labels: `trace_id` and the like.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
    /// Seconds since 1970.
    pub(crate) time_s: f64,
}

/// A running Prometheus. It scrapes itself too, as job `prometheus`.
pub(crate) struct Prometheus {
    process: Process,
    port: u16,
    /// Holds its storage and log; removed with it.
    directory: TempDir,
}

impl Prometheus {
    pub(crate) fn start(jobs: &[Job]) -> Self {
        Self::start_with_rules(jobs, &[])
    }

    /// With recording and alerting rules, evaluated every second.
    pub(crate) fn start_with_rules(jobs: &[Job], rules: &[PathBuf]) -> Self {
        // JSON is YAML, and needs no care with quoting.
        Self::start_with(|port| configuration(jobs, rules, port).to_string())
    }

    /// With a configuration of the caller's, who is told the port that it will listen on.
    pub(crate) fn start_with(configuration: impl Fn(u16) -> String) -> Self {
        let directory = temp_dir();
        let [port] = free_ports();
        let configuration = write_file(directory.path(), "prometheus.yml", &configuration(port));
        let mut process = Process::spawn(
            "prometheus",
            Command::new(testbed_tool("prometheus"))
                .arg("--config.file")
                .arg(configuration)
                .arg("--storage.tsdb.path")
                .arg(directory.path().join("data"))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--enable-feature=exemplar-storage")
                .arg("--log.level=warn"),
            &directory.path().join("prometheus.log"),
        );
        process
            .wait_for_answer(&format!("http://127.0.0.1:{port}/-/ready"), Duration::from_secs(30));
        Self { process, port, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// An instant query for a vector.
    pub(crate) fn query(&self, expression: &str) -> Vec<Sample> {
        let data = self.ask("query", &[("query", expression)]);
        array(&data["result"])
            .iter()
            .map(|series| Sample {
                labels: labels(&series["metric"]),
                value: number(&series["value"][1]),
            })
            .collect()
    }

    /// A query over the past `seconds`, as the API answers it: one entry for each series.
    pub(crate) fn query_range(&self, expression: &str, seconds: f64, step_s: f64) -> Vec<Value> {
        // Whole seconds: what is asked one after the other falls on the same steps.
        let end = unix_now_s().floor();
        let (start, end, step) = ((end - seconds).to_string(), end.to_string(), step_s.to_string());
        let parameters = [("query", expression), ("start", &start), ("end", &end), ("step", &step)];
        array(&self.ask("query_range", &parameters)["result"]).to_vec()
    }

    /// The value of an expression that has at most one series.
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let samples = self.query(expression);
        assert!(samples.len() <= 1, "{expression} has {} series", samples.len());
        samples.first().map(|sample| sample.value)
    }

    /// Every exemplar kept for the series that the expression selects.
    pub(crate) fn query_exemplars(&self, expression: &str) -> Vec<Exemplar> {
        let now_s = unix_now_s();
        let start = (now_s - EXEMPLAR_WINDOW_S).to_string();
        let end = (now_s + EXEMPLAR_WINDOW_S).to_string();
        let data =
            self.ask("query_exemplars", &[("query", expression), ("start", &start), ("end", &end)]);
        let of_series = |entry: &Value| -> Vec<Exemplar> {
            array(&entry["exemplars"])
                .iter()
                .map(|exemplar| Exemplar {
                    series: labels(&entry["seriesLabels"]),
                    labels: labels(&exemplar["labels"]),
                    value: number(&exemplar["value"]),
                    time_s: exemplar["timestamp"].as_f64().expect("an exemplar has a timestamp"),
                })
                .collect()
        };
        array(&data).iter().flat_map(of_series).collect()
    }

    /// Waits for a scrape of `job` that began after this call, and that succeeded: what it shows is then at least as
    /// new as now.
    pub(crate) fn wait_for_scrape(&self, job: &str, within: Duration) {
        let since_s = unix_now_s();
        let up = format!("up{{job=\"{job}\"}}");
        // `timestamp` of anything but a plain series is the time of the query.
        let expression = format!("timestamp({up}) and {up} == 1");
        let scraped = wait_for(within, || {
            // A sample carries the time at which its scrape began.
            self.query(&expression).into_iter().find(|sample| sample.value > since_s)
        });
        assert!(
            scraped.is_some(),
            "no good scrape of {job} within {within:?}: {:?}",
            self.query("up")
        );
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&format!("{}/api/v1/{what}", self.url()))
            .expect("its address makes a URL");
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = http::get(url.as_str()).unwrap_or_else(|e| panic!("prometheus: {e}"));
        let mut body = answer.json();
        assert_eq!(body["status"], "success", "{parameters:?}: {body}");
        body["data"].take()
    }
}

/// `promtool ARGUMENTS`, for rule files and configurations.
pub(crate) fn promtool(arguments: &[&str], directory: &Path) -> Output {
    Command::new(testbed_tool("promtool"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|e| panic!("cannot run promtool: {e}"))
}

fn configuration(jobs: &[Job], rules: &[PathBuf], own_port: u16) -> Value {
    let scrape = |name: &str, address: &str| json!({"job_name": name, "static_configs": [{"targets": [address]}]});
    let mut scrapes = vec![scrape("prometheus", &format!("127.0.0.1:{own_port}"))];
    scrapes.extend(jobs.iter().map(|job| scrape(&job.name, &job.address)));
    json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": rules,
        "scrape_configs": scrapes,
    })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(name, label)| (name.clone(), label.as_str().expect("a label is text").to_owned()))
        .collect()
}

/// It writes numbers as text, so that `NaN` and `+Inf` fit into JSON.
fn number(value: &Value) -> f64 {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("not a number: {value}"))
}
