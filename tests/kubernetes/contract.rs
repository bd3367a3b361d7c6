//! The manifests against the binary: command lines, files, keys, ports, probes and names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use plimsoll::cli::{Cli, Command as Cmd};
use plimsoll::config::{FileSource, Settings, Sources, load};
use plimsoll::telemetry::CATALOG;
use serde_json::Value;

use crate::pod::Pod;
use crate::rendered::{find, list, name, overlays, render, text, workloads};

/// What a stop may take beyond `lifecycle.grace_period`: twice three seconds of flushing, and as much again
/// for a busy node.
const BEYOND_GRACE: Duration = Duration::from_secs(12);

fn command(pod: &Pod<'_>) -> Cmd {
    let line = std::iter::once("plimsoll".to_owned()).chain(pod.args());
    Cli::try_parse_from(line).unwrap_or_else(|e| panic!("{e}")).command
}

/// The configuration that a container runs with. Paths are relative to the container's files.
fn settings(pod: &Pod<'_>, files: &[PathBuf]) -> Settings {
    let file = |path: &PathBuf| FileSource::Path(pod.path(path.to_str().expect("UTF-8")));
    let sources = Sources { files: files.iter().map(file).collect(), ..Sources::default() };
    let settings = load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(settings.warnings, Vec::<String>::new());
    settings
}

