//! The command line as a shell has it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::world::{World, plimsoll};

#[test]
fn every_command_explains_itself() {
    let world = World::new();
    for command in ["", "run", "simulate", "demo", "check", "report", "completions"] {
        let mut args: Vec<&str> = if command.is_empty() { vec![] } else { vec![command] };
        args.push("--help");
        let (code, out) = world.run(&args);
        assert_eq!(code, Some(0), "{command}: {out}");
        assert!(out.contains("Usage: plimsoll"), "{command}: {out}");
    }
    let (code, out) = world.run(&["--version"]);
    assert_eq!((code, out), (Some(0), format!("plimsoll {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_has_the_code_of_wrong_usage() {
    let world = World::new();
    for args in [&[][..], &["run", "--frobnicate"], &["demo", "--for", "0s"], &["fly"]] {
        let (code, out) = world.run(args);
        assert_eq!(code, Some(2), "{args:?}: {out}");
    }
}

#[test]
fn completions_know_the_commands_and_flags() {
    let world = World::new();
    for (shell, flag) in
        [("bash", "--config.file"), ("zsh", "--config.file"), ("fish", "config.file")]
    {
        let (code, script) = world.run(&["completions", shell]);
        assert_eq!(code, Some(0), "{shell}");
        for word in ["plimsoll", "simulate", "completions", flag] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // Where the shell is there, it must also be able to read it.
        let file = world.write(&format!("plimsoll.{shell}"), &script);
        if let Ok(status) = Command::new(shell).arg("-n").arg(&file).status() {
            assert!(status.success(), "{shell} cannot read its completions");
        }
    }
}

#[test]
fn a_reader_that_goes_away_early_is_no_panic() {
    let mut child = plimsoll(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{errors}");
}

#[test]
fn the_files_that_come_with_it_are_valid() {
    let world = World::new();
    let file = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
    for (flag, name) in [
        (None, "plimsoll.toml"),
        (None, "genesys.toml"),
        (Some("--simulator"), "simulator.toml"),
        (Some("--simulator"), "simulator-genesys.toml"),
    ] {
        let path = file(name).display().to_string();
        let args: Vec<&str> = ["check"].into_iter().chain(flag).chain([path.as_str()]).collect();
        let (code, out) = world.run(&args);
        assert_eq!(code, Some(0), "{name}: {out}");
        assert!(out.contains(": ok: "), "{out}");
    }
}

#[test]
fn the_printed_schema_is_the_one_that_comes_with_it() {
    let world = World::new();
    let (code, printed) = world.run(&["check", "--print-schema"]);
    assert_eq!(code, Some(0));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/plimsoll.schema.json");
    let kept = std::fs::read_to_string(path).expect("the schema is there");
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(parse(&printed), parse(&kept));
}
