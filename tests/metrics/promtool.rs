//! Prometheus' own linter on what a scrape gets.

use std::io::Write;
use std::process::{Command, Stdio};

use plimsoll::model::{CredentialId, Dialect, Event, Verdict};

use crate::servers::process::testbed_tool;
use crate::support::*;

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn promtool_has_nothing_to_say() {
    let (telemetry, mut observer) = plain();
    telemetry.objectives(objectives());
    observer.credentials(wall(), at(0), [(CredentialId(0), "cred".into())]);
    let order = order(0, 1, 0, at(0));
    let mut hinted = answer(Verdict::Throttled, at(0));
    hinted.hints = vec![hint(Dialect::Inin, 5)];
    let added = [Event::StreamAdded(stream(0, "s", "t")), gate_added(0, "g")];
    feed(&mut observer, at(0), &added);
    feed(&mut observer, at(0), &[Event::Sent(order), ended(order, hinted)]);

    let mut child = Command::new(testbed_tool("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot run promtool: {e}"));
    let text = telemetry.render(None).body;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("read");
    let output = child.wait_with_output().expect("ended");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
