//! Two daemons alike, each against a simulated API of its own, under one Prometheus and one Alertmanager that run the
//! shipped files. The limit of one falls and returns; that of the other does not.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::alertmanager::{Alertmanager, Webhook};
use crate::support::clock::unix_now_s;
use crate::support::http;
use crate::support::process::{Process, free_ports, temp_dir, wait_for, write_file};
use crate::support::prometheus::Prometheus;

/// Longer than anything takes to start on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// When the limit falls and returns, from the start of the simulator, and how the shipped files' intervals are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) fall_s: u32,
    pub(crate) return_s: u32,
    /// Scrapes and evaluations each second, and notifications at once; or as shipped.
    pub(crate) hurried: bool,
}

/// One daemon and its API.
pub(crate) struct Side {
    _simulator: Process,
    _daemon: Process,
    port: u16,
    /// Seconds since 1970.
    pub(crate) started_s: f64,
    _directory: TempDir,
}

impl Side {
    /// `changes` is what becomes of the limit of 100/s: lists of seconds and limits.
    fn start(changes: &[(u32, u32)]) -> Self {
        let directory = temp_dir();
        let [api, port] = free_ports();
        let simulation = write_file(directory.path(), "simulator.toml", &simulation(api, changes));
        let settings = write_file(directory.path(), "plimsoll.toml", &settings(api));
        let run = |name: &str, arguments: &[&str], file: &Path| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
            command.env_clear().args(arguments).arg("--config.file").arg(file);
            Process::spawn(name, &mut command, &directory.path().join(format!("{name}.log")))
        };
        let mut simulator = run("simulator", &["simulate"], &simulation);
        let started_s = unix_now_s();
        simulator.wait_for_answer(&format!("http://127.0.0.1:{api}/"), SOON);
        let address = format!("--web.listen-address=127.0.0.1:{port}");
        let mut daemon = run("daemon", &["run", &address], &settings);
        daemon.wait_for_answer(&format!("http://127.0.0.1:{port}/livez"), SOON);
        Self { _simulator: simulator, _daemon: daemon, port, started_s, _directory: directory }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The only series of a metric that has one.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let answer = http::get(&self.url("/metrics")).expect("/metrics is up");
        let is = |line: &&str| line.strip_prefix(name).is_some_and(|r| r.starts_with(['{', ' ']));
        answer.body.lines().find(is)?.rsplit(' ').next()?.parse().ok()
    }
}

/// Everything together.
pub(crate) struct World {
    pub(crate) falling: Side,
    pub(crate) steady: Side,
    pub(crate) prometheus: Prometheus,
    pub(crate) webhook: Webhook,
    _alertmanager: Alertmanager,
}

impl World {
    pub(crate) fn start(times: Times) -> Self {
        let webhook = Webhook::start();
        let alertmanager = Alertmanager::start(&alertmanager_file(&webhook.url(), times.hurried));
        let steady = Side::start(&[]);
        let falling = Side::start(&[(times.fall_s, 60), (times.return_s, 100)]);
        let file = prometheus_file(&falling, &steady, &alertmanager, times.hurried);
        let prometheus = Prometheus::start_with(|_| file.clone());
        Self { falling, steady, prometheus, webhook, _alertmanager: alertmanager }
    }

    /// Waits until so many seconds have passed since the start of the API whose limit falls.
    pub(crate) fn wait_until(&self, second: f64) {
        let at = self.falling.started_s + second;
        let patience = Duration::from_secs_f64((at - unix_now_s()).max(0.0) + 1.0);
        wait_for(patience, || (unix_now_s() >= at).then_some(())).expect("time passes");
    }
}

fn simulation(port: u16, changes: &[(u32, u32)]) -> String {
    // Late in a window of a second, when more than the fallen limit is used: the next request is refused. At the
    // beginning of one, quota hints would tell in time, and nobody would see a refusal.
    let changes: String = changes
        .iter()
        .map(|(after, limit)| (after * 1000 - 100, limit))
        .map(|(after, limit)| {
            format!("[[limits.changes]]\nafter = \"{after}ms\"\nlimit = {limit}\n")
        })
        .collect();
    format!(
        r#"
        listen_address = "127.0.0.1:{port}"
        require_token = true
        quota_headers = ["x_ratelimit", "ietf_structured"]
        [oauth]
        token_lifetime = "1h"
        [[clients]]
        id = "watched"
        secret = "not-a-secret"
        tenant = "acme"
        [[operations]]
        shape = "generic"
        path = "/messages"
        [[limits]]
        name = "org.rate.per.second"
        kind = "fixed_window"
        limit = 100
        window = "1s"
        scope = ["tenant"]
        {changes}
        [latency]
        distribution = "lognormal"
        mean = "20ms"
        [faults]
        error_ratio = 0.001
        "#
    )
}

/// 80/s as the ceiling, below the limit of 100/s and above the 60/s that it falls to.
fn settings(api: u16) -> String {
    format!(
        r#"
        allow_inline_secrets = true
        [state]
        file = "state.json"
        interval = "1s"
        [safety]
        messages_per_day = 1000000
        [policy]
        mode = "adaptive"
        # So that it finds out soon when the limit is back.
        exploration_interval = "10s"
        [schedule]
        ramp = "1s"
        [targets.messages]
        base_url = "http://127.0.0.1:{api}"
        path = "/messages"
        body = '{{"text":"message {{{{sequence}}}}"}}'
        scope = ["tenant"]
        [credentials.bot]
        type = "oauth_client_credentials"
        token_url = "http://127.0.0.1:{api}/oauth/token"
        client_id = "watched"
        client_secret = "not-a-secret"
        tenant = "acme"
        [streams.steady]
        target = "messages"
        credential = "bot"
        rate = "80/s"
        "#
    )
}

/// A shipped file, with some of its text replaced: each must be there.
fn edited(path: &str, edits: &[(&str, String)]) -> String {
    let mut text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    for (from, to) in edits {
        assert!(text.contains(from), "{path} has no {from:?}");
        text = text.replace(from, to);
    }
    text
}

fn prometheus_file(
    falling: &Side,
    steady: &Side,
    alertmanager: &Alertmanager,
    hurried: bool,
) -> String {
    let target = |side: &Side, namespace: &str| {
        format!("- targets: [\"{}\"]\n        labels: {{namespace: {namespace}}}", side.address())
    };
    let both = format!("{}\n      {}", target(falling, "falling"), target(steady, "steady"));
    let rules = format!("{}/deploy/prometheus/rules/", env!("CARGO_MANIFEST_DIR"));
    let mut edits = vec![
        ("- targets: [\"127.0.0.1:9469\"]", both),
        ("127.0.0.1:9093", alertmanager.address()),
        ("rules/", rules),
    ];
    if hurried {
        edits.push(("scrape_interval: 15s", "scrape_interval: 1s".to_owned()));
        edits.push(("evaluation_interval: 30s", "evaluation_interval: 1s".to_owned()));
    }
    edited("deploy/prometheus/prometheus.yml", &edits)
}

fn alertmanager_file(webhook: &str, hurried: bool) -> String {
    let mut edits = vec![("http://webhook:8080", webhook.to_owned())];
    if hurried {
        edits.push(("group_wait: 30s", "group_wait: 1s".to_owned()));
        edits.push(("group_interval: 5m", "group_interval: 1s".to_owned()));
    }
    edited("deploy/alertmanager/alertmanager.yml", &edits)
}
