//! `plimsoll probe` against the simulated API: what it may cost is said first, and kept.

use std::time::Duration;

use serde_json::Value;

use crate::world::{World, plimsoll, sending_to, stream, until};

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

/// Two clients of one organisation, as OAuth knows them, behind a limit that has a name at Genesys.
const GENESYS: &str = "require_token = true\nquota_headers = [\"inin\"]\nerror_body = \"genesys\"\n\
    [[clients]]\nid = \"one\"\nsecret = \"one-secret\"\ntenant = \"acme\"\n\
    [[clients]]\nid = \"two\"\nsecret = \"two-secret\"\ntenant = \"acme\"\n\
    [[operations]]\nshape = \"genesys_agentless\"\npath = \"/messages\"\n\
    [[limits]]\nname = \"cap\"\nkey = \"org.user.rate.per.minute\"\nkind = \"fixed_window\"\n\
    limit = 40\nwindow = \"2s\"\nscope = [\"tenant\"]\n";

/// Streams `one` and `two` of the clients of [`GENESYS`].
fn genesys(url: &str) -> String {
    let mut config = format!(
        "allow_inline_secrets = true\n[web]\nlisten_address = \"127.0.0.1:0\"\n[schedule]\nramp = \"0s\"\n\
         [targets.t]\nbase_url = \"{url}\"\npath = \"/messages\"\ndialect = \"genesys\"\n\
         body = '{{\"fromAddress\":\"a\",\"toAddress\":\"b\",\"toAddressMessengerType\":\"sms\",\"textBody\":\"c\"}}'\n"
    );
    for name in ["one", "two"] {
        config += &format!(
            "[credentials.{name}]\ntype = \"oauth_client_credentials\"\nclient_id = \"{name}\"\n\
             client_secret = \"{name}-secret\"\ntoken_url = \"{url}/oauth/token\"\ntenant = \"acme\"\n\
             [streams.{name}]\ntarget = \"t\"\ncredential = \"{name}\"\nrate = \"100/s\"\n"
        );
    }
    config
}

fn report(world: &World, name: &str) -> Value {
    let text = std::fs::read_to_string(world.path().join(name)).expect("was written");
    serde_json::from_str(&text).expect("is JSON")
}

#[test]
fn a_signal_ends_a_probe_with_a_report_of_all_that_was_sent() {
    let world = World::new();
    let api = world.api(WINDOW);
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "100/s")));
    let args = ["probe", "--config.file", "p.toml", "--report.json", "r.json"];
    let mut process = world.spawn(&mut plimsoll(&args));
    until("a refusal", || api.all("refused") > 0);
    process.signal("INT");
    let status = process.wait(Duration::from_secs(15));
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let report = report(&world, "r.json");
    let experiment = &report["experiment"];
    assert_eq!(experiment["how"], "interrupted");
    assert_eq!(experiment["spent"]["requests"].as_u64(), Some(api.all("received")));
    assert_eq!(report["conclusion"]["material"]["unknown"], 0, "what was on its way came home");
    assert!(process.log().contains("it was interrupted"), "{}", process.log());
}

#[test]
fn a_probe_ends_when_its_time_is_over_whatever_it_waits_for() {
    let world = World::new();
    let api = world.api(&(WINDOW.to_owned() + "lockout_kind = \"fixed\"\nlockout = \"60s\"\n"));
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "100/s")));
    let args = ["probe", "--config.file", "p.toml", "--max-time", "12s", "--report.json", "r.json"];
    let mut process = world.spawn(&mut plimsoll(&args));
    let status = process.wait(Duration::from_secs(40));
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let experiment = &report(&world, "r.json")["experiment"];
    assert_eq!(experiment["how"], "time");
    let took = experiment["spent"]["seconds"].as_f64();
    assert!(took.is_some_and(|s| (12.0..13.0).contains(&s)), "{experiment}");
    assert_eq!(api.all("refused"), 1, "nobody asked inside the minute of silence");
}

