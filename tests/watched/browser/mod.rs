//! A headless Chromium that looks at pages.

use std::process::Command;

use serde_json::Value;

use crate::support::process::testbed_tool;

/// Takes the steps that `look.js` knows, and returns what it saw.
pub(crate) fn look(url: &str, steps: &Value) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/watched/browser/look.js");
    node(&[script, &testbed_tool("chromium").display().to_string(), url, &steps.to_string()])
}

/// Runs a script and reads the JSON that it prints.
pub(crate) fn node(arguments: &[&str]) -> Value {
    let output = Command::new(testbed_tool("node-browser"))
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("cannot run node-browser: {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}{complained}");
    serde_json::from_str(&said).unwrap_or_else(|e| panic!("not JSON ({e}): {said}"))
}
