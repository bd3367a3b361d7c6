//! The image: the final stage of the Dockerfile as buildah makes it, and its file system run as a node would run it,
//! under the pods of the overlay `demo`: as their user, without privileges, and with nothing to write on but volumes.
//!
//! The stage `build`, which compiles, wants base images from a registry and is not run here. Its commands are:
//! the binary is compiled as they would.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::pod::Pod;
use crate::rendered::{find, render, text};
use crate::started::answers_its_probes;
use crate::support::process::{free_ports, temp_dir, testbed_tool, wait_for};
use crate::world::{Daemon, SOON, World, until};

const TARGET: &str = "x86_64-unknown-linux-musl";
const SIZE_MAX: u64 = 20 * 1024 * 1024;

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The static binary. What is compiled is kept in the testbed's cache: a second run compiles what has changed.
fn compiled() -> PathBuf {
    let built = testbed_tool("../bin/cargo-zigbuild");
    let target = built.parent().and_then(Path::parent).expect("the cache").join("image");
    let mut cargo = Command::new(&built);
    cargo.args(["zigbuild", "--quiet", "--locked", "--release", "--target", TARGET]);
    run(cargo.env("CARGO_TARGET_DIR", &target).current_dir(env!("CARGO_MANIFEST_DIR")));
    target.join(TARGET).join("release/plimsoll")
}

/// buildah with a storage of its own, which goes with the test.
struct Buildah {
    storage: tempfile::TempDir,
}

impl Buildah {
    fn run(&self, args: &[&str]) -> String {
        let at = |name: &str| self.storage.path().join(name);
        let mut command = Command::new("buildah");
        command.arg("--root").arg(at("root")).arg("--runroot").arg(at("run"));
        run(command.args(["--storage-driver", "vfs"]).args(args)).trim().to_owned()
    }

    /// Builds the image of what lies in `context/dist`.
    fn build(&self, context: &Path) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
        let (file, context) = (file.to_str().expect("UTF-8"), context.to_str().expect("UTF-8"));
        let mut args = vec!["build", "--isolation", "chroot", "--tag", "plimsoll:test"];
        for arg in ["FILES=prebuilt", "TARGETARCH=amd64", "REVISION=0123456789ab"] {
            args.extend(["--build-arg", arg]);
        }
        args.extend(["--file", file, context]);
        self.run(&args);
    }

    /// A folder with the image's file system.
    fn mounted(&self) -> PathBuf {
        let container = self.run(&["from", "--pull-never", "plimsoll:test"]);
        self.run(&["mount", &container]).into()
    }
}

/// Every file with its size.
fn files(directory: &Path, inside: &str, found: &mut Vec<(String, u64)>) {
    for entry in fs::read_dir(directory).expect("readable") {
        let entry = entry.expect("an entry");
        let name = format!("{inside}/{}", entry.file_name().to_str().expect("UTF-8"));
        let metadata = entry.metadata().expect("metadata");
        if metadata.is_dir() {
            files(&entry.path(), &name, found);
        } else {
            found.push((name, metadata.len()));
        }
    }
}

/// The image's file system with a pod's volumes, read-only but for those that the pod may write, and its process in it
/// as the pod's user. All of it is in a mount namespace of its own, which ends with the process.
fn in_the_image(image: &Path, pod: &Pod<'_>, workload: &Value, args: &[String]) -> Command {
    let of_pod = &workload["spec"]["template"]["spec"]["securityContext"];
    let (user, group) = (&of_pod["runAsUser"], &of_pod["runAsGroup"]);
    let root = pod.root().join("image");
    run(Command::new("cp").arg("-a").arg(image).arg(&root));
    let mut script = String::from("set -e\n");
    let mut mount = |from: &Path, inside: &str, options: &str| {
        let to = root.join(inside.trim_start_matches('/'));
        fs::create_dir_all(&to).expect("writable");
        let to = to.display();
        script += &format!("mount --rbind {} {to}\n", from.display());
        if !options.is_empty() {
            script += &format!("mount -o remount,bind,{options} {to}\n");
        }
    };
    mount(&root, "/", "");
    mount(Path::new("/proc"), "/proc", "");
    for volume in pod.container["volumeMounts"].as_array().expect("mounts") {
        let inside = text(volume, "/mountPath");
        let here = pod.path(inside);
        // As fsGroup has it.
        run(Command::new("chown").arg("-R").arg(format!("root:{group}")).arg(&here));
        fs::set_permissions(&here, fs::Permissions::from_mode(0o2775)).expect("ours");
        mount(&here, inside, if volume["readOnly"] == true { "ro" } else { "" });
    }
    let root = root.display();
    script += &format!("mount -o remount,bind,ro {root}\n");
    // The change of user takes every capability, and no set-user-id file gives one back.
    script += &format!(
        "exec setpriv --no-new-privs chroot --userspec={user}:{group} --groups={group} {root} \"$@\"\n"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", "/plimsoll"]);
    command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(pod.env());
    command
}

/// What holds of a process that a restricted pod may have.
fn is_restricted(process: u32, user: &Value) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(of("Uid:"), vec![user.to_string(); 4]);
    assert_eq!(of("CapPrm:"), ["0000000000000000"]);
    assert_eq!(of("CapEff:"), ["0000000000000000"]);
    assert_eq!(of("NoNewPrivs:"), ["1"]);
}

