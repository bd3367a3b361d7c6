//! Notes what `plimsoll_build_info` says of the binary: the compiler, and the commit where it is
//! known. `PLIMSOLL_REVISION` names the commit for builds outside of a checkout.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=PLIMSOLL_REVISION");
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/refs/heads");
    let rustc = variable("RUSTC").and_then(|rustc| said(&rustc, &["--version"]));
    let revision = variable("PLIMSOLL_REVISION")
        .filter(|revision| !revision.is_empty())
        .or_else(|| said("git", &["rev-parse", "--short=12", "HEAD"]));
    let unknown = || "unknown".to_owned();
    println!("cargo:rustc-env=PLIMSOLL_RUSTC={}", rustc.unwrap_or_else(unknown));
    println!("cargo:rustc-env=PLIMSOLL_REVISION={}", revision.unwrap_or_else(unknown));
}

#[expect(
    clippy::disallowed_methods,
    reason = "a build script is told everything by its environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The first line that a command prints, if it succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
