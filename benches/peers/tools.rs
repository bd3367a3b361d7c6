//! The two sides: what each is asked to send, as its own command line and configuration say it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::surroundings::Surroundings;

/// The payload that both send; the user's own.
const BODY: &str = r#"{"to":{"id":"participant-id"},"text":"message"}"#;

/// Requests in flight at once: connections, for oha.
const IN_FLIGHT: u32 = 50;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Plimsoll,
    Oha,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) streams: u32,
    /// Requests per second of each stream; `None` for as many as it can.
    pub(crate) rate_each: Option<f64>,
    /// What the server takes to answer, in microseconds.
    pub(crate) service_us: u64,
}

impl Traffic {
    pub(crate) fn rate(&self) -> Option<f64> {
        self.rate_each.map(|each| each * f64::from(self.streams))
    }
}

impl Tool {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plimsoll => "plimsoll",
            Self::Oha => "oha",
        }
    }

    /// The command that sends `traffic` to the port for so many seconds and then ends by itself.
    pub(crate) fn command(
        self,
        traffic: &Traffic,
        port: u16,
        seconds: u64,
        surroundings: &Surroundings,
    ) -> Result<Command> {
        let mut command = match self {
            Self::Plimsoll => {
                let config = surroundings.directory().join("plimsoll.toml");
                fs::write(&config, configuration(traffic, port, surroundings))?;
                let mut command = Command::new(&surroundings.binary);
                command.arg("run").arg("--config.file").arg(config);
                command.args(["--for", &format!("{seconds}s")]);
                command
            }
            Self::Oha => oha(traffic, port, seconds)?,
        };
        // Both read settings from the environment; a bench must not depend on what is there.
        command.env_clear().stdout(Stdio::null());
        Ok(command)
    }
}

fn oha(traffic: &Traffic, port: u16, seconds: u64) -> Result<Command> {
    let mut command = Command::new(testbed_tool("oha").ok_or("oha: run tests/testbed/install")?);
    command.args(["--no-tui", "--output-format", "quiet", "-z", &format!("{seconds}s")]);
    command.args(["-c", &IN_FLIGHT.to_string()]);
    if let Some(rate) = traffic.rate() {
        command.args(["-q", &rate.to_string()]);
    }
    command.args(["-m", "POST", "-T", "application/json", "-d", BODY]);
    command.arg(format!("http://127.0.0.1:{port}/messages"));
    Ok(command)
}

/// A rate that no machine reaches.
const UNREACHABLE_PER_S: u32 = 1_000_000;

/// Everything that can be observed is: metrics, traces, and log lines as JSON.
fn configuration(traffic: &Traffic, port: u16, surroundings: &Surroundings) -> String {
    let Surroundings { web_port, collector, sample_ratio, .. } = surroundings;
    let rate = traffic.rate_each.unwrap_or_else(|| f64::from(UNREACHABLE_PER_S));
    let mut text = format!(
        r#"[web]
listen_address = "127.0.0.1:{web_port}"

[log]
level = "info"
format = "json"

[tracing]
endpoint = "{endpoint}"
protocol = "{protocol}"
sample_ratio = {sample_ratio:?}

[schedule]
ramp = "0s"

[targets.server]
base_url = "http://127.0.0.1:{port}"
method = "POST"
path = "/messages"
body = '{BODY}'
"#,
        endpoint = collector.endpoint(),
        protocol = collector.protocol(),
    );
    for i in 0..traffic.streams {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n[streams.stream-{i}]\ntarget = \"server\"\nrate = \"{rate}/s\"\n");
        if traffic.streams == 1 {
            let _ = writeln!(text, "in_flight_max = {IN_FLIGHT}");
        }
    }
    text
}

/// A program that `tests/testbed/install` installed, if it is there.
pub(crate) fn testbed_tool(name: &str) -> Option<PathBuf> {
    let bin = std::env::var_os("PLIMSOLL_TESTBED").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache"));
        Some(cache.or_else(home)?.join("plimsoll/bin"))
    })?;
    Some(bin.join(name)).filter(|tool| tool.is_file())
}
