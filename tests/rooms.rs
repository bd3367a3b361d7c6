//! Holds the code to the table of rooms in `ARCHITECTURE.md`: who may import whom, and who is pure.
//!
//! Test modules are checked like the code round them: no room's tests need more than the room may import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod rooms_support;

use rooms_support::{paths, tokens};

/// Crates that do I/O or look at the world: pure code does not name them.
const IMPURE_CRATES: [&str; 7] =
    ["tokio", "reqwest", "prometheus", "opentelemetry", "tracing", "axum", "hyper"];
/// The parts of the standard library that do.
const IMPURE_STD: [&str; 5] = ["net", "fs", "env", "thread", "process"];
const CLOCKS: [&str; 2] = ["Instant", "SystemTime"];

/// What the document says.
#[derive(Debug)]
struct Table {
    rooms: BTreeMap<String, Room>,
    /// Rooms, and files or directories of other rooms.
    pure: Vec<String>,
}

#[derive(Debug)]
struct Room {
    floor: u32,
    imports: Imports,
}

#[derive(Debug)]
enum Imports {
    All,
    These(BTreeSet<String>),
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Table {
    fn parse(document: &str) -> Self {
        let (_, rest) = document.split_once("<!-- rooms:begin -->").expect("the table begins");
        let (table, _) = rest.split_once("<!-- rooms:end -->").expect("the table ends");
        let mut rooms = BTreeMap::new();
        // Below the head and the line under it.
        for line in table.lines().filter(|line| line.starts_with('|')).skip(2) {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [floor, names, _, may] = cells[..] else { panic!("four columns, not: {line}") };
            let floor = floor.parse().expect("a floor is a number");
            for name in quoted(names) {
                let imports = match may {
                    "all" => Imports::All,
                    "nothing of ours" => Imports::These(BTreeSet::new()),
                    _ => {
                        let these: BTreeSet<_> = quoted(may).into_iter().collect();
                        assert!(!these.is_empty(), "who may be imported? {line}");
                        Imports::These(these)
                    }
                };
                assert!(rooms.insert(name, Room { floor, imports }).is_none(), "twice: {line}");
            }
        }
        let (_, pure) = table.split_once("\nPure").expect("says who is pure");
        Self { rooms, pure: quoted(pure) }
    }

    fn read() -> Self {
        Self::parse(&read(&root().join("ARCHITECTURE.md")))
    }

    /// What one file of the room `module[0]` does against the table.
    fn offences(&self, module: &[&str], text: &str) -> Vec<String> {
        let Some(room) = self.rooms.get(module[0]) else {
            return vec!["is in no room of the table".to_owned()];
        };
        let Imports::These(allowed) = &room.imports else { return Vec::new() };
        let named = paths(module, text);
        let foreign = named.iter().filter_map(|path| match path.first().map(String::as_str) {
            Some("std") => None,
            Some(other) if other == module[0] || allowed.contains(other) => None,
            Some(other) => Some(format!("{} may not import {other}", module[0])),
            None => Some(format!("{} may not import the whole crate", module[0])),
        });
        foreign.collect()
    }

    fn is_pure(&self, file: &Path) -> bool {
        // `sender/classify.rs` and what is in `sender/classify/`, its tests.
        self.pure.iter().any(|pure| {
            file.starts_with(pure) || file.starts_with(Path::new(pure).with_extension(""))
        })
    }
}

/// What a file names that pure code may not.
fn impurities(module: &[&str], text: &str) -> Vec<String> {
    let words = tokens(text);
    let mut found: Vec<_> = IMPURE_CRATES
        .iter()
        .filter(|name| words.iter().any(|w| w == *name || w.starts_with(&format!("{name}_"))))
        .map(|name| (*name).to_owned())
        .collect();
    for path in paths(module, text).iter().filter(|path| path.first().is_some_and(|p| p == "std")) {
        let part = path.get(1).map_or("", String::as_str);
        if matches!(part, "*" | "") || IMPURE_STD.contains(&part) {
            found.push(path.join("::"));
        }
    }
    for three in words.windows(3) {
        if CLOCKS.contains(&three[0].as_str()) && three[1..] == ["::", "now"] {
            found.push(three.concat());
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every source file, its path below `src` and its module.
fn sources() -> Vec<(PathBuf, Vec<String>, String)> {
    let src = root().join("src");
    let (mut left, mut files) = (vec![src.clone()], Vec::new());
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let below = path.strip_prefix(&src).expect("below src").to_owned();
                let parts = below.with_extension("");
                let mut module: Vec<_> =
                    parts.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                module.pop_if(|last| last == "mod");
                // The root of the library only names the rooms.
                if module != ["lib"] {
                    files.push((below, module, read(&path)));
                }
            }
        }
    }
    files
}

fn borrowed(module: &[String]) -> Vec<&str> {
    module.iter().map(String::as_str).collect()
}

#[test]
fn rooms_import_what_the_table_allows() {
    let table = Table::read();
    let mut offences = Vec::new();
    for (file, module, text) in sources() {
        for offence in table.offences(&borrowed(&module), &text) {
            offences.push(format!("{}: {offence}", file.display()));
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn the_table_lists_the_rooms_there_are() {
    let listed: BTreeSet<_> = Table::read().rooms.into_keys().collect();
    let there: BTreeSet<_> = sources().into_iter().map(|(_, mut m, _)| m.swap_remove(0)).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_table_leads_downstairs_only() {
    let table = Table::read();
    for (name, room) in &table.rooms {
        let Imports::These(imports) = &room.imports else {
            assert_eq!(room.floor, 5, "{name} is no composition and may not import everything");
            continue;
        };
        for import in imports {
            let below = table.rooms.get(import).is_some_and(|other| other.floor < room.floor);
            assert!(below, "{name} on floor {} may import {import}", room.floor);
        }
    }
}

#[test]
fn no_room_imports_itself_by_way_of_others() {
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, module, text) in sources() {
        let others = paths(&borrowed(&module), &text).into_iter().filter_map(|mut path| {
            path.truncate(1);
            path.pop().filter(|first| *first != module[0])
        });
        imports.entry(module[0].clone()).or_default().extend(others);
    }
    // Rooms that import only what has been taken away are taken away, until none or a circle is left.
    while let Some(top) = imports
        .iter()
        .find(|(_, others)| others.iter().all(|other| !imports.contains_key(other)))
        .map(|(name, _)| name.clone())
    {
        imports.remove(&top);
    }
    assert!(imports.is_empty(), "among these is a circle: {imports:#?}");
}

#[test]
fn pure_code_does_not_look_at_the_world() {
    let table = Table::read();
    let (mut checked, mut offences) = (BTreeSet::new(), Vec::new());
    for (file, module, text) in sources().into_iter().filter(|(file, ..)| table.is_pure(file)) {
        for name in impurities(&borrowed(&module), &text) {
            offences.push(format!("{}: {name}", file.display()));
        }
        checked.insert(file);
    }
    assert!(offences.is_empty(), "{offences:#?}");
    for pure in &table.pure {
        assert!(checked.iter().any(|file| file.starts_with(pure)), "{pure} is not there");
    }
}

#[test]
fn a_forbidden_import_is_found_wherever_it_hides() {
    let table = Table::read();
    let found = |text: &str| table.offences(&["engine", "slots"], text);
    for text in [
        "use crate::sender::Clock;",
        "use crate::{model::{Rate, Moment}, web};",
        "use super::super::config::Settings;",
        "fn f() -> crate::telemetry::Telemetry { todo!() }",
        "mod tests { use super::super::super::simulator::Simulator; }",
        "use crate::*;",
        "use crate as everything;",
    ] {
        assert_eq!(found(text).len(), 1, "{text}");
    }
    for text in [
        "use crate::{model::Rate, policy::Gate, schedule, limiter::Limit};",
        "use super::stream::Stream; mod tests { use super::super::Engine; }",
        "// use crate::sender::Clock;\nconst A: &str = \"crate::sender::Clock\";",
    ] {
        assert_eq!(found(text), Vec::<String>::new(), "{text}");
    }
    assert_eq!(table.offences(&["attic"], "").len(), 1, "a room that the table does not know");
}

#[test]
fn an_impure_name_is_found_wherever_it_hides() {
    let found = |text: &str| impurities(&["engine", "slots"], text);
    for text in [
        "use tokio::sync::mpsc;",
        "use opentelemetry_sdk::trace;",
        "fn f() { tracing::info!(\"x\") }",
        "use std::{sync::Arc, net::IpAddr};",
        "use std as s;",
        "fn f() { std::thread::yield_now() }",
        "use std::time::Instant; fn f() -> Instant { Instant::now() }",
        "fn f() -> u8 { std::time::SystemTime::now(); 1 }",
    ] {
        assert_eq!(found(text).len(), 1, "{text}: {:?}", found(text));
    }
    let pure = "use std::{sync::Arc, time::Duration}; // tokio\nconst A: &str = \"std::fs\";";
    assert_eq!(found(pure), Vec::<String>::new());
}
