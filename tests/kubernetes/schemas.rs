//! The rendered manifests against the schemas of Kubernetes and of the Prometheus operator, without a cluster.
//!
//! `schemas.json` is what the API server of the testbed publishes, cut down to the kinds that the manifests use;
//! `cluster` holds it against that API server. A field that a schema does not know is a mistake, as
//! `kubectl --validate=strict` has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::rendered;

/// Where an API server publishes the schemas of which kinds.
pub(crate) const KINDS: [(&str, &[&str]); 4] = [
    (
        "api/v1",
        &["ConfigMap", "Namespace", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"],
    ),
    ("apis/apps/v1", &["Deployment", "StatefulSet"]),
    ("apis/networking.k8s.io/v1", &["NetworkPolicy"]),
    ("apis/monitoring.coreos.com/v1", &["PrometheusRule", "ServiceMonitor"]),
];

const REFERENCE: &str = "#/components/schemas/";
const KEPT: &str = include_str!("schemas.json");

/// Schemas by name, and the name of each kind's.
#[derive(Default)]
pub(crate) struct Schemas {
    kinds: BTreeMap<String, String>,
    schemas: BTreeMap<String, Value>,
}

impl Schemas {
    /// Adds these kinds out of a document of `/openapi/v3`, and everything that they refer to.
    pub(crate) fn add(&mut self, document: &Value, kinds: &[&str]) {
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for kind in kinds {
            let is_kind = |schema: &Value| {
                let of = rendered::list(schema, "/x-kubernetes-group-version-kind");
                of.iter().any(|gvk| gvk["kind"] == *kind)
            };
            let found = schemas.iter().find(|(_, schema)| is_kind(schema));
            let (name, _) = found.unwrap_or_else(|| panic!("no schema of {kind}"));
            self.kinds.insert((*kind).to_owned(), name.clone());
            self.take(schemas, name);
        }
    }

    fn take(&mut self, all: &Map<String, Value>, name: &str) {
        if self.schemas.contains_key(name) {
            return;
        }
        let mut schema = all[name].clone();
        let mut referred = Vec::new();
        reduce(&mut schema, &mut referred);
        self.schemas.insert(name.to_owned(), schema);
        for name in referred {
            self.take(all, &name);
        }
    }

    /// The text of `schemas.json`: a line for each schema.
    pub(crate) fn text(&self) -> String {
        let line = |(name, schema): (&String, &Value)| format!("  {}: {schema}", json!(name));
        let lines: Vec<_> = self.schemas.iter().map(line).collect();
        format!(
            "{{\"kinds\": {},\n\"schemas\": {{\n{}\n}}}}\n",
            json!(self.kinds),
            lines.join(",\n")
        )
    }
}

/// Leaves only what validation needs, and lets no unknown field pass.
fn reduce(schema: &mut Value, referred: &mut Vec<String>) {
    let Value::Object(table) = schema else {
        if let Value::Array(list) = schema {
            list.iter_mut().for_each(|schema| reduce(schema, referred));
        }
        return;
    };
    let keeps_unknown = table.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    table.retain(|key, _| !["description", "default"].contains(&key.as_str()));
    table.retain(|key, _| !key.starts_with("x-kubernetes-"));
    if let Some(Value::String(reference)) = table.get("$ref") {
        referred.push(reference.trim_start_matches(REFERENCE).to_owned());
    }
    if let Some(Value::Object(properties)) = table.get_mut("properties") {
        // A property may have the name of a keyword, so the table of them is no schema.
        properties.values_mut().for_each(|schema| reduce(schema, referred));
        if !keeps_unknown && !table.contains_key("additionalProperties") {
            table.insert("additionalProperties".to_owned(), json!(false));
        }
    }
    for (key, value) in table.iter_mut().filter(|(key, _)| *key != "properties") {
        if ["items", "additionalProperties", "allOf", "anyOf", "oneOf", "not"].contains(&&**key) {
            reduce(value, referred);
        }
    }
}

/// What the schemas have against an object.
fn problems(kept: &Value, object: &Value) -> Vec<String> {
    let kind = rendered::text(object, "/kind");
    let Some(name) = kept["kinds"][kind].as_str() else {
        return vec![format!("{kind} has no schema in schemas.json")];
    };
    let schema =
        json!({"$ref": format!("{REFERENCE}{name}"), "components": {"schemas": kept["schemas"]}});
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let told = |e: jsonschema::ValidationError<'_>| format!("{}: {e}", e.instance_path());
    validator.iter_errors(object).map(told).collect()
}

fn kept() -> Value {
    serde_json::from_str(KEPT).expect("JSON")
}

#[test]
#[ignore = "needs kubectl; tests/run runs it"]
fn every_object_satisfies_its_schema() {
    let kept = kept();
    for overlay in rendered::overlays() {
        for object in rendered::render(&overlay) {
            let problems = problems(&kept, &object);
            assert!(problems.is_empty(), "{overlay}, {}: {problems:#?}", rendered::name(&object));
        }
    }
}

#[test]
fn mistakes_do_not_satisfy_a_schema() {
    let kept = kept();
    let deployment = |spec: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "selector": {}, "template": {"spec": spec},
        }})
    };
    let good = json!({"containers": [{"name": "c", "resources": {"limits": {"memory": "1Mi"}}}]});
    assert_eq!(problems(&kept, &deployment(good)), Vec::<String>::new());
    for bad in [
        json!({"containers": [{"name": "c", "readOnlyRootFilesystem": true}]}),
        json!({"containers": [{"image": "i"}]}),
        json!({"containers": [{"name": "c", "ports": [{"containerPort": "http"}]}]}),
        json!({"containers": [{"name": "c"}], "terminationGracePeriodSeconds": "35"}),
        json!({"containers": {"name": "c"}}),
    ] {
        assert!(!problems(&kept, &deployment(bad.clone())).is_empty(), "{bad}");
    }
    assert!(!problems(&kept, &json!({"apiVersion": "batch/v1", "kind": "Job"})).is_empty());
}
