//! The files in `config/`: they load, they agree with the code, and no change to them panics.

mod config_support;

use std::path::{Path, PathBuf};

use config_support::load_toml;
use plimsoll::check::check;
use plimsoll::cli::CheckArgs;
use plimsoll::config::{ConfigFile, schema_of};
use serde_json::Value;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).expect(name)
}

/// Runs `plimsoll check` and answers with exit code, output and errors.
fn run_check(args: &CheckArgs) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check(args, &[], &mut out, &mut err).expect("memory can be written to");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (code, text(out), text(err))
}

#[test]
fn shipped_files_pass_the_check_without_a_warning() {
    for (name, summary) in [
        ("plimsoll.toml", "1 stream, 1 target, 1 credential; at most 20/s in all"),
        ("genesys.toml", "2 streams, 2 targets, 1 credential; at most 2.5/s in all"),
    ] {
        let args = CheckArgs { files: vec![shipped(name)], ..CheckArgs::default() };
        let (code, out, err) = run_check(&args);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        assert!(out.contains(&format!("{name}: ok: {summary}\n")), "{out}");
        assert!(text(name).starts_with("#:schema ./plimsoll.schema.json\n"));
    }
}

#[test]
fn the_check_says_what_decides_how_fast_each_stream_sends() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("two.toml");
    let config = "[policy]\nmode = \"adaptive\"\n[targets.t]\nbase_url = \"https://api\"\npath = \"/m\"\nbody = \"{}\"\n\
                  scope = [\"tenant\"]\n[streams.a]\ntarget = \"t\"\nrate = \"30/s\"\nweight = 3.0\n\
                  [streams.b]\ntarget = \"t\"\nrate = \"5/s\"\nmode = \"fixed\"\n";
    std::fs::write(&file, config).expect("is written");
    let (code, out, err) = run_check(&CheckArgs { files: vec![file], ..CheckArgs::default() });
    assert_eq!(code, 0, "{err}");
    for line in [
        "  stream a: adaptive, ceiling 30/s, weight 3; scope tenant at api",
        "  stream b: fixed, 5/s; scope tenant at api",
        "  adaptive: 0.5 % below the limit; looks above it every 5m at most, for 3 % of the time and 5000 throttles an \
         hour at most",
    ] {
        assert!(out.lines().any(|said| said == line), "{line}\n{out}");
    }
}

#[test]
fn shipped_simulators_pass_the_check() {
    for name in ["simulator.toml", "simulator-genesys.toml"] {
        let args =
            CheckArgs { files: vec![shipped(name)], simulator: true, ..CheckArgs::default() };
        let (code, out, err) = run_check(&args);
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        assert!(out.contains(": ok: a simulation on 127.0.0.1:"), "{out}");
    }
    let args = CheckArgs {
        files: vec![shipped("plimsoll.toml")],
        simulator: true,
        ..CheckArgs::default()
    };
    assert_eq!(run_check(&args).0, 2);
}

#[test]
fn a_refused_file_is_a_usage_error_and_the_others_are_checked_all_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let bad = directory.path().join("bad.yaml");
    std::fs::write(&bad, "web: {listen_address: 1}\nstreams: {a: {rate: 1/s}}\n").expect("written");
    let args = CheckArgs { files: vec![bad, shipped("plimsoll.toml")], ..CheckArgs::default() };
    let (code, out, err) = run_check(&args);
    assert_eq!(code, 2);
    assert!(out.contains("plimsoll.toml: ok"), "{out}");
    assert!(err.contains("bad.yaml: 2 problems\n  streams.a.target: missing"), "{err}");
}

#[test]
fn the_published_schema_is_the_one_that_validates() {
    let args = CheckArgs { print_schema: true, ..CheckArgs::default() };
    let (code, printed, _) = run_check(&args);
    assert_eq!(code, 0);
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert!(
        parse(&text("plimsoll.schema.json")) == parse(&printed),
        "write it again: plimsoll check --print-schema > config/plimsoll.schema.json"
    );
}

/// A line of the reference file that sets a key, or would without its comment sign.
struct Entry {
    section: String,
    key: String,
    value: String,
    commented: bool,
}

fn entries(text: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.split('.').next().unwrap_or_default().to_owned();
            continue;
        }
        let commented = line.starts_with("# ");
        let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") else { continue };
        if !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            let (section, key, value) = (section.clone(), key.to_owned(), value.to_owned());
            found.push(Entry { section, key, value, commented });
        }
    }
    found
}

/// The keys of a section with their schemas; of a section of named tables, those of a table.
fn keys(schema: &Value, section: &str) -> serde_json::Map<String, Value> {
    let deref = |node: &Value| -> Value {
        let pointer = node["$ref"].as_str().map(|r| r.trim_start_matches('#').to_owned());
        pointer.map_or_else(|| node.clone(), |p| schema.pointer(&p).expect("resolves").clone())
    };
    let mut node = schema.clone();
    if !section.is_empty() {
        node = deref(&schema["properties"][section]);
        if node["additionalProperties"].is_object() {
            node = deref(&node["additionalProperties"]);
        }
    }
    node["properties"].as_object().expect("a table").clone()
}

