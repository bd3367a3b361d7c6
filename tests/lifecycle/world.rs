//! What a test has around it: a directory, daemons and simulated APIs in it, and their own words.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::http::{self, Answer};
use crate::support::process::{Process, temp_dir, wait_for, write_file};

/// For what takes milliseconds on an idle machine: the one that tests run on may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A command of the binary, with nothing of the tests' own environment that it would obey.
pub(crate) fn plimsoll(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(args);
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A configuration up to its one target, named `t`; keys of that target may follow, and tables.
pub(crate) fn sending_to(url: &str) -> String {
    format!(
        "[web]\nlisten_address = \"127.0.0.1:0\"\n[schedule]\nramp = \"0s\"\n\
         [targets.t]\nbase_url = \"{url}\"\npath = \"/messages\"\n\
         body = '{{\"to\":{{\"id\":\"participant-id\"}},\"text\":\"message\"}}'\n"
    )
}

/// A stream to the target of [`sending_to`].
pub(crate) fn stream(name: &str, rate: &str) -> String {
    format!("[streams.{name}]\ntarget = \"t\"\nrate = \"{rate}\"\n")
}

/// Waits for a condition, or fails with what was waited for.
#[track_caller]
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    assert!(wait_for(SOON, || condition().then_some(())).is_some(), "waited in vain: {what}");
}

/// A directory of one test.
pub(crate) struct World {
    directory: tempfile::TempDir,
    logs: Cell<u32>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { directory: temp_dir(), logs: Cell::new(0) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        write_file(self.path(), name, text)
    }

    /// Starts the binary; it is ended with the test.
    pub(crate) fn spawn(&self, command: &mut Command) -> Process {
        let n = self.logs.replace(self.logs.get() + 1);
        let log = self.path().join(format!("{n}.log"));
        Process::spawn("plimsoll", command.current_dir(self.path()), &log)
    }

    /// Runs the binary to its end: exit code, and everything it wrote.
    pub(crate) fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut process = self.spawn(&mut plimsoll(args));
        let status = process.wait(SOON);
        (status.code(), process.log())
    }

    /// A daemon with this configuration, in `plimsoll.toml`.
    pub(crate) fn daemon(&self, config: &str, args: &[&str]) -> Daemon {
        self.write("plimsoll.toml", config);
        let mut all = vec!["run", "--config.file", "plimsoll.toml", "--log.format", "json"];
        all.extend(args);
        self.daemon_by(&mut plimsoll(&all))
    }

    /// A daemon started by this command, which must log JSON.
    pub(crate) fn daemon_by(&self, command: &mut Command) -> Daemon {
        let process = self.spawn(command);
        let mut daemon = Daemon { process, url: String::new() };
        let address = wait_for(SOON, || {
            let line = daemon.line("serving metrics, health and status");
            assert!(line.is_some() || daemon.process.ended().is_none(), "it ended");
            Some(line?["address"].as_str()?.to_owned())
        });
        daemon.url = format!("http://{}", address.expect("it says where it serves"));
        daemon
    }

    /// A simulated API.
    pub(crate) fn api(&self, config: &str) -> Api {
        self.write("simulator.toml", config);
        let args = ["simulate", "--config.file", "simulator.toml"];
        let mut command = plimsoll(&args);
        let process = self.spawn(command.args(["--listen-address", "127.0.0.1:0"]));
        let url = wait_for(SOON, || {
            let log = process.log();
            let (_, rest) = log.split_once("on http://")?;
            rest.contains('\n').then(|| format!("http://{}", rest.trim()))
        });
        Api { url: url.expect("it says where it listens"), _process: process }
    }
}

/// A simulated API that runs.
pub(crate) struct Api {
    pub(crate) url: String,
    _process: Process,
}

impl Api {
    /// What it has counted.
    pub(crate) fn stats(&self) -> Value {
        http::get(&format!("{}/simulator/stats", self.url)).expect("it answers").json()
    }

    /// One number, over all operations.
    pub(crate) fn all(&self, what: &str) -> u64 {
        let stats = self.stats();
        let routes = stats["routes"].as_object().expect("operations").values();
        routes.map(|route| route[what].as_u64().expect("a count")).sum()
    }

    /// One number of the login server.
    pub(crate) fn login(&self, what: &str) -> u64 {
        self.stats()["login"][what].as_u64().expect("a count")
    }
}

/// A daemon that runs.
pub(crate) struct Daemon {
    pub(crate) process: Process,
    pub(crate) url: String,
}

impl Daemon {
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(&format!("{}{path}", self.url)).expect("it answers")
    }

    pub(crate) fn post(&self, path: &str) -> Answer {
        let request = http::client().post(format!("{}{path}", self.url));
        http::send(request).expect("it answers")
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape(self.get("/metrics").body)
    }

    /// A number of now, as [`Scrape::sum`].
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.scrape().sum(name, labels)
    }

    pub(crate) fn status(&self) -> Value {
        self.get("/api/v1/status").json()
    }

    /// The first log line with this message, of a daemon that logs JSON.
    pub(crate) fn line(&self, message: &str) -> Option<Value> {
        let log = self.process.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"].as_str().is_some_and(|m| m.contains(message)))
    }
}

/// The text of `/metrics`.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    /// The sum of the series of this name that have all these labels.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut found = false;
        let mut sum = 0.0;
        for line in self.0.lines() {
            let Some(rest) = line.strip_prefix(name) else { continue };
            let has = |(k, v): &(&str, &str)| rest.contains(&format!("{k}=\"{v}\""));
            if rest.starts_with(['{', ' ']) && labels.iter().all(has) {
                found = true;
                let value = rest.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
                sum += value.unwrap_or_else(|| panic!("no number: {line}"));
            }
        }
        assert!(found, "no series {name} {labels:?} in\n{}", self.0);
        sum
    }

    /// Fails unless the sums of the contract hold, over all streams.
    #[track_caller]
    pub(crate) fn adds_up(&self) {
        let sum = |name| self.sum(name, &[]);
        let sent = sum("plimsoll_slots_sent_total");
        let skipped = sum("plimsoll_slots_skipped_total");
        assert_eq!(sum("plimsoll_slots_scheduled_total"), sent + skipped);
        let in_flight = sum("plimsoll_attempts_in_flight");
        assert_eq!(sent, sum("plimsoll_attempts_total") + in_flight);
        assert_eq!(sent, sum("plimsoll_messages_started_total") + sum("plimsoll_resends_total"));
    }
}