#[test]
fn a_probe_logs_in_and_names_the_limit_in_the_vendors_words() {
    let world = World::new();
    let api = world.api(GENESYS);
    world.write("p.toml", &genesys(&api.url));
    world.write("limits.json", r#"{"entities":[{"key":"org.user.rate.per.minute","namespace":"platform.api","value":3000}]}"#);
    let mut args = vec!["probe", "--config.file", "p.toml", "--stream", "one"];
    args.extend(["--max-time", "20s", "--report.json", "r.json", "--declared", "limits.json"]);
    args.extend(["--record", "r.ndjson"]);
    let mut process = world.spawn(&mut plimsoll(&args));
    let status = process.wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0), "{}", process.log());
    assert_eq!((api.login("granted"), api.all("unauthorized")), (2, 0), "one token each");
    let report = report(&world, "r.json");
    assert_eq!(report["experiment"]["spent"]["requests"].as_u64(), Some(api.all("received")));
    assert_eq!(report["subject"]["vendor"], "genesys");
    assert_eq!(report["asks"][0]["named"]["key"], "org.user.rate.per.minute");
    let declared = report["conclusion"]["declared"].as_array().expect("a list").iter();
    let sources: Vec<_> = declared.map(|one| one["source"].as_str().expect("text")).collect();
    assert_eq!(sources, ["quota hints", "named limit", "declared-limits API"]);
    let record = std::fs::read_to_string(world.path().join("r.ndjson")).expect("was written");
    assert_eq!(record.lines().count() as u64, api.all("received"));
    assert!(!record.contains("-secret") && !process.log().contains("-secret"));
    // The same answer once more, from what was recorded.
    let (code, again) = world.run(&["infer", "r.ndjson", "--declared", "limits.json"]);
    assert_eq!(code, Some(0), "{again}");
    assert!(again.contains("declared-limits API: org.user.rate.per.minute of 3000"), "{again}");
}

#[test]
fn what_is_declared_must_be_readable() {
    let world = World::new();
    world.write("p.toml", &(sending_to("http://127.0.0.1:9") + &stream("a", "100/s")));
    world.write("none.json", "{}");
    let args = ["probe", "--config.file", "p.toml", "--declared", "none.json", "--record", "no/r"];
    let (code, said) = world.run(&args);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--declared none.json: holds no limit"), "{said}");
    assert!(said.contains("--record: there is no directory no"), "{said}");
}

/// A run at a terminal, where `answer` is typed.
fn typed(world: &World, answer: &str, more: &str) -> (Option<i32>, String) {
    let binary = env!("CARGO_BIN_EXE_plimsoll");
    let line = format!("{binary} probe --config.file p.toml --max-time 3s {more}");
    let script = format!("echo {answer} | script -qec '{line}' /dev/null");
    let mut command = std::process::Command::new("bash");
    let mut process = world.spawn(command.args(["-o", "pipefail", "-c", &script]));
    let status = process.wait(Duration::from_secs(30));
    (status.code(), process.log())
}

#[test]
fn a_person_at_a_terminal_is_asked() {
    let world = World::new();
    let api = world.api(WINDOW);
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "100/s")));
    let (code, said) = typed(&world, "n", "");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Send? [y/N]") && said.contains("nothing was sent"), "{said}");
    assert_eq!(api.all("received"), 0);
    let (code, said) = typed(&world, "y", "");
    assert_eq!((code, api.all("received") > 0), (Some(0), true), "{said}");
    let (code, said) = typed(&world, "n", "--yes");
    assert!(code == Some(0) && !said.contains("Send?"), "{said}");
}

