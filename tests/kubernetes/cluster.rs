//! The manifests on a real API server, applied as a person would: from nothing, again, from one overlay to the next,
//! and over what the version before had applied.

use std::path::Path;

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::rendered::{self, find, list, name, overlay, render, text, workloads};
use crate::schemas::{KINDS, Schemas};

/// What production rendered to in the version before this one.
const PREVIOUS: &str = include_str!("previous.yaml");

const APPLY: [&str; 3] = ["apply", "--server-side", "--validate=strict"];

fn apply(plane: &ControlPlane, name: &str) -> String {
    let path = overlay(name);
    plane.kubectl(&[&APPLY[..], &["-k", path.to_str().expect("UTF-8")]].concat())
}

/// Fails unless everything that was asked for is there.
#[track_caller]
fn assert_within(asked: &Value, live: &Value, path: &str) {
    match (asked, live) {
        (Value::Object(asked), Value::Object(live)) => {
            for (key, value) in asked {
                let path = format!("{path}.{key}");
                assert_within(value, live.get(key).unwrap_or(&Value::Null), &path);
            }
        }
        (Value::Array(asked), Value::Array(live)) => {
            assert_eq!(asked.len(), live.len(), "{path}");
            for (i, (asked, live)) in asked.iter().zip(live).enumerate() {
                assert_within(asked, live, &format!("{path}[{i}]"));
            }
        }
        _ => assert_eq!(asked, live, "{path}"),
    }
}

#[track_caller]
fn read_back(plane: &ControlPlane, objects: &[Value]) -> Vec<Value> {
    let read = |object: &Value| {
        let live = plane.get(object);
        assert_within(object, &live, &name(object));
        live
    };
    objects.iter().map(read).collect()
}

fn stamps(objects: &[Value], pointer: &str) -> Vec<(String, String)> {
    objects.iter().map(|o| (name(o), text(o, pointer).to_owned())).collect()
}

/// The pod that a controller would make of a workload.
fn pod(workload: &Value) -> Value {
    let mut spec = workload["spec"]["template"]["spec"].clone();
    for claim in list(workload, "/spec/volumeClaimTemplates") {
        let volumes = spec["volumes"].as_array_mut().expect("volumes");
        volumes.push(json!({"name": claim["metadata"]["name"], "emptyDir": {}}));
    }
    let metadata = json!({
        "generateName": "pod-",
        "namespace": workload["metadata"]["namespace"],
        "labels": workload["spec"]["template"]["metadata"]["labels"],
    });
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Admission of pods: what the Deployment controller would be told.
fn admits_its_pods_and_no_others(plane: &ControlPlane, objects: &[Value]) {
    let create = ["create", "--dry-run=server", "--validate=strict"];
    for workload in workloads(objects) {
        let good = pod(workload);
        let (admitted, said) = plane.try_with(&create, std::slice::from_ref(&good));
        assert!(admitted && !said.contains("Warning"), "{said}");
        let mut bad = good;
        bad["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let (admitted, said) = plane.try_with(&create, &[bad]);
        assert!(!admitted && said.contains("violates PodSecurity \"restricted"), "{said}");
    }
}

fn applies_reads_back_and_stays(plane: &ControlPlane, name: &str) {
    let objects = render(name);
    // Without --server-side the whole object goes into an annotation, which has a bound.
    let path = overlay(name);
    let path = path.to_str().expect("UTF-8");
    let namespace = objects.iter().find(|o| text(o, "/kind") == "Namespace").expect("a namespace");
    plane.try_with(&["apply"], std::slice::from_ref(namespace));
    plane.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-k", path]);
    apply(plane, name);
    let before = read_back(plane, &objects);
    let enforced = &namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"];
    assert_eq!(enforced, "restricted");
    admits_its_pods_and_no_others(plane, &objects);

    apply(plane, name);
    let after = read_back(plane, &objects);
    let version = "/metadata/resourceVersion";
    assert_eq!(stamps(&before, version), stamps(&after, version), "{name}: a second apply");
}

/// What the page on Kubernetes says of the way from a Deployment to a StatefulSet.
fn leave_the_deployment(plane: &ControlPlane) {
    plane.kubectl(&["delete", "deployment", "plimsoll", "-n", "plimsoll"]);
}

fn a_mistake_is_refused(plane: &ControlPlane) {
    let mut objects = render("production");
    let deployment = objects.iter_mut().find(|o| text(o, "/kind") == "Deployment").expect("one");
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessProb"] = json!({});
    let (applied, said) = plane.try_with(&APPLY, &objects);
    assert!(!applied && said.contains("readinessProb"), "{said}");
}

fn upgrades_from_the_version_before(plane: &ControlPlane) {
    let previous = rendered::parse(PREVIOUS);
    let (applied, said) = plane.try_with(&APPLY, &previous);
    assert!(applied, "{said}");
    let before = read_back(plane, &previous);
    apply(plane, "production");
    let objects = render("production");
    read_back(plane, &objects);
    // Nothing was replaced, and nothing left behind that nobody manages any more.
    let after: Vec<_> = previous.iter().map(|object| plane.get(object)).collect();
    assert_eq!(stamps(&before, "/metadata/uid"), stamps(&after, "/metadata/uid"));
    for object in &previous {
        find(&objects, &name(object));
    }
}

#[expect(clippy::disallowed_methods, reason = "a person says so when the file is to be written")]
fn writing() -> bool {
    std::env::var_os("PLIMSOLL_WRITE_GENERATED").is_some()
}

fn the_schemas_are_those_of_this_api_server(plane: &ControlPlane) {
    let mut schemas = Schemas::default();
    for (path, kinds) in KINDS {
        let document = plane.kubectl(&["get", "--raw", &format!("/openapi/v3/{path}")]);
        schemas.add(&serde_json::from_str(&document).expect("JSON"), kinds);
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes/schemas.json");
    if writing() {
        std::fs::write(&kept, schemas.text()).expect("writable");
    }
    let same = schemas.text() == std::fs::read_to_string(&kept).expect("readable");
    assert!(same, "the API server's differ: PLIMSOLL_WRITE_GENERATED=1 writes schemas.json anew");
}

#[test]
#[ignore = "needs the testbed; tests/run runs it"]
fn a_cluster_takes_every_overlay() {
    let plane = ControlPlane::start();
    applies_reads_back_and_stays(&plane, "demo");
    upgrades_from_the_version_before(&plane);
    applies_reads_back_and_stays(&plane, "production");
    a_mistake_is_refused(&plane);
    leave_the_deployment(&plane);
    applies_reads_back_and_stays(&plane, "statefulset");
    the_schemas_are_those_of_this_api_server(&plane);
    // An overlay that is added is to be applied here, too.
    assert_eq!(rendered::overlays(), ["demo", "production", "statefulset"]);
}