#[test]
fn the_reference_file_shows_every_key_and_its_default() {
    let schema = schema_of::<ConfigFile>();
    let entries = entries(&text("plimsoll.toml"));
    let sections = keys(&schema, "");
    let names = [""].into_iter().chain(sections.keys().map(String::as_str));
    for section in names {
        if section == "allow_inline_secrets" {
            continue;
        }
        for (key, node) in keys(&schema, section) {
            if section.is_empty() && key != "allow_inline_secrets" {
                continue;
            }
            let entry = entries.iter().find(|e| e.section == section && e.key == key);
            let entry = entry.unwrap_or_else(|| panic!("{section}.{key} is not in the reference"));
            let table = node["default"].as_object().is_some();
            let default = node.get("default").filter(|_| !table);
            if let Some(default) = default {
                assert!(!entry.commented, "{section}.{key} has a default to show");
                let shown: Value = serde_json::from_str(&entry.value).expect(&entry.value);
                assert!(same(&shown, default), "{section}.{key}: {shown}, built in: {default}");
            }
        }
    }
}

/// Equal, or two ways to write one duration.
fn same(a: &Value, b: &Value) -> bool {
    let duration = |v: &Value| v.as_str()?.parse::<plimsoll::model::HumanDuration>().ok();
    a == b || (duration(a).is_some() && duration(a) == duration(b))
}

#[test]
fn every_commented_example_is_accepted_too() {
    let reference = text("plimsoll.toml");
    // Keys that exclude what stands in the file, and what to leave out for them.
    let excluded = |entry: &Entry| match (entry.section.as_str(), entry.key.as_str()) {
        ("targets", "preset" | "genesys_domain" | "success_body_equals") => true,
        // With proxy_url, or together.
        ("connections", key) => {
            key.contains("proxy_") || matches!(key, "no_proxy" | "cert_file" | "key_file")
        }
        ("credentials", key) => !matches!(key, "user" | "client"),
        _ => false,
    };
    let mut tried = 0;
    for entry in entries(&reference).iter().filter(|e| e.commented && !excluded(e)) {
        let line = format!("{} = {}", entry.key, entry.value);
        let text = reference.replacen(&format!("# {line}"), &line, 1);
        load_toml(&text).map(|_| ()).unwrap_or_else(|e| panic!("{line}: {e}"));
        tried += 1;
    }
    assert!(tried > 20, "{tried}");
}

#[test]
fn any_change_to_one_key_is_accepted_or_refused_by_name() {
    let reference = text("plimsoll.toml");
    let odd = [
        "\"\"",
        "\"x\"",
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "nan",
        "-inf",
        "true",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "\"0s\"",
        "\"0/s\"",
        "\"584554049253y\"",
        "\"99999999999999999999s\"",
        "\"10000000/s\"",
        "\"\\u0000\"",
        "\"{{\"",
        "\"{{param.x}}\"",
        "[1, \"tenant\", {}]",
        "\"http://[::1]:0\"",
        "\"\u{1F6A2}\"",
    ];
    let lines: Vec<&str> = reference.lines().collect();
    let mut refused = 0;
    for (index, line) in lines.iter().enumerate() {
        let bare = line.trim_start_matches("# ");
        let Some((key, _)) = bare.split_once(" = ") else { continue };
        if key.contains(' ') {
            continue;
        }
        let changed = odd.iter().map(|value| format!("{key} = {value}"));
        let dropped = [String::new(), format!("{key}x = 1")];
        for change in changed.chain(dropped) {
            let mut lines = lines.clone();
            lines[index] = &change;
            let Err(problems) = load_toml(&lines.join("\n")) else { continue };
            refused += 1;
            for problem in problems.as_slice() {
                let named = problem.path.contains('.') || problem.path.contains(key);
                assert!(named && !problem.message.is_empty(), "{change}: {problem}");
            }
        }
    }
    assert!(refused > 1000, "only {refused} of the changes were refused");
}

#[test]
fn a_key_or_table_that_is_there_twice_is_refused_with_its_line() {
    let reference = text("plimsoll.toml");
    let lines: Vec<&str> = reference.lines().collect();
    let mut tried = 0;
    for (index, line) in lines.iter().enumerate() {
        let is_key = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        if line.starts_with('#') || !(is_key || line.starts_with('[')) {
            continue;
        }
        let mut lines = lines.clone();
        lines.insert(index + 1, line);
        let problems = load_toml(&lines.join("\n")).map(|_| ()).expect_err(line);
        let [problem] = problems.as_slice() else { panic!("{line}: {problems}") };
        let said = problem.to_string();
        assert!(said.starts_with("test.toml"), "{said}");
        assert!(said.contains(&format!("line {}", index + 2)), "{line}: {said}");
        tried += 1;
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn yaml_with_a_key_that_is_there_twice_is_refused_by_its_name() {
    let text = "safety:\n  messages_per_hour: 5\ntargets:\n  t:\n    base_url: http://127.0.0.1:1\n    \
                path: /x\nstreams:\n  s:\n    target: t\n    rate: 1/s\n";
    assert!(config_support::load_yaml(text).is_ok());
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        // After everything that is below it.
        let ends = |line: &&str| line.len() - line.trim_start().len() <= indent;
        let below = lines[index + 1..].iter().position(ends).unwrap_or(lines.len() - index - 1);
        let mut lines = lines.clone();
        lines.insert(index + 1 + below, line);
        let problems = config_support::load_yaml(&lines.join("\n")).map(|_| ()).expect_err(line);
        let said = problems.to_string();
        let key = line.trim().split(':').next().expect("a key");
        let named = format!("test.yaml: String(\"{key}\"): duplicated key");
        assert!(said.starts_with(&named) && said.contains(" line "), "{line}: {said}");
    }
}
