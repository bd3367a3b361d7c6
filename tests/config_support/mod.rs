//! What the configuration tests share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;

use plimsoll::config::{FileSource, Problem, Problems, Settings, Sources, load};

/// A small configuration that is valid.
pub(crate) const WORKING: &str = r#"
[targets.api]
base_url = "http://127.0.0.1:9470"
path = "/messages"

[credentials.bench]
type = "bearer"
token_env = "TOKEN"

[streams.main]
target = "api"
credential = "bench"
rate = "10/s"
"#;

pub(crate) fn toml(text: &str) -> FileSource {
    FileSource::Toml { name: "test.toml".to_owned(), text: text.to_owned() }
}

pub(crate) fn load_toml(text: &str) -> Result<Settings, Problems> {
    with_env(text, &[])
}

pub(crate) fn load_yaml(text: &str) -> Result<Settings, Problems> {
    let file = FileSource::Yaml { name: "test.yaml".to_owned(), text: text.to_owned() };
    load(&Sources { files: vec![file], ..Sources::default() })
}

pub(crate) fn load_paths(paths: &[PathBuf]) -> Result<Settings, Problems> {
    let files = paths.iter().cloned().map(FileSource::Path).collect();
    load(&Sources { files, ..Sources::default() })
}

pub(crate) fn with_env(text: &str, env: &[(&str, &str)]) -> Result<Settings, Problems> {
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(&Sources { files: vec![toml(text)], env, ..Sources::default() })
}

pub(crate) fn problems(text: &str) -> Vec<Problem> {
    match load_toml(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.as_slice().to_vec(),
    }
}
