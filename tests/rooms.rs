//! The import table of ARCHITECTURE.md, held against the code.
//!
//! Test modules are held to it as well: a test that needs another room belongs under `tests/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files of the composition: they may import everything.
const COMPOSITION: [&str; 9] =
    ["check", "cli", "clock", "daemon", "demo", "lib", "main", "pacer", "simulate"];
/// Rooms that do no I/O and know no framework.
const PURE: [&str; 6] = ["model", "limiter", "schedule", "policy", "netem", "engine"];
/// What no pure room may name.
const IMPURE: [&str; 12] = [
    "tokio::",
    "reqwest::",
    "prometheus::",
    "opentelemetry",
    "tracing::",
    "axum::",
    "hyper::",
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "::now()",
];

struct Room {
    floor: u32,
    may_import: BTreeSet<String>,
}

fn table() -> BTreeMap<String, Room> {
    let text = fs::read_to_string("ARCHITECTURE.md").expect("ARCHITECTURE.md");
    let (_, rest) = text.split_once("<!-- rooms:begin -->").expect("a begin marker");
    let (table, _) = rest.split_once("<!-- rooms:end -->").expect("an end marker");
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let floor = cells.first()?.parse().ok()?;
        let may = cells.get(3)?.split(',').map(str::trim).filter(|c| !c.is_empty());
        let may_import = may.map(str::to_owned).collect();
        Some((cells.get(1)?.trim_matches('`').to_owned(), Room { floor, may_import }))
    };
    table.lines().filter_map(row).collect()
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The code without its comments.
fn code(text: &str) -> String {
    let uncommented = text.lines().map(|line| match line.find("//") {
        Some(at) if !line[..at].contains('"') => &line[..at],
        _ => line,
    });
    uncommented.collect::<Vec<_>>().join("\n")
}

/// Every room that a text names by `crate::room`, in groups too.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let name = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            None => {
                found.insert(name(part));
            }
            Some(group) => {
                let mut depth = 1;
                let mut item = String::new();
                for c in group.chars() {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    if (c == ',' && depth == 1) || depth == 0 {
                        found.insert(name(item.trim()));
                        item.clear();
                    } else {
                        item.push(c);
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    found.remove("");
    found
}

fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("under src");
    let first = inside.iter().next().expect("a part").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_import_is_in_the_table() {
    let table = table();
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    let mut wrong = Vec::new();
    for path in &all {
        let room = room_of(path);
        if COMPOSITION.contains(&room.as_str()) {
            continue;
        }
        let Some(rules) = table.get(&room) else {
            wrong.push(format!("{}: no room of that name in the table", path.display()));
            continue;
        };
        let text = fs::read_to_string(path).expect("readable");
        for import in imports(&text) {
            let rooms = table.contains_key(&import) || COMPOSITION.contains(&import.as_str());
            if rooms && import != room && !rules.may_import.contains(&import) {
                wrong.push(format!("{}: {room} may not import {import}", path.display()));
            }
        }
        if PURE.contains(&room.as_str()) {
            let code = code(&text);
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                wrong.push(format!("{}: a pure room names {word}", path.display()));
            }
        }
    }
    assert!(all.len() > 50, "the scan found too little to mean anything");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_points_downwards_only() {
    let table = table();
    assert!(table.len() >= 11, "{:?}", table.keys());
    for (name, room) in &table {
        for import in &room.may_import {
            let below = table.get(import).unwrap_or_else(|| panic!("{name} imports {import}"));
            assert!(below.floor < room.floor, "{name} imports {import}, which is not below it");
        }
    }
}

#[test]
fn the_scanner_sees_what_it_looks_for() {
    let seen = |text: &str| imports(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(seen("use crate::engine::Engine;"), "engine");
    assert_eq!(seen("use crate::{engine::{A, B}, model, web::x};"), "engine model web");
    assert_eq!(seen("fn f() { crate::sender::send() }"), "sender");
    assert_eq!(seen("// use crate::engine::Engine;"), "");
    assert!(code("let t = Instant::now();").contains("::now()"));
}
