//! Sections about the process itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::url::{self, Plain};
use super::{Check, DAY, Fault, HOUR, MS, secs};
use crate::config::raw::ConfigFile;
use crate::config::settings::{
    AttemptLogSettings, LogSettings, StateSettings, TracingSettings, WebSettings,
};
use crate::model::Objectives;

/// Where requests of a configuration that is refused anyway would have been answered.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn check(
    check: &mut Check<'_>,
    file: &ConfigFile,
) -> (WebSettings, LogSettings, TracingSettings) {
    let listen = listen_address(&file.web.listen_address);
    let listen_address = check.keep(&["web", "listen_address"], listen).unwrap_or(NOWHERE);
    let keys = ["web", "config_file"];
    if file.web.config_file.as_deref().is_some_and(|name| name.trim().is_empty()) {
        check.problem(&keys, "names no file", "a path, or no such key for plain HTTP");
    }
    let resolve = |name: &String| check.tree.resolved(&super::path(&keys), name);
    let config_file = file.web.config_file.as_ref().map(resolve);
    check.duration(&["web", "heartbeat"], file.web.heartbeat, secs(1)..=HOUR);
    let grace = file.lifecycle.grace_period;
    check.duration(&["lifecycle", "grace_period"], grace, Duration::ZERO..=HOUR);
    let tracing = &file.tracing;
    check.duration(&["tracing", "timeout"], tracing.timeout, MS * 100..=secs(60));
    if let Some(endpoint) = &tracing.endpoint {
        check.keep(&["tracing", "endpoint"], url::parse(endpoint, Plain::Allowed));
    }
    let slowest = file.targets.values().map(|t| t.timeout.0).max().unwrap_or_default();
    if slowest + tracing.timeout.0 > grace.0 {
        check.warn(
            "lifecycle.grace_period: shorter than the longest target timeout and tracing.timeout \
             together, so a stop may abandon requests or lose spans",
        );
    }
    (
        WebSettings {
            listen_address,
            config_file,
            enable_lifecycle: file.web.enable_lifecycle,
            heartbeat: file.web.heartbeat.0,
        },
        LogSettings { level: file.log.level, format: file.log.format },
        TracingSettings {
            endpoint: tracing.endpoint.clone(),
            protocol: tracing.protocol,
            timeout: tracing.timeout.0,
            sample_ratio: tracing.sample_ratio,
            throttled_spans_per_s: tracing.throttled_spans_per_s,
            queue_size: usize::try_from(tracing.queue_size).unwrap_or(usize::MAX),
        },
    )
}

/// How often to look at files; zero is never.
pub(super) fn reload(check: &mut Check<'_>, file: &ConfigFile) -> Duration {
    let interval = file.reload.interval;
    if !interval.0.is_zero() {
        check.duration(&["reload", "interval"], interval, MS * 100..=HOUR);
    }
    interval.0
}

pub(super) fn state(check: &mut Check<'_>, file: &ConfigFile) -> StateSettings {
    check.duration(&["state", "interval"], file.state.interval, secs(1)..=HOUR);
    let keys = ["state", "file"];
    if file.state.file.as_deref().is_some_and(|name| name.trim().is_empty()) {
        check.problem(&keys, "names no file", "a path, or no such key to keep nothing");
    }
    let resolve = |name: &String| check.tree.resolved(&super::path(&keys), name);
    StateSettings { file: file.state.file.as_ref().map(resolve), interval: file.state.interval.0 }
}

pub(super) fn attempt_log(
    check: &mut Check<'_>,
    file: &ConfigFile,
    state: &StateSettings,
) -> AttemptLogSettings {
    let written = &file.attempt_log;
    let keys = ["attempt_log", "path"];
    if written.path.as_deref().is_some_and(|name| name.trim().is_empty()) {
        check.problem(&keys, "names no file", "a path, or no such key to write none");
    }
    let resolve = |name: &String| check.tree.resolved(&super::path(&keys), name);
    let path = written.path.as_ref().map(resolve);
    if path.is_some() && path == state.file {
        check.problem(&keys, "is the file of state.file", "a file of its own");
    }
    AttemptLogSettings {
        path,
        max_bytes: u64::from(written.max_size_mib) << 20,
        max_files: written.max_files,
        queue_lines: usize::try_from(written.queue_lines).unwrap_or(usize::MAX),
    }
}

pub(super) fn objectives(check: &mut Check<'_>, file: &ConfigFile) -> Objectives {
    let wanted = &file.objectives;
    check.duration(&["objectives", "latency"], wanted.latency, MS..=secs(300));
    check.duration(&["objectives", "token_validity"], wanted.token_validity, secs(10)..=DAY);
    Objectives {
        throttled_ratio: wanted.throttled_ratio,
        goodput_ratio: wanted.goodput_ratio,
        limit_fall_ratio: wanted.limit_fall_ratio,
        growth_ratio: wanted.growth_ratio,
        latency: wanted.latency.0,
        held_ratio: wanted.held_ratio,
        skipped_ratio: wanted.skipped_ratio,
        spans_lost_ratio: wanted.spans_lost_ratio,
        token_validity: wanted.token_validity.0,
        heartbeat: file.web.heartbeat.0,
    }
}

/// Reads `IP:PORT`, and the two short forms that people use: `:PORT` and `localhost:PORT`.
fn listen_address(text: &str) -> Result<SocketAddr, Fault> {
    let address = match text.rsplit_once(':') {
        Some(("", port)) => port.parse().ok().map(|p| SocketAddr::from((Ipv4Addr::UNSPECIFIED, p))),
        Some(("localhost", port)) => {
            port.parse().ok().map(|p| SocketAddr::from((Ipv4Addr::LOCALHOST, p)))
        }
        _ => text.parse().ok(),
    };
    address.ok_or_else(|| {
        Fault::new("not an address", "IP:PORT, such as 0.0.0.0:9469, [::]:9469 or :9469")
    })
}
