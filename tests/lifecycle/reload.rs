//! A new configuration for a daemon that runs: what changed applies, what did not is left alone, and
//! what is wrong changes nothing.

use std::time::Duration;

use crate::scripted::{Reply, Request, Scripted};
use crate::support::process::Process;
use crate::world::{Daemon, World, sending_to, stream, until};

const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];
const RELOADED: &str = "plimsoll_config_reloads_total";

/// A configuration in which each request tells its stream and sequence.
pub(crate) fn telling(api: &Scripted, streams: &str) -> String {
    let target = "headers = { x-stream = \"{{stream}}\", x-sequence = \"{{sequence}}\" }\n";
    sending_to(&api.url) + target + streams
}

pub(crate) fn of_stream(api: &Scripted, name: &str) -> Vec<Request> {
    api.seen().into_iter().filter(|r| r.header("x-stream") == Some(name)).collect()
}

/// Fails unless a stream's sequence runs on without a restart, a hole or a doublet, and requests
/// never stop coming for long.
pub(crate) fn runs_on(requests: &[Request]) {
    // Requests on different connections may overtake each other.
    let mut numbers: Vec<u64> = requests
        .iter()
        .map(|r| r.header("x-sequence").and_then(|s| s.parse().ok()).expect("a number"))
        .collect();
    numbers.sort_unstable();
    let first = numbers[0];
    let whole: Vec<u64> = (first..first + numbers.len() as u64).collect();
    assert_eq!(numbers, whole);
    let gaps = requests.windows(2).map(|pair| pair[1].at.saturating_duration_since(pair[0].at));
    let longest = gaps.max().expect("several requests");
    assert!(longest < Duration::from_secs(1), "a gap of {longest:?}");
}

pub(crate) fn reloads(daemon: &Daemon, result: &str) -> f64 {
    daemon.sum(RELOADED, &[("result", result)])
}

fn hang_up(process: &Process) {
    process.signal("HUP");
}

#[test]
fn a_changed_rate_applies_without_a_gap_and_the_other_stream_does_not_notice() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let both = |rate| telling(&api, &(stream("changed", rate) + &stream("same", "20/s")));
    let daemon = world.daemon(&both("10/s"), LIFECYCLE);
    until("traffic of both", || {
        of_stream(&api, "changed").len() > 5 && of_stream(&api, "same").len() > 5
    });
    for (rate, per_second) in [("50/s", 50.0), ("30/s", 30.0)] {
        let before = reloads(&daemon, "success");
        world.write("plimsoll.toml", &both(rate));
        if rate == "50/s" {
            hang_up(&daemon.process);
        } else {
            assert_eq!(daemon.post("/-/reload").status, 200);
        }
        until("the reload", || reloads(&daemon, "success") == before + 1.0);
        let configured = || daemon.sum("plimsoll_stream_configured_rate", &[("stream", "changed")]);
        until("the new rate", || configured() == per_second);
        let sent = of_stream(&api, "changed").len();
        until("traffic at the new rate", || of_stream(&api, "changed").len() > sent + 30);
        let shown = daemon.get("/config").body;
        assert!(shown.contains(rate), "{shown}");
    }
    assert_eq!(daemon.sum("plimsoll_config_last_reload_successful", &[]), 1.0);
    runs_on(&of_stream(&api, "same"));
    runs_on(&of_stream(&api, "changed"));
    daemon.scrape().adds_up();
}

#[test]
fn the_new_rate_is_kept_in_real_time() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let at = |rate| telling(&api, &stream("s", rate));
    let daemon = world.daemon(&at("10/s"), LIFECYCLE);
    until("traffic", || api.count() > 3);
    world.write("plimsoll.toml", &at("100/s"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    let before = api.count();
    until("traffic at the new rate", || api.count() > before + 120);
    let seen = api.seen();
    let (first, last) = (&seen[before + 20], &seen[before + 120]);
    let took = last.at.saturating_duration_since(first.at).as_secs_f64();
    // A hundred requests at 100/s. Arrivals have jitter; the old rate would take ten seconds.
    assert!((0.7..3.0).contains(&took), "{took}");
}

#[test]
fn a_bad_file_changes_nothing_until_it_is_repaired() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let good = telling(&api, &stream("s", "40/s"));
    let daemon = world.daemon(&good, LIFECYCLE);
    until("traffic", || api.count() > 5);
    assert_eq!(daemon.sum("plimsoll_config_last_reload_successful", &[]), 1.0);

    let bad = good.replace("40/s", "fast") + "colour = \"red\"\n";
    world.write("plimsoll.toml", &bad);
    hang_up(&daemon.process);
    until("the refusal", || reloads(&daemon, "failure") == 1.0);
    let answer = daemon.post("/-/reload");
    assert_eq!(answer.status, 500);
    for problem in ["streams.s.rate", "colour"] {
        assert!(answer.body.contains(problem), "{}", answer.body);
    }
    let said = daemon.line("configuration not reloaded").expect("a line");
    assert_eq!(said["level"], "ERROR");
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_config_last_reload_successful", &[]), 0.0);
    assert_eq!(scrape.sum("plimsoll_stream_configured_rate", &[]), 40.0);
    assert!(daemon.get("/config").body.contains("40/s"));
    assert_eq!(daemon.get("/readyz").status, 200);
    let sent = api.count();
    until("the old configuration's traffic", || api.count() > sent + 20);

    world.write("plimsoll.toml", &good.replace("40/s", "60/s"));
    assert_eq!(daemon.post("/-/reload").status, 200);
    let scrape = daemon.scrape();
    assert_eq!(scrape.sum("plimsoll_config_last_reload_successful", &[]), 1.0);
    assert_eq!(scrape.sum(RELOADED, &[("result", "failure")]), 2.0);
    until("the new rate", || daemon.sum("plimsoll_stream_configured_rate", &[]) == 60.0);
    runs_on(&of_stream(&api, "s"));
}

#[test]
fn streams_come_and_go() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let daemon = world.daemon(&telling(&api, &stream("old", "40/s")), LIFECYCLE);
    until("the old stream", || of_stream(&api, "old").len() > 3);
    world.write("plimsoll.toml", &telling(&api, &stream("new", "40/s")));
    assert_eq!(daemon.post("/-/reload").status, 200);
    until("the new stream", || of_stream(&api, "new").len() > 10);
    until("the end of the old one", || !daemon.scrape().0.contains("stream=\"old\""));
    let gone = of_stream(&api, "old").len();
    let sent = of_stream(&api, "new").len();
    until("more of the new stream", || of_stream(&api, "new").len() > sent + 10);
    assert_eq!(of_stream(&api, "old").len(), gone);
}

#[test]
fn changing_requests_are_refused_unless_they_were_enabled() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let daemon = world.daemon(&telling(&api, &stream("s", "20/s")), &[]);
    for path in ["/-/reload", "/-/quit", "/-/gates/open?gate=x"] {
        let answer = daemon.post(path);
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.body.contains("--web.enable-lifecycle"), "{}", answer.body);
    }
    assert_eq!(reloads(&daemon, "success"), 1.0, "the start alone");
    assert_eq!(daemon.get("/readyz").status, 200);
}