/// Every daemon of every overlay, with its configuration.
fn daemons(mut look: impl FnMut(&[Value], &Value, &Pod<'_>, &Settings)) {
    let mut seen = 0;
    for overlay in overlays() {
        let objects = render(&overlay);
        for workload in workloads(&objects) {
            let pod = Pod::of(&objects, workload);
            if let Cmd::Run(args) = command(&pod) {
                look(&objects, workload, &pod, &settings(&pod, &args.config.config_file));
                seen += 1;
            }
        }
    }
    assert_eq!(seen, overlays().len(), "one in each");
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn command_lines_and_files_pass_the_binarys_own_check() {
    for overlay in overlays() {
        let objects = render(&overlay);
        for workload in workloads(&objects) {
            let pod = Pod::of(&objects, workload);
            let mut check = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
            check.arg("check");
            let files = match command(&pod) {
                Cmd::Run(args) => args.config.config_file,
                Cmd::Simulate(args) => {
                    check.arg("--simulator");
                    args.config.config_file
                }
                other => panic!("{other:?}"),
            };
            assert!(!files.is_empty());
            for file in files {
                check.arg("--config.file").arg(pod.path(file.to_str().expect("UTF-8")));
            }
            let output = check.output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{overlay}: {said}");
        }
    }
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn secrets_and_state_are_where_the_configuration_says() {
    daemons(|_, workload, pod, settings| {
        let secrets = settings.files().into_iter().filter(|f| !f.starts_with(pod.root()));
        let secrets: BTreeSet<_> = secrets.collect();
        assert!(!secrets.is_empty());
        for file in &secrets {
            assert!(pod.path(file.to_str().expect("UTF-8")).exists(), "{}", file.display());
            assert_eq!(pod.mount(file)["readOnly"], true);
        }
        // Only the state may be written.
        let state = settings.state.file.as_deref().expect("a state file");
        assert_ne!(pod.mount(state)["readOnly"], true);
        let writable =
            list(pod.container, "/volumeMounts").iter().filter(|m| m["readOnly"] != true);
        assert_eq!(writable.count(), 1);
        let security = &pod.container["securityContext"];
        assert_eq!(security["readOnlyRootFilesystem"], true);
        let of_pod = &workload["spec"]["template"]["spec"]["securityContext"];
        assert!(of_pod["runAsUser"].as_u64() > Some(0) && of_pod["fsGroup"].as_u64() > Some(0));
        // What is mounted by subPath is never swapped.
        let mounts = list(pod.container, "/volumeMounts");
        assert!(mounts.iter().all(|m| m.get("subPath").is_none()));
        assert!(!settings.reload_interval.is_zero());
    });
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn the_grace_period_holds_a_whole_stop() {
    daemons(|_, workload, _, settings| {
        let spec = &workload["spec"]["template"]["spec"];
        let given = spec["terminationGracePeriodSeconds"].as_u64().expect("a number");
        assert!(Duration::from_secs(given) >= settings.grace_period + BEYOND_GRACE);
    });
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn ports_agree_from_the_configuration_to_the_scrape() {
    daemons(|objects, _, pod, settings| {
        let address = settings.web.listen_address;
        assert!(address.ip().is_unspecified(), "probes come to the pod's address");
        assert_eq!(u64::from(address.port()), pod.port("http"));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(pod.container[probe]["httpGet"]["port"], "http");
        }
        let service = find(objects, "Service/plimsoll");
        let [port] = list(service, "/spec/ports") else { panic!("{service}") };
        assert_eq!(port["port"], pod.port(text(port, "/targetPort")));
        if let Some(monitor) = objects.iter().find(|o| name(o) == "ServiceMonitor/plimsoll") {
            let [endpoint] = list(monitor, "/spec/endpoints") else { panic!("{monitor}") };
            assert_eq!((&endpoint["port"], &endpoint["path"]), (&port["name"], &"/metrics".into()));
            let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
            let has = |(k, v): (&String, &Value)| service["metadata"]["labels"][k] == *v;
            assert!(wanted.iter().all(has), "{wanted:?}");
        }
    });
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn the_network_policy_lets_through_what_is_sent_and_scraped() {
    daemons(|objects, workload, pod, settings| {
        let policy = find(objects, "NetworkPolicy/plimsoll");
        let chosen = policy["spec"]["podSelector"]["matchLabels"].as_object().expect("labels");
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert!(chosen.iter().all(|(k, v)| labels[k] == *v));
        let [ingress] = list(policy, "/spec/ingress") else { panic!("{policy}") };
        pod.port(text(ingress, "/ports/0/port"));
        let rules = list(policy, "/spec/egress").iter();
        let open: BTreeSet<_> =
            rules.flat_map(|r| list(r, "/ports")).filter_map(|p| p["port"].as_u64()).collect();
        for target in &settings.targets {
            assert!(open.contains(&u64::from(target.server_port)), "{:?}", target.server_address);
        }
        for port in [53, 4317, 4318] {
            assert!(open.contains(&port), "{port}");
        }
    });
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn the_image_is_of_this_version() {
    for overlay in overlays() {
        let objects = render(&overlay);
        for workload in workloads(&objects) {
            let image = text(workload, "/spec/template/spec/containers/0/image");
            assert_eq!(image, format!("plimsoll:{}", env!("CARGO_PKG_VERSION")), "{overlay}");
        }
    }
}

/// Names of ours in a text, without what a histogram adds.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c: char| !is_name(c)).filter(|w| w.starts_with("plimsoll_"));
    let base = |word: &str| {
        let stripped = ["_bucket", "_sum", "_count"].iter().find_map(|s| word.strip_suffix(s));
        stripped.filter(|w| CATALOG.iter().any(|f| f.name == *w)).unwrap_or(word).to_owned()
    };
    words.map(base).collect()
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn every_metric_that_is_named_is_one_that_is_exported() {
    let exported: BTreeSet<String> = CATALOG.iter().map(|f| f.name.to_owned()).collect();
    for overlay in overlays() {
        for object in render(&overlay) {
            let named = metrics_in(&object.to_string());
            let unknown: Vec<_> = named.difference(&exported).collect();
            assert!(unknown.is_empty(), "{overlay}, {}: {unknown:?}", name(&object));
        }
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["docs/KUBERNETES.md", "deploy/kubernetes/README.md"] {
        let text = std::fs::read_to_string(directory.join(document)).expect(document);
        let unknown: Vec<_> = metrics_in(&text).difference(&exported).cloned().collect();
        assert!(unknown.is_empty(), "{document}: {unknown:?}");
    }
}
