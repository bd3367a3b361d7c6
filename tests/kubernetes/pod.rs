//! A container as a node would start it, without a node: its files, its environment and its command line, out of the
//! rendered objects.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::rendered::{find, list, text};
use crate::support::process::temp_dir;

/// What the downward API says of this pod.
const FIELDS: [(&str, &str); 3] = [
    ("metadata.name", "plimsoll-0"),
    ("metadata.namespace", "plimsoll-test"),
    ("spec.nodeName", "node-1"),
];

/// Keys of the Secret that people make themselves, as the documents have it.
const CREDENTIALS: [(&str, &str); 2] =
    [("client_id", "demo-client"), ("client_secret", "demo-secret")];

pub(crate) struct Pod<'a> {
    /// The only container.
    pub(crate) container: &'a Value,
    /// Its volumes, each where the container has it.
    root: tempfile::TempDir,
}

impl<'a> Pod<'a> {
    pub(crate) fn of(objects: &[Value], workload: &'a Value) -> Self {
        let spec = &workload["spec"]["template"]["spec"];
        let [container] = list(spec, "/containers") else { panic!("one container: {spec}") };
        let pod = Self { container, root: temp_dir() };
        let claims = list(workload, "/spec/volumeClaimTemplates");
        for mount in list(container, "/volumeMounts") {
            let name = text(mount, "/name");
            let directory = pod.path(text(mount, "/mountPath"));
            fs::create_dir_all(&directory).expect("writable");
            let named = |v: &&Value| v["name"] == name;
            let Some(volume) = list(spec, "/volumes").iter().find(named) else {
                let claimed = claims.iter().any(|claim| claim["metadata"]["name"] == name);
                assert!(claimed, "{name} is no volume");
                continue;
            };
            lay_out(objects, volume, &directory);
        }
        pod
    }

    /// Where a path of the container is here.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// The directory that stands for `/`.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn args(&self) -> Vec<String> {
        let args = list(self.container, "/args").iter();
        args.map(|arg| arg.as_str().expect("a text").to_owned()).collect()
    }

    /// Its environment, references resolved.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let mut env: Vec<(String, String)> = Vec::new();
        for variable in list(self.container, "/env") {
            let value = match variable.pointer("/valueFrom/fieldRef/fieldPath") {
                Some(path) => {
                    let field = FIELDS.iter().find(|(name, _)| path == name);
                    field.unwrap_or_else(|| panic!("a field {path}")).1.to_owned()
                }
                None => env.iter().fold(text(variable, "/value").to_owned(), |value, (k, v)| {
                    value.replace(&format!("$({k})"), v)
                }),
            };
            assert!(!value.contains("$("), "{value} refers to what is not set before");
            env.push((text(variable, "/name").to_owned(), value));
        }
        env
    }

    /// Replaces texts in its files.
    pub(crate) fn replace(&self, replaced: &[(&str, &str)]) {
        for mount in list(self.container, "/volumeMounts") {
            let revision = self.path(text(mount, "/mountPath")).join("..1");
            for file in fs::read_dir(revision).into_iter().flatten() {
                let path = file.expect("an entry").path();
                let text = fs::read_to_string(&path).expect("a text");
                fs::write(path, replace(&text, replaced)).expect("writable");
            }
        }
    }

    /// Replaces texts in its files, paths of the container by those here too, and gives its command line alike.
    pub(crate) fn on_this_machine(&self, replaced: &[(&str, &str)]) -> Vec<String> {
        let mounts = list(self.container, "/volumeMounts").iter().map(|m| text(m, "/mountPath"));
        let paths: Vec<_> = mounts.map(|m| (m, self.path(m))).collect();
        let paths = paths.iter().map(|(mount, path)| (*mount, path.to_str().expect("UTF-8")));
        let replaced: Vec<_> = replaced.iter().copied().chain(paths).collect();
        self.replace(&replaced);
        self.args().iter().map(|arg| replace(arg, &replaced)).collect()
    }

    /// The mount that a path of the container is on.
    #[track_caller]
    pub(crate) fn mount(&self, inside: &Path) -> &Value {
        let mounts = list(self.container, "/volumeMounts");
        let found = mounts.iter().find(|m| inside.starts_with(text(m, "/mountPath")));
        found.unwrap_or_else(|| panic!("{} is on no volume", inside.display()))
    }

    /// The number of a port by its name.
    #[track_caller]
    pub(crate) fn port(&self, name: &str) -> u64 {
        let port = list(self.container, "/ports").iter().find(|p| p["name"] == name);
        let number = port.and_then(|p| p["containerPort"].as_u64());
        number.unwrap_or_else(|| panic!("no port {name}"))
    }
}

fn replace(text: &str, replaced: &[(&str, &str)]) -> String {
    replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Writes what a volume holds, behind the links that a kubelet puts there.
fn lay_out(objects: &[Value], volume: &Value, directory: &Path) {
    let files: Vec<(String, String)> = if let Some(name) = volume.pointer("/configMap/name") {
        let name = name.as_str().expect("a name");
        let data = find(objects, &format!("ConfigMap/{name}"))["data"].as_object().expect("data");
        let file = |(k, v): (&String, &Value)| (k.clone(), v.as_str().expect("text").to_owned());
        data.iter().map(file).collect()
    } else if volume.get("secret").is_some() {
        // The same in all overlays, also where people make it themselves.
        CREDENTIALS.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    } else {
        return;
    };
    fs::create_dir(directory.join("..1")).expect("writable");
    symlink("..1", directory.join("..data")).expect("writable");
    for (name, text) in files {
        fs::write(directory.join("..1").join(&name), text).expect("writable");
        symlink(Path::new("..data").join(&name), directory.join(&name)).expect("writable");
    }
}
