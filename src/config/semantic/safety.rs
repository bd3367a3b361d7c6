//! The safety envelope: caps, pauses, active hours, hosts, the circuit breaker.

use std::sync::Arc;

use super::{Check, DAY, HOUR, MS};
use crate::config::raw::{ConfigFile, StreamFile};
use crate::config::settings::{NamedCredential, StreamSettings, TargetSettings};
use crate::engine::{SafetyPlan, StreamSafety, TokenPlan};
use crate::policy::{BackoffSettings, BreakerSettings, CapSettings, Jitter};
use crate::schedule::{ActiveHours, Timetable};
use crate::verdict::{ParseThresholdError, Threshold};

const HOURS: &str = "DAYS HH:MM-HH:MM, where DAYS are daily, one of mon to sun, or two of them with a -, \
                     such as \"mon-fri 08:00-18:00\"";
const ZONE: &str = "a time zone of the IANA database, such as Europe/Berlin or UTC";
const THRESHOLD: &str = "FIGURE, one of < <= > >=, VALUE, where FIGURE is goodput, sent_rate, an outcome, \
                         OUTCOME_ratio, skipped_ratio, delivered_ratio, or response, service, lateness \
                         or delivery with _max or a percentile, such as response_p99<500ms";
const HOST: &str =
    "names of hosts without scheme, port and path, or *.NAME for all hosts below one";

pub(super) fn check(check: &mut Check<'_>, file: &ConfigFile) -> SafetyPlan {
    let (safety, breaker) = (&file.safety, &file.breaker);
    check.duration(&["breaker", "pause"], breaker.pause, MS * 100..=HOUR);
    let least = breaker.pause.0.clamp(MS * 100, HOUR);
    check.duration(&["breaker", "pause_max"], breaker.pause_max, least..=DAY);
    timetable(check, &["safety"], &safety.active_hours, &safety.time_zone);
    let caps = CapSettings {
        per_hour: safety.messages_per_hour,
        per_day: safety.messages_per_day,
        in_all: safety.messages_in_all,
    };
    SafetyPlan {
        paused: safety.paused,
        caps,
        recorded: file.state.file.is_some(),
        breaker: BreakerSettings {
            failures: breaker.failures,
            pause: BackoffSettings {
                base: breaker.pause.0,
                cap: breaker.pause_max.0,
                jitter: Jitter::Equal,
            },
        },
    }
}

pub(super) fn of_stream(
    check: &mut Check<'_>,
    file: &ConfigFile,
    name: &str,
    stream: &StreamFile,
) -> StreamSafety {
    let hours = stream.active_hours.as_ref().unwrap_or(&file.safety.active_hours);
    let zone = stream.time_zone.as_ref().unwrap_or(&file.safety.time_zone);
    let own = stream.active_hours.is_some() || stream.time_zone.is_some();
    let at = ["streams", name];
    let hours = timetable(check, if own { &at } else { &["safety"] }, hours, zone);
    StreamSafety {
        paused: stream.paused.unwrap_or(false),
        caps: CapSettings {
            per_hour: stream.messages_per_hour,
            per_day: stream.messages_per_day,
            in_all: stream.messages_in_all,
        },
        hours: hours.map(Arc::new),
    }
}

/// Hours of a section, in the zone that it names or takes over. `None`: always.
fn timetable(
    check: &mut Check<'_>,
    at: &[&str],
    hours: &[String],
    zone: &str,
) -> Option<Timetable> {
    let mut parsed = Vec::new();
    for (i, text) in hours.iter().enumerate() {
        match text.parse::<ActiveHours>() {
            Ok(hours) => parsed.push(hours),
            Err(error) => {
                let index = i.to_string();
                let path = [at, &["active_hours", &index]].concat();
                check.problem(&path, error.to_string(), HOURS);
            }
        }
    }
    let always = parsed.is_empty();
    let timetable = Timetable::new(parsed, zone);
    if timetable.is_none() {
        check.problem(&[at, &["time_zone"]].concat(), "no such time zone", ZONE);
    }
    timetable.filter(|_| !always)
}