/// The context of a build that compiles nothing.
fn context() -> tempfile::TempDir {
    let context = temp_dir();
    let dist = context.path().join("dist/amd64");
    let certificates = dist.join("etc/ssl/certs");
    fs::create_dir_all(&certificates).expect("writable");
    fs::copy(compiled(), dist.join("plimsoll")).expect("it was compiled");
    let bundle = "ca-certificates.crt";
    fs::copy(Path::new("/etc/ssl/certs").join(bundle), certificates.join(bundle))
        .expect("Debian's ca-certificates");
    context
}

fn is_small_and_says_what_it_is(buildah: &Buildah, image: &Path) {
    let mut found = Vec::new();
    files(image, "", &mut found);
    found.sort();
    let size: u64 = found.iter().map(|(_, size)| size).sum();
    println!("the image: {size} bytes in {} files", found.len());
    for (name, size) in &found {
        println!("{size:>10} {name}");
    }
    assert!(size <= SIZE_MAX, "{size}");
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["/etc/ssl/certs/ca-certificates.crt", "/plimsoll"], "no shell, no library");

    let inspected = buildah.run(&["inspect", "--type", "image", "plimsoll:test"]);
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
    let config = &inspected["OCIv1"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/plimsoll"]));
    let label = |name: &str| text(&config["Labels"], &format!("/org.opencontainers.image.{name}"));
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(label("revision"), "0123456789ab");
}

/// An HTTPS client wants a certificate store; one that finds none refuses to start.
fn speaks_https(world: &World, image: &Path, pod: &Pod<'_>, workload: &Value) {
    let [nobody] = free_ports();
    let config = format!(
        "[web]\nlisten_address = \"127.0.0.1:0\"\n[targets.t]\nbase_url = \"https://127.0.0.1:{nobody}\"\n\
         path = \"/\"\nbody = '{{}}'\n[streams.s]\ntarget = \"t\"\nrate = \"50/s\"\nmax_attempts = 1\n"
    );
    fs::write(pod.path("/etc/plimsoll/https.toml"), config).expect("writable");
    let args = ["run", "--config.file=/etc/plimsoll/https.toml", "--count=1", "--log.format=json"];
    let args = args.map(str::to_owned);
    let mut process = world.spawn(&mut in_the_image(image, pod, workload, &args));
    assert_eq!(process.wait(SOON).code(), Some(0));
}

#[test]
#[ignore = "needs the testbed and root; tests/run runs it"]
fn the_image_is_small_and_runs_restricted_on_a_read_only_root() {
    let user = run(Command::new("id").arg("-u"));
    assert_eq!(user.trim(), "0", "mounts and other users are for root to make");
    let (buildah, context) = (Buildah { storage: temp_dir() }, context());
    buildah.build(context.path());
    let image = buildah.mounted();
    is_small_and_says_what_it_is(&buildah, &image);

    let world = World::new();
    let objects = render("demo");
    let [api_port, port] = free_ports();
    let api_url = format!("http://127.0.0.1:{api_port}");
    let workload = find(&objects, "Deployment/plimsoll-simulator");
    let pod = Pod::of(&objects, workload);
    let mut args = pod.args();
    args.push(format!("--listen-address=127.0.0.1:{api_port}"));
    let simulator = world.spawn(&mut in_the_image(&image, &pod, workload, &args));
    answers_its_probes(pod.container, &api_url);
    let user = &workload["spec"]["template"]["spec"]["securityContext"]["runAsUser"];
    is_restricted(simulator.id(), user);

    let workload = find(&objects, "Deployment/plimsoll");
    let pod = Pod::of(&objects, workload);
    pod.replace(&[("http://plimsoll-simulator:8080", &api_url)]);
    let mut args = pod.args();
    args.push(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut daemon: Daemon = world.daemon_by(&mut in_the_image(&image, &pod, workload, &args));
    is_restricted(daemon.process.id(), user);
    answers_its_probes(pod.container, &daemon.url);
    let accepted = [("outcome", "accepted")];
    until("messages", || daemon.sum("plimsoll_attempts_total", &accepted) > 20.0);
    daemon.scrape().adds_up();
    assert_eq!(daemon.process.terminate(Duration::from_secs(15)).code(), Some(0));
    assert!(pod.path("/var/lib/plimsoll/state.json").exists(), "the one place to write to");
    let refused = wait_for(Duration::ZERO, || daemon.line("cannot be written"));
    assert!(refused.is_none(), "{refused:?}");
    drop(simulator);
    speaks_https(&world, &image, &Pod::of(&objects, workload), workload);
}
