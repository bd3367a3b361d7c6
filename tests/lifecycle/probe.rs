//! `plimsoll probe` against the simulated API: what it may cost is said first, and kept.

use std::time::Duration;

use serde_json::Value;

use crate::world::{World, plimsoll, sending_to, stream};

const WINDOW: &str = "[[operations]]\nshape = \"generic\"\npath = \"/messages\"\n\
    [[limits]]\nname = \"cap\"\nkind = \"fixed_window\"\nlimit = 40\nwindow = \"2s\"\n";

#[test]
fn a_dry_run_says_the_budget_and_sends_nothing() {
    let world = World::new();
    let api = world.api(WINDOW);
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "100/s")));
    let (code, said) = world.run(&["probe", "--config.file", "p.toml", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("It may send 6000 requests, provoke 100 refusals, take 15m"), "{said}");
    assert_eq!(api.all("received"), 0);
}

#[test]
fn a_probe_keeps_its_budget_and_reports() {
    let world = World::new();
    let api = world.api(WINDOW);
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "100/s")));
    let args = ["probe", "--config.file", "p.toml", "--max-time", "20s", "--max-requests", "200"];
    let mut command = plimsoll(&args);
    let mut process =
        world.spawn(command.args(["--report.json", "r.json", "--report.html", "r.html"]));
    let status = process.wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let read = |name| std::fs::read_to_string(world.path().join(name)).expect("was written");
    let report: Value = serde_json::from_str(&read("r.json")).expect("is JSON");
    let sent = report["experiment"]["spent"]["requests"].as_u64();
    assert_eq!(sent, Some(api.all("received")), "every request is in the report");
    assert!(sent.is_some_and(|n| n > 40 && n <= 200), "{sent:?}");
    assert!(read("r.html").contains("</html>"));
}