/// What a run with an end must keep.
pub(super) fn thresholds(check: &mut Check<'_>, file: &ConfigFile) -> Vec<Threshold> {
    let mut thresholds = Vec::new();
    for (i, text) in file.run.thresholds.iter().enumerate() {
        match text.parse() {
            Ok(threshold) => thresholds.push(threshold),
            Err(error) => {
                let error: ParseThresholdError = error;
                let at = ["run", "thresholds", &i.to_string()];
                check.problem(&at, error.to_string(), THRESHOLD);
            }
        }
    }
    thresholds
}

/// Nobody may be sent to who is not on the list.
pub(super) fn hosts(
    check: &mut Check<'_>,
    file: &ConfigFile,
    targets: &[TargetSettings],
    credentials: &[NamedCredential],
) {
    let Some(hosts) = &file.safety.hosts else { return };
    for (i, host) in hosts.iter().enumerate() {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let ip = name.parse::<std::net::IpAddr>().is_ok();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
        if name.is_empty() || !(ip || name.bytes().all(plain)) {
            check.problem(&["safety", "hosts", &i.to_string()], "not the name of a host", HOST);
        }
    }
    let allowed = format!("hosts of safety.hosts: {}", hosts.join(", "));
    for target in targets {
        if !is_allowed(hosts, &target.server_address) {
            let name = &*target.endpoint.name;
            let written = file.targets.get(name).is_some_and(|t| t.base_url.is_some());
            let key = if written { "base_url" } else { "genesys_domain" };
            let message = format!("{} may not be sent to", target.server_address);
            check.problem(&["targets", name, key], message, &*allowed);
        }
    }
    for credential in credentials {
        let TokenPlan::Fetched { login_host, .. } = &credential.token else { continue };
        let host = host_of(login_host);
        if !is_allowed(hosts, host) {
            let name = &*credential.settings.name;
            let written = file.credentials.get(name).is_some_and(|c| c.token_url.is_some());
            let key = if written { "token_url" } else { "genesys_domain" };
            let message = format!("{host} may not be sent to");
            check.problem(&["credentials", name, key], message, &*allowed);
        }
    }
}

/// The host of `HOST[:PORT]`, without the brackets of IPv6.
fn host_of(server: &str) -> &str {
    match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => server.split_once(':').map_or(server, |(host, _)| host),
    }
}

fn is_allowed(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
        Some(parent) => {
            let below = host.len().checked_sub(parent.len() + 1);
            below.is_some_and(|at| {
                at > 0 && host.as_bytes()[at] == b'.' && host[at + 1..].eq_ignore_ascii_case(parent)
            })
        }
        None => allowed.eq_ignore_ascii_case(host),
    })
}

/// What is allowed and yet probably not meant.
pub(super) fn remarks(check: &mut Check<'_>, file: &ConfigFile, streams: &[StreamSettings]) {
    if file.state.file.is_none() {
        let why = "without state.file it is counted anew after each restart";
        let safety = &file.safety;
        let capped = |own: [Option<u64>; 3]| own.iter().any(Option::is_some);
        if capped([safety.messages_per_hour, safety.messages_per_day, safety.messages_in_all]) {
            check.warn(format!("safety.messages_…: {why}"));
        }
        for stream in streams.iter().filter(|stream| !stream.safety.caps.is_none()) {
            check.warn(format!("streams.{}.messages_…: {why}", stream.name));
        }
    }
    for (name, stream) in &file.streams {
        let hours = stream.active_hours.as_ref().unwrap_or(&file.safety.active_hours);
        if stream.time_zone.is_some() && hours.is_empty() {
            check.warn(format!("streams.{name}.time_zone: there are no active hours: no effect"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_on_the_list_by_its_name_or_below_a_parent() {
        let hosts = ["api.example.com".to_owned(), "*.vendor.net".to_owned(), "::1".to_owned()];
        for (host, allowed) in [
            ("api.example.com", true),
            ("API.example.com", true),
            ("example.com", false),
            ("evil-api.example.com", false),
            ("eu.vendor.net", true),
            ("a.b.vendor.net", true),
            ("vendor.net", false),
            (".vendor.net", false),
            ("evilvendor.net", false),
            ("::1", true),
        ] {
            assert_eq!(is_allowed(&hosts, host), allowed, "{host}");
        }
        assert_eq!((host_of("[::1]:80"), host_of("a:80"), host_of("a")), ("::1", "a", "a"));
    }
}
