//! JMeter: a load test as its users run one, and the result files that it leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Process, testbed_tool, write_file};

const PLAN: &str = include_str!("jmeter.jmx");

/// A load test: so many threads, each of which sends so many requests with a pause between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadTest {
    pub(crate) threads: u32,
    pub(crate) loops: u32,
    pub(crate) pause: Duration,
}

impl LoadTest {
    /// Runs it to its end against a server on loopback: the results in CSV and in XML.
    pub(crate) fn run(&self, port: u16, directory: &Path, within: Duration) -> (PathBuf, PathBuf) {
        let plan = PLAN
            .replace("@THREADS@", &self.threads.to_string())
            .replace("@LOOPS@", &self.loops.to_string())
            .replace("@DELAY_MS@", &self.pause.as_millis().to_string())
            .replace("@PORT@", &port.to_string())
            .replace("@DIRECTORY@", &directory.display().to_string());
        let plan = write_file(directory, "plan.jmx", &plan);
        let csv = directory.join("results.jtl");
        let mut command = Command::new(testbed_tool("jmeter"));
        command.arg("-n").arg("-t").arg(plan).arg("-l").arg(&csv);
        command.arg("-j").arg(directory.join("jmeter.log")).current_dir(directory);
        let mut process = Process::spawn("jmeter", &mut command, &directory.join("jmeter.out"));
        let status = process.wait(within);
        assert!(status.success(), "{}", process.log());
        (csv, directory.join("results.xml"))
    }
}
