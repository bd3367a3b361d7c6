//! The attempt log of a daemon, read again by `plimsoll infer`; and what `infer` says of files that it cannot use.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::full;
use crate::scripted::{Reply, Scripted};
use crate::world::{Daemon, World, sending_to, stream, until};

const LOG: &str = "[attempt_log]\npath = \"attempts.ndjson\"\n";
const TOKEN: &str = "canary-token";

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("readable");
    text.lines().map(|line| serde_json::from_str(line).expect("a whole line of JSON")).collect()
}

fn counted(daemon: &Daemon, result: &str) -> f64 {
    daemon.sum("plimsoll_attempt_log_lines_total", &[("result", result)])
}

/// Attempts, admitted, refused, unknown.
fn inferred(world: &World, args: &[&str]) -> [u64; 4] {
    let (code, out) = world.run(&[&["infer", "--format", "json"], args].concat());
    assert_eq!(code, Some(0), "{out}");
    let report: Value = serde_json::from_str(&out).expect("JSON and nothing else");
    ["attempts", "admitted", "refused", "unknown"]
        .map(|count| report["conclusion"]["material"][count].as_u64().expect("a count"))
}

#[test]
fn what_a_daemon_did_is_read_again_as_the_api_counted_it() {
    let world = World::new();
    let api = world.api(&format!(
        "require_token = true\n[[tokens]]\nvalue = \"{TOKEN}\"\ntenant = \"acme\"\n\
         [[limits]]\nname = \"l\"\nkind = \"fixed_window\"\nlimit = 40\nwindow = \"1s\"\nkey = \"l.key\"\n"
    ));
    world.write("token", TOKEN);
    let config = sending_to(&api.url)
        + LOG
        + "[credentials.main]\ntype = \"bearer\"\ntoken_file = \"token\"\ntenant = \"acme\"\n\
           user = \"bot\"\nclient = \"app\"\n"
        + &stream("a", "60/s")
        + "credential = \"main\"\n"
        + &stream("b", "30/s")
        + "credential = \"main\"\n";
    let mut daemon = world.daemon(&config, &["--count", "200", "--linger"]);
    until("the end of the run", || daemon.line("the run is over").is_some());
    until("every line", || counted(&daemon, "written") == 200.0);
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));

    let file = world.path().join("attempts.ndjson");
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(&file).expect("readable").contains("canary"), "no secret");
    let (admitted, refused) = (api.all("admitted"), api.all("refused"));
    assert!(refused > 0, "{}", api.stats());
    assert_eq!(inferred(&world, &["attempts.ndjson"]), [200, admitted, refused, 0]);
    let of_a = inferred(&world, &["attempts.ndjson", "--only", "stream=a"]);
    let of_b = inferred(&world, &["attempts.ndjson", "--only", "stream=b"]);
    assert_eq!(of_a[0] + of_b[0], 200);
    let compressed = Command::new("gzip").arg("--keep").arg(&file).status().expect("gzip runs");
    assert!(compressed.success());
    assert_eq!(inferred(&world, &["attempts.ndjson.gz"]), [200, admitted, refused, 0]);

    for line in lines(&file) {
        let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key}: {line}"));
        let times = ["due_at", "sent_at", "headers_at", "done_at"].map(text);
        assert!(times.is_sorted(), "{line}");
        assert!(line["in_flight"].as_u64().is_some_and(|n| n >= 1), "{line}");
        assert_eq!([text("tenant"), text("user"), text("client")], ["acme", "bot", "app"]);
        assert_eq!([text("credential"), text("target")], ["main", "t"]);
        assert_eq!(text("route"), "POST /messages");
        if text("outcome") == "throttled" {
            assert_eq!(line["status"], 429);
            assert!(line["advice_s"].as_f64().is_some_and(|s| s > 0.0), "{line}");
        }
    }
}

#[test]
fn a_log_that_grows_is_put_aside_and_nothing_of_it_is_lost() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config =
        sending_to(&api.url) + LOG + "max_size_mib = 1\nmax_files = 9\n" + &stream("s", "1000/s");
    let mut daemon = world.daemon(&config, &["--count", "5000"]);
    let status = daemon.process.wait(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "{}", daemon.process.log());
    let names = fs::read_dir(world.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    let mut names: Vec<_> = names.filter(|name| name.starts_with("attempts.ndjson")).collect();
    names.sort();
    assert!(names.len() >= 2, "{names:?}");
    for name in &names {
        let size = fs::metadata(world.path().join(name)).expect("is there").len();
        assert!(size <= 1 << 20, "{name}: {size}");
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(inferred(&world, &names), [5000, 5000, 0, 0]);
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + &LOG.replace("attempts.ndjson", "full/attempts.ndjson")
        + &stream("s", "50/s");
    // 64 pages, of which something else has taken all but two.
    let Some(mut daemon) = full::daemon(&world, &config, 256, 253_952) else { return };
    until("lost lines", || counted(&daemon, "failed") >= 5.0);
    assert!(daemon.line("the attempt log cannot be written").is_some());
    let sent = api.count();
    until("traffic all the same", || api.count() > sent + 20);
    let full = full::seen_by(&daemon, &world);
    fs::remove_file(full.join("other")).expect("can be removed");
    let written = counted(&daemon, "written");
    until("lines again", || counted(&daemon, "written") > written + 20.0);
    assert!(daemon.line("the attempt log can be written again").is_some());
    let before = counted(&daemon, "written");
    let whole = lines(&full.join("attempts.ndjson")).len() as f64;
    let after = counted(&daemon, "written");
    // What is written is counted a moment later.
    assert!((before..=after + 1.0).contains(&whole), "{before} {whole} {after}");
    assert_eq!(counted(&daemon, "dropped"), 0.0);
    daemon.scrape().adds_up();
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_log_that_cannot_be_begun_ends_the_start_and_a_changed_one_waits_for_the_next() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url) + &stream("s", "20/s");
    let nowhere = LOG.replace("attempts", "missing/attempts");
    world.write("plimsoll.toml", &(config.clone() + &nowhere));
    let (code, said) = world.run(&["run", "--config.file", "plimsoll.toml"]);
    assert_eq!((code, api.count()), (Some(1), 0), "{said}");
    assert!(said.contains("attempt_log.path: cannot open"), "{said}");

    let daemon = world.daemon(&config, &[]);
    world.write("plimsoll.toml", &(config + LOG));
    daemon.process.signal("HUP");
    until("the reload", || daemon.line("configuration reloaded").is_some());
    let waits = daemon.line("takes effect only at the next start").expect("is said");
    assert!(waits["key"].as_str().is_some_and(|key| key.contains("attempt_log.path")), "{waits}");
}

#[test]
fn files_that_cannot_be_used_are_all_named() {
    let world = World::new();
    world.write("words.txt", "nothing of the kind\n");
    world.write("half.jtl", "timeStamp,elapsed,label\n1,2,x\n");
    let (code, said) = world.run(&["infer", "missing.jtl", "words.txt", "half.jtl"]);
    assert_eq!(code, Some(2), "{said}");
    for problem in [
        "missing.jtl: cannot be read: No such file",
        "words.txt: is in none of the formats",
        "half.jtl:1: there is no column responseCode",
    ] {
        assert!(said.contains(problem), "{said}");
    }
    let (code, said) = world.run(&["infer", "x", "--log-format", "$status"]);
    assert!(code == Some(2) && said.contains("has no time"), "{said}");
    let (code, said) = world.run(&["infer", "x", "--party", "thread=threadName"]);
    assert!(code == Some(2) && said.contains("token, client, user"), "{said}");
}
