//! The overlay `demo`, its containers started as processes of this machine: they find each other, and answer the probes
//! that the manifests ask them with.

use std::time::Duration;

use serde_json::Value;

use crate::pod::Pod;
use crate::rendered::{find, render, text};
use crate::support::http;
use crate::support::process::wait_for;
use crate::world::{SOON, World, plimsoll, until};

/// Fails unless each probe of a container is answered with a success.
pub(crate) fn answers_its_probes(container: &Value, url: &str) {
    let mut asked = 0;
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let Some(probe) = container.get(probe) else { continue };
        let path = text(probe, "/httpGet/path");
        let status = || http::get(&format!("{url}{path}")).ok().map(|answer| answer.status);
        let well = wait_for(SOON, || (status() == Some(200)).then_some(()));
        assert!(well.is_some(), "{path}: {:?}", status());
        asked += 1;
    }
    assert!(asked >= 2, "{container}");
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn the_demo_sends_answers_its_probes_and_keeps_what_it_learned() {
    let world = World::new();
    let objects = render("demo");
    let workload = find(&objects, "Deployment/plimsoll-simulator");
    let pod = Pod::of(&objects, workload);
    let args = pod.on_this_machine(&[("0.0.0.0:8080", "127.0.0.1:0")]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let simulator = world.spawn(&mut plimsoll(&args));
    let api = wait_for(SOON, || {
        let log = simulator.log();
        let (_, rest) = log.split_once("on http://")?;
        rest.contains('\n').then(|| format!("http://{}", rest.trim()))
    });
    let api = api.expect("it says where it listens");
    answers_its_probes(pod.container, &api);

    let workload = find(&objects, "Deployment/plimsoll");
    let pod = Pod::of(&objects, workload);
    let service = find(&objects, "Service/plimsoll-simulator");
    let port = &service["spec"]["ports"][0]["port"];
    let address = format!("http://{}:{port}", text(service, "/metadata/name"));
    let args = pod.on_this_machine(&[("0.0.0.0:9469", "127.0.0.1:0"), (&address, &api)]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut daemon = world.daemon_by(plimsoll(&args).envs(pod.env()));
    answers_its_probes(pod.container, &daemon.url);
    let accepted = [("outcome", "accepted")];
    until("messages", || daemon.sum("plimsoll_attempts_total", &accepted) > 5.0);
    let here = [("k8s_pod_name", "plimsoll-0"), ("k8s_node_name", "node-1")];
    assert_eq!(daemon.sum("plimsoll_pod_info", &here), 1.0);
    assert_eq!(daemon.process.terminate(Duration::from_secs(15)).code(), Some(0));
    assert!(pod.path("/var/lib/plimsoll/state.json").exists());
}
