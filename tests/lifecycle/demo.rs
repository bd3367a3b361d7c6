//! The demo: no set-up, a story, a summary.

use std::process::Command;
use std::time::Duration;

use crate::support::http;
use crate::support::process::wait_for;
use crate::world::{SOON, World, plimsoll, until};

/// What separates the parts of a line that is not drawn over.
const PLAIN: &str = " | ";

#[test]
fn it_meets_the_limit_and_says_so() {
    let world = World::new();
    // So far above the limit that it is met within the first second, while the rate still rises.
    let (code, out) = world.run(&["demo", "--for", "3s", "--rate", "500/s", "--limit", "20/s"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("nothing leaves this machine"), "{out}");
    let summary = out.lines().find(|line| line.starts_with("In 3 s the API accepted"));
    let summary = summary.unwrap_or_else(|| panic!("no summary in {out}"));
    assert!(summary.contains("refused") && summary.contains("with 429"), "{summary}");
    assert!(summary.contains("met the limit of 20/s once"), "{summary}");
    assert!(out.lines().any(|line| line.contains(PLAIN) && line.contains("429 share")), "{out}");
    assert!(!out.contains('\x1b'), "no terminal, no control sequences: {out:?}");
}

#[test]
fn below_the_limit_it_says_that_too() {
    let world = World::new();
    let (code, out) = world.run(&["demo", "--for", "2s", "--rate", "20/s", "--limit", "50/s"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("and refused none: 20/s stays below its limit of 50/s"), "{out}");
}

#[test]
fn too_short_a_run_claims_nothing() {
    let world = World::new();
    let (code, out) = world.run(&["demo", "--for", "1s"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("and refused none: it ended before"), "{out}");
    assert!(!out.contains("stays below"), "120/s is above the limit of 100/s: {out}");
}

#[test]
fn it_ends_with_a_summary_on_an_interrupt_and_serves_its_numbers_until_then() {
    let world = World::new();
    let mut demo = world.spawn(&mut plimsoll(&["demo", "--rate", "20/s"]));
    let url = wait_for(SOON, || {
        let log = demo.log();
        let (_, rest) = log.split_once("Look at ")?;
        rest.split_once("/metrics").map(|(url, _)| url.to_owned())
    });
    let url = url.expect("it says where to look");
    until("traffic", || {
        let scrape = http::get(&format!("{url}/metrics")).expect("it answers");
        scrape.body.contains("outcome=\"accepted\"")
    });
    demo.signal("INT");
    assert_eq!(demo.wait(Duration::from_secs(10)).code(), Some(0));
    assert!(demo.log().contains("the API accepted"), "{}", demo.log());
}

#[test]
fn on_a_terminal_it_moves() {
    let world = World::new();
    let demo = format!("{} demo --for 4s --rate 20/s", env!("CARGO_BIN_EXE_plimsoll"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &demo, "/dev/null"]);
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("skipped: no `script` here, which gives a terminal");
        return;
    }
    let mut process = world.spawn(&mut script);
    assert_eq!(process.wait(SOON).code(), Some(0), "{}", process.log());
    let out = process.log();
    assert!(out.contains("\x1b[2K"), "lines are drawn over: {out:?}");
    assert!(out.contains("the API accepted"), "{out}");
}
