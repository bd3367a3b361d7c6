//! End to end: a limit falls from 100/s to 60/s while 80/s are sent. Somebody is woken, and by nothing else; the
//! dashboards and the page tell it. The same daemon under a limit that stays wakes nobody.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::look;
use crate::support::alertmanager::Told;
use crate::support::process::wait_for;
use crate::world::{Times, World};
use crate::{preview, queries};

/// The `for` of the alert in the rule.
const HOLDS_S: f64 = 60.0;

#[expect(clippy::disallowed_methods, reason = "a person asks for the long run of docs/WATCHING.md")]
fn times() -> Times {
    if std::env::var_os("PLIMSOLL_AS_SHIPPED").is_some() {
        return Times { fall_s: 120, return_s: 360, hurried: false };
    }
    Times { fall_s: 48, return_s: 132, hurried: true }
}

fn is(told: &Told, status: &str) -> bool {
    told.alert["labels"]["alertname"] == "PlimsollLimitFell" && told.alert["status"] == status
}

fn wait_told(world: &World, status: &str, within: Duration) -> Told {
    let told = wait_for(within, || world.webhook.told().into_iter().find(|t| is(t, status)));
    told.unwrap_or_else(|| {
        let alerts = world.prometheus.query("ALERTS");
        panic!("nobody is told {status} within {within:?}: {alerts:?}, {:?}", world.webhook.told())
    })
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_limit_that_falls_wakes_somebody_and_one_that_stays_wakes_nobody() {
    let times = times();
    let (fall_s, return_s) = (f64::from(times.fall_s), f64::from(times.return_s));
    let world = World::start(times);
    world.wait_until(fall_s - 20.0);
    steady_page(&world);

    let patience = if times.hurried { 60 } else { 420 };
    let fired = wait_told(&world, "firing", Duration::from_secs(patience + HOLDS_S as u64));
    let paged_s = fired.at_s - world.falling.started_s - fall_s;
    leads_somewhere(&fired);
    println!("told {paged_s:.1} s after the fall");
    fallen_page(&world);
    if times.hurried {
        // Over windows that a scrape a second fills.
        queries::all_return_data(&world.prometheus);
        preview::draw(&world.prometheus, &world.falling.address());
    }

    let patience = Duration::from_secs(if times.hurried { 120 } else { 1200 });
    let resolved = wait_told(&world, "resolved", patience);
    let resolved_s = resolved.at_s - world.falling.started_s - return_s;
    assert!(resolved_s > 0.0, "resolved {resolved_s} s after the return");
    println!("resolved {resolved_s:.1} s after the return");
    if times.hurried {
        assert!((HOLDS_S..HOLDS_S + 15.0).contains(&paged_s), "told after {paged_s} s");
    }
    nobody_is_woken_by_the_other(&world);
}

/// What reaches the webhook says what, where, and what to do.
fn leads_somewhere(told: &Told) {
    assert_eq!(told.receiver, "page");
    let Told { alert, .. } = told;
    let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(label("severity"), "critical");
    assert_eq!((label("job"), label("namespace")), ("plimsoll".to_owned(), "falling".to_owned()));
    assert!(label("gate").ends_with("tenant=acme"), "{alert}");
    let note = |name: &str| alert["annotations"][name].as_str().unwrap_or_default().to_owned();
    assert!(note("runbook_url").ends_with("/PlimsollLimitFell.md"), "{alert}");
    assert!(note("dashboard_url").contains("/d/plimsoll-throttling"), "{alert}");
    assert!(note("description").contains("requests/s"), "{alert}");
}

fn nobody_is_woken_by_the_other(world: &World) {
    let sent = world.steady.metric("plimsoll_slots_sent_total").unwrap_or_default();
    assert!(sent > 4000.0, "it sent as long: {sent}");
    // In no evaluation so far. (A goodput over five minutes waits at a start, until there are five minutes.)
    let fired = "count_over_time(ALERTS{namespace=\"steady\",alertstate=\"firing\"}[1h])";
    let alerts = world.prometheus.query(fired);
    assert!(alerts.is_empty(), "{alerts:?}");
    let told = world.webhook.told();
    assert!(told.iter().all(|t| t.alert["labels"]["namespace"] == "falling"), "{told:?}");
    // One cause wakes once: what hangs on it is no page of its own.
    let pages = told.iter().filter(|t| t.receiver == "page" && t.alert["status"] == "firing");
    assert!(pages.clone().all(|t| is(t, "firing")), "{:?}", pages.collect::<Vec<_>>());
}

fn pictures(name: &str) -> Value {
    let picture =
        |kind: &str| json!({"do": "picture", "path": picture(&format!("page-{name}-{kind}"))});
    json!([
        {"do": "look"},
        {"do": "open"},
        {"do": "wait", "for": "document.querySelectorAll('canvas').length > 0 && Number(document.documentElement.dataset.at) > 0"},
        {"do": "wait", "for": "performance.now() > 12000", "ms": 15000},
        {"do": "wait", "for": "document.getElementById('gate-state').textContent === 'open'"},
        {"do": "facts"},
        picture("light"),
        {"do": "look", "scheme": "dark"},
        {"do": "wait", "for": "new Promise((done) => setTimeout(() => done(true), 1500))"},
        picture("dark"),
        {"do": "look", "width": 390, "height": 844},
        {"do": "wait", "for": "new Promise((done) => setTimeout(() => done(true), 1500))"},
        {"do": "facts"},
        picture("narrow"),
    ])
}

/// Where a picture goes.
pub(crate) fn picture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/watched");
    std::fs::create_dir_all(folder).expect("the target folder can be written");
    format!("{folder}/{name}.png")
}

fn steady_page(world: &World) {
    let seen = look(&world.falling.url("/"), &pictures("steady"));
    let facts = &seen["facts"][0];
    let headline = facts["headline"].as_str().unwrap_or_default();
    assert!(headline.starts_with("The limit is about"), "{facts}");
    assert_eq!(facts["outputs"]["gate-state"], "open");
    // A busy machine bunches requests up, and one of thousands may then be refused.
    let refused = facts["outputs"]["refused"].as_str().unwrap_or_default();
    assert!(["0.0 %", "< 0.1 %", "0.1 %"].contains(&refused), "{facts}");
}

/// Opened after it happened, and yet it tells.
fn fallen_page(world: &World) {
    let seen = look(&world.falling.url("/"), &pictures("fallen"));
    let facts = &seen["facts"][0];
    let limit: f64 =
        facts["outputs"]["limit"].as_str().and_then(|t| t.parse().ok()).expect("a limit");
    let estimate = |of: &str| {
        let query = format!("{of}_over_time(plimsoll_estimate_rate{{namespace=\"falling\"}}[40s])");
        world.prometheus.value(&query).expect("an estimate")
    };
    let known = estimate("min") - 0.1..=estimate("max") + 0.1;
    assert!(known.contains(&limit), "{limit} on the page, {known:?} in /metrics");
    assert!((45.0..65.0).contains(&limit), "{limit}");
    let events: Vec<&str> =
        facts["events"].as_array().expect("events").iter().filter_map(Value::as_str).collect();
    for wanted in
        ["Refused (steady): the API asks for", "Traffic resumes after", "the limit has fallen"]
    {
        assert!(events.iter().any(|event| event.contains(wanted)), "{wanted}: {events:?}");
    }
}
