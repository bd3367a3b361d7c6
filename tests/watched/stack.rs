//! The local stack, as far as it can be looked at without an engine to run containers.

use std::path::Path;
use std::process::Command;

use yaml_rust2::Yaml;

use crate::support::alertmanager::amtool;
use crate::support::process::testbed_tool;
use crate::yaml::{self, list, string};

const FOLDER: &str = "deploy/compose";

fn services() -> Vec<(String, Yaml)> {
    let file = yaml::read(&format!("{FOLDER}/compose.yaml"));
    let services = file["services"].as_hash().expect("services").clone();
    services.into_iter().map(|(name, service)| (string(&name).to_owned(), service)).collect()
}

#[test]
fn every_file_that_is_mounted_exists_and_every_port_is_this_machines() {
    let mut mounted = 0;
    for (name, service) in services() {
        for mount in service["volumes"].as_vec().into_iter().flatten() {
            let mount = string(mount);
            let (from, _) = mount.split_once(':').expect("a path and a place");
            assert!(Path::new(FOLDER).join(from).exists(), "{name}: {from}");
            assert!(mount.ends_with(":ro"), "{name}: {mount}");
            mounted += 1;
        }
        for port in service["ports"].as_vec().into_iter().flatten() {
            assert!(string(port).starts_with("127.0.0.1:"), "{name}: {port:?}");
        }
        if let Some(image) = service["image"].as_str() {
            let (_, version) = image.split_once(':').unwrap_or_else(|| panic!("{name}: {image}"));
            assert!(version != "latest" && version.contains('.'), "{name}: {image}");
        }
    }
    assert!(mounted >= 9, "{mounted}");
}

#[test]
fn who_waits_for_whom_is_there() {
    let services = services();
    let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
    for (name, service) in &services {
        for needed in service["depends_on"].as_vec().into_iter().flatten() {
            assert!(names.contains(&string(needed)), "{name}: {needed:?}");
        }
    }
    let receivers = yaml::read("deploy/alertmanager/alertmanager.yml")["receivers"].clone();
    for receiver in list(&receivers) {
        let url = string(&receiver["webhook_configs"][0]["url"]);
        let host = url.trim_start_matches("http://").split(':').next().unwrap_or_default();
        assert!(names.contains(&host), "{url}");
    }
}

#[test]
fn its_configurations_are_valid() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .env_clear()
            .args(arguments)
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {said}");
    };
    run(&["check", &format!("{FOLDER}/plimsoll.toml")]);
    run(&["check", "--simulator", &format!("{FOLDER}/simulator.toml")]);
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn compose_and_amtool_find_no_fault() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = amtool(&["check-config", "deploy/alertmanager/alertmanager.yml"], here);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A page goes to the pager, everything else becomes a ticket.
    for (severity, receiver) in [("critical", "page"), ("warning", "ticket")] {
        let label = format!("severity={severity}");
        let file = "--config.file=deploy/alertmanager/alertmanager.yml";
        let output = amtool(&["config", "routes", "test", file, &label], here);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), receiver);
    }
    let output = Command::new(testbed_tool("docker-compose"))
        .args(["-f", "deploy/compose/compose.yaml", "config", "--quiet"])
        .current_dir(here)
        .output()
        .expect("docker-compose runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
