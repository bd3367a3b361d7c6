//! Disks that are full, under the state file and under the attempt log, while messages flow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::scripted::{Reply, Scripted};
use crate::world::{Daemon, World, sending_to, stream, until};

const STATE: &str = "[state]\nfile = \"full/state.json\"\ninterval = \"1s\"\n";

/// A daemon whose directory `full` is a file system of its own, of `kib` of which something else has taken `taken`
/// bytes. `None`: this machine lets no unprivileged test mount one.
pub(crate) fn daemon(world: &World, config: &str, kib: u32, taken: u32) -> Option<Daemon> {
    let unshare = ["--map-root-user", "--mount"];
    let mount = ["mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    let possible = Command::new("unshare").args(unshare).args(mount).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("no user namespaces here: not tested");
        return None;
    }
    fs::create_dir(world.path().join("full")).expect("writable");
    world.write("plimsoll.toml", config);
    let script = format!(
        "mount -t tmpfs -o size={kib}k tmpfs full && head -c {taken} /dev/zero > full/other && \
         exec {} run --config.file plimsoll.toml --log.format json",
        env!("CARGO_BIN_EXE_plimsoll")
    );
    let mut command = Command::new("unshare");
    command.args(unshare).args(["sh", "-c", &script]);
    Some(world.daemon_by(&mut command))
}

/// That directory, as the daemon sees it.
pub(crate) fn seen_by(daemon: &Daemon, world: &World) -> PathBuf {
    let root = format!("/proc/{}/root", daemon.process.id());
    Path::new(&root).join(world.path().strip_prefix("/").expect("absolute")).join("full")
}

fn unrecorded(daemon: &Daemon) -> f64 {
    daemon.sum("plimsoll_slots_skipped_total", &[("reason", "unrecorded")])
}

#[test]
fn a_full_disk_stops_what_is_capped_before_the_count_is_lost_and_nothing_else() {
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + STATE
        + &stream("capped", "20/s")
        + "messages_in_all = 100000\n"
        + &stream("free", "20/s");
    // Four pages, of which something else has taken all.
    let Some(mut daemon) = daemon(&world, &config, 16, 14_000) else { return };
    until("failed writes", || {
        daemon.sum("plimsoll_state_writes_total", &[("result", "failed")]) >= 2.0
    });
    until("skips", || unrecorded(&daemon) > 20.0);
    let of = |stream| daemon.sum("plimsoll_slots_sent_total", &[("stream", stream)]);
    let (capped, free) = (of("capped"), of("free"));
    // The file vouches for two seconds' worth at once; with no file it vouches for none.
    assert!(capped <= 40.0, "{capped}");
    until("the other stream", || of("free") > free + 20.0);
    assert!(of("capped") <= 40.0);
    assert!(daemon.line("the state file cannot be written").is_some());
    daemon.scrape().adds_up();
    assert_eq!(daemon.process.terminate(Duration::from_secs(5)).code(), Some(0));
}

/// Messages that the file vouches for, those sent included.
fn vouched(text: &str) -> u64 {
    let state: Value = serde_json::from_str(text).expect("a whole file");
    let counts = state["counts"].as_array().expect("counts");
    let all = counts.iter().find(|count| count["stream"] == "*").expect("of all together");
    all["in_all"].as_u64().expect("a count") + all["reserved"].as_u64().expect("a count")
}

#[test]
fn a_disk_that_is_full_now_and_then_loses_no_count_of_all_together_not_even_in_a_kill() {
    const CAP: u64 = 500;
    let world = World::new();
    let api = Scripted::start(|_, _| Reply::ok());
    let config = sending_to(&api.url)
        + STATE
        + &format!("[safety]\nmessages_in_all = {CAP}\n")
        + &stream("a", "20/s")
        + "messages_per_hour = 5000\n"
        + &stream("b", "20/s");
    let Some(mut first) = daemon(&world, &config, 64, 0) else { return };
    let full = seen_by(&first, &world);
    let file = || fs::read_to_string(full.join("state.json")).expect("readable");
    for _ in 0..2 {
        let sent = api.count();
        until("traffic", || api.count() > sent + 20);
        // As much as there is room for.
        let _ = fs::write(full.join("other"), vec![0; 64 << 10]);
        let skips = unrecorded(&first);
        until("both to be stopped", || unrecorded(&first) > skips + 40.0);
        let stopped = api.count();
        until("more slots", || unrecorded(&first) > skips + 80.0);
        assert_eq!(api.count(), stopped, "with a cap on all together, all wait");
        assert!(api.count() as u64 <= vouched(&file()), "{}", file());
        first.scrape().adds_up();
        fs::remove_file(full.join("other")).expect("can be removed");
        until("the file again", || first.line("the state file can be written again").is_some());
    }
    // Its file system ends with it: what the next run is to find is the file as it was when it was killed.
    let _ = fs::write(full.join("other"), vec![0; 64 << 10]);
    let skips = unrecorded(&first);
    until("both to be stopped", || unrecorded(&first) > skips + 40.0);
    let left = file();
    first.process.signal("KILL");
    let _ = first.process.wait(Duration::from_secs(5));
    assert!(api.count() as u64 <= vouched(&left) && vouched(&left) <= CAP, "{left}");
    fs::write(world.path().join("full/state.json"), left).expect("writable");
    let next = world.daemon(&config, &[]);
    let all = [("stream", "*"), ("window", "all")];
    until("the cap", || next.sum("plimsoll_cap_reached", &all) == 1.0);
    let before = api.count();
    let capped = || next.sum("plimsoll_slots_skipped_total", &[("reason", "capped")]);
    until("slots at the cap", || capped() > 40.0);
    assert!(api.count() as u64 <= CAP && api.count() == before, "{} {before}", api.count());
    assert_eq!(next.sum("plimsoll_cap_used", &all), CAP as f64);
    next.scrape().adds_up();
}