/// Two credentials with one limit each, or one for both, that ask for a long pause.
fn peeked(world: &World, scope: &str) -> (Value, u64) {
    let mut config = String::from("require_token = true\nretry_after = \"5s\"\n");
    for name in ["one", "two"] {
        config +=
            &format!("[[tokens]]\nvalue = \"{name}\"\nclient = \"{name}\"\ntenant = \"acme\"\n");
    }
    config += WINDOW;
    let api = world.api(
        &(config + &format!("lockout_kind = \"fixed\"\nlockout = \"5s\"\nscope = [\"{scope}\"]\n")),
    );
    let mut config = String::from("allow_inline_secrets = true\n") + &sending_to(&api.url);
    for name in ["one", "two"] {
        config += &format!(
            "[credentials.{name}]\ntype = \"bearer\"\ntoken = \"{name}\"\nclient = \"{name}\"\ntenant = \"acme\"\n\
             [streams.{name}]\ntarget = \"t\"\ncredential = \"{name}\"\nrate = \"100/s\"\n"
        );
    }
    world.write("p.toml", &config);
    let args =
        ["probe", "--config.file", "p.toml", "--stream", "one", "--max-time", "18s", "--peek"];
    let mut command = plimsoll(&args);
    let mut process = world.spawn(command.args(["--report.json", "r.json"]));
    let status = process.wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(0), "{}", process.log());
    let said = process.log();
    assert!(said.contains("of them inside another credential's pause"), "{said}");
    (report(world, "r.json"), api.all("received"))
}

#[test]
fn a_peek_tells_who_shares_a_pause_and_is_counted() {
    for (scope, shared) in [("tenant", true), ("client", false)] {
        let world = World::new();
        let (report, received) = peeked(&world, scope);
        let spent = &report["experiment"]["spent"];
        assert!(spent["peeks"].as_u64().is_some_and(|n| (1..=2).contains(&n)), "{spent}");
        assert_eq!(spent["requests"].as_u64(), Some(received), "peeks included");
        let pair = &report["conclusion"]["pairs"][0]["shared"];
        assert_eq!(pair["value"], shared, "{scope}: {pair}");
    }
}

/// A bucket of 21 with 50/s, and a probe of it; the report, and everything said.
fn bucket(world: &World, name: &str, more: &[&str]) -> (Option<i32>, String) {
    let bucket = "[[operations]]\nshape = \"generic\"\npath = \"/messages\"\n[[limits]]\nname = \"cap\"\n\
        kind = \"token_bucket\"\nrate = \"50/s\"\nburst = 21\n";
    let api = world.api(&("quota_headers = []\n".to_owned() + bucket));
    world.write("p.toml", &(sending_to(&api.url) + &stream("a", "200/s")));
    let args = ["probe", "--config.file", "p.toml", "--max-time", "40s", "--report.json", name];
    let mut command = plimsoll(&args);
    let mut process = world.spawn(command.args(more));
    let status = process.wait(Duration::from_secs(90));
    (status.code(), process.log())
}

#[test]
fn a_limit_that_moved_since_the_baseline_is_told_by_the_exit_code() {
    let world = World::new();
    let (code, said) = bucket(&world, "first.json", &[]);
    assert_eq!(code, Some(0), "{said}");
    let first = report(&world, "first.json");
    let limit = &first["conclusion"]["limits"][0];
    assert_eq!(
        (&limit["rate"]["status"], &limit["kind"]["value"]),
        (&"known".into(), &"token_bucket".into()),
        "{said}"
    );
    // What an earlier probe would have reported of a limit of twice the rate.
    let mut before = first.clone();
    for figure in ["value", "low", "high"] {
        let rate = &mut before["conclusion"]["limits"][0]["rate"]["value"][figure];
        *rate = (rate.as_f64().expect("a number") * 2.0).into();
    }
    // Side by side: each takes half a minute.
    let (moved, same) = std::thread::scope(|threads| {
        let against = |baseline: Value| {
            threads.spawn(move || {
                let world = World::new();
                world.write("before.json", &baseline.to_string());
                let told = bucket(&world, "now.json", &["--baseline", "before.json"]);
                (told, report(&world, "now.json"))
            })
        };
        let probing = (against(before), against(first));
        (probing.0.join().expect("a report"), probing.1.join().expect("a report"))
    });
    let ((code, said), now) = moved;
    assert_eq!(code, Some(99), "{said}");
    assert!(said.contains("CHANGED since"), "{said}");
    assert!(now["changes"].to_string().contains("rate"), "{now}");
    let ((code, said), _) = same;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Nothing has changed since"), "{said}");
    let (code, said) = world.run(&["probe", "--config.file", "p.toml", "--baseline", "p.toml"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--baseline p.toml"), "{said}");
}
