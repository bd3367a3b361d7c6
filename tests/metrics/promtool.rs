//! Prometheus' own linter, where there is one: `PLIMSOLL_PROMTOOL`, the cache of test tools, or the path.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll::model::{CredentialId, Dialect, Event, Verdict};

use crate::support::*;

fn promtool() -> OsString {
    let cached = std::env::home_dir().map(|home| home.join(".cache/plimsoll/bin/promtool"));
    std::env::var_os("PLIMSOLL_PROMTOOL")
        .or_else(|| cached.filter(|path| Path::exists(path)).map(Into::into))
        .unwrap_or_else(|| "promtool".into())
}

#[test]
fn promtool_has_nothing_to_say() {
    let (telemetry, mut observer) = plain();
    observer.credentials(wall(), at(0), [(CredentialId(0), "cred".into())]);
    let order = order(0, 1, 0, at(0));
    let mut hinted = answer(Verdict::Throttled, at(0));
    hinted.hints = vec![hint(Dialect::Inin, 5)];
    let added = [Event::StreamAdded(stream(0, "s", "t")), gate_added(0, "g")];
    feed(&mut observer, at(0), &added);
    feed(&mut observer, at(0), &[Event::Sent(order), ended(order, hinted)]);

    let mut command = Command::new(promtool());
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let Ok(mut child) = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no promtool here");
        return;
    };
    let text = telemetry.render(None).body;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("ended");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
