//! A real API server with its etcd, on loopback. There are no controllers and no nodes: objects are checked, admitted
//! and kept, and no pod ever runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{Process, free_ports, temp_dir, testbed_tool, wait_for, write_file};

/// A cold start takes ten seconds on two idle cores.
const READY: Duration = Duration::from_secs(90);
const TOKEN: &str = "make-believe-administrator";

pub(crate) struct ControlPlane {
    kubeconfig: PathBuf,
    // Dropped in this order.
    _apiserver: Process,
    _etcd: Process,
    _directory: TempDir,
}

impl ControlPlane {
    /// One that knows the Prometheus operator's kinds.
    pub(crate) fn start() -> Self {
        let directory = temp_dir();
        let [clients, peers, secure] = free_ports();
        let etcd = etcd(directory.path(), clients, peers);
        let apiserver = apiserver(directory.path(), clients, secure);
        let kubeconfig =
            write_file(directory.path(), "kubeconfig", &kubeconfig(secure).to_string());
        let plane = Self { kubeconfig, _apiserver: apiserver, _etcd: etcd, _directory: directory };
        plane.wait_until("the API server", &["get", "--raw", "/readyz"]);
        for kind in ["servicemonitors", "prometheusrules"] {
            let file = testbed_tool(&format!("../crds/{kind}.yaml"));
            let file = file.to_str().expect("UTF-8");
            plane.kubectl(&["apply", "--server-side", "-f", file]);
        }
        for kind in ["servicemonitors", "prometheusrules"] {
            plane.wait_until(kind, &["get", &format!("{kind}.monitoring.coreos.com")]);
        }
        plane
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(testbed_tool("kubectl"));
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(args);
        command
    }

    fn wait_until(&self, what: &str, args: &[&str]) {
        let answered = || self.command(args).output().expect("kubectl runs").status.success();
        let ready = wait_for(READY, || answered().then_some(()));
        assert!(ready.is_some(), "{what}: waited in vain for kubectl {args:?}");
    }

    /// Runs kubectl, which must succeed; its output.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("kubectl runs");
        succeeded(args, &output)
    }

    /// Runs kubectl with these objects as its file; whether it succeeded, and what it said.
    pub(crate) fn try_with(&self, args: &[&str], objects: &[Value]) -> (bool, String) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let directory = temp_dir();
        let file = write_file(directory.path(), "objects.json", &list.to_string());
        let mut command = self.command(args);
        let output = command.arg("-f").arg(file).output().expect("kubectl runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// An object as the API server has it.
    #[track_caller]
    pub(crate) fn get(&self, object: &Value) -> Value {
        let of = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let kind = of("/kind").expect("a kind").to_lowercase();
        let mut args = vec!["get", &kind, of("/metadata/name").expect("a name"), "-o", "json"];
        args.extend(["-n", of("/metadata/namespace").unwrap_or("default")]);
        serde_json::from_str(&self.kubectl(&args)).expect("JSON")
    }
}

#[track_caller]
fn succeeded(args: &[&str], output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {args:?}: {errors}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn kubeconfig(port: u16) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "insecure-skip-tls-verify": true,
        }}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
    })
}

fn etcd(directory: &Path, clients: u16, peers: u16) -> Process {
    let (clients, peers) =
        (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(directory.join("etcd"));
    for flag in ["--listen-client-urls", "--advertise-client-urls"] {
        command.args([flag, &clients]);
    }
    for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
        command.args([flag, &peers]);
    }
    // Nothing here has to outlive the machine.
    command.args(["--initial-cluster", &format!("default={peers}"), "--unsafe-no-fsync"]);
    Process::spawn("etcd", &mut command, &directory.join("etcd.log"))
}

fn apiserver(directory: &Path, etcd: u16, port: u16) -> Process {
    let key = directory.join("service-account.key");
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-out"]).arg(&key).stderr(Stdio::null());
    assert!(openssl.status().expect("openssl runs").success());
    let tokens = format!("{TOKEN},administrator,administrator,\"system:masters\"\n");
    let tokens = write_file(directory, "tokens.csv", &tokens);
    let mut command = Command::new(testbed_tool("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd}"))
        .arg("--bind-address=127.0.0.1")
        .arg(format!("--secure-port={port}"))
        .arg(format!("--cert-dir={}", directory.join("certificates").display()))
        .arg(format!("--service-account-key-file={}", key.display()))
        .arg(format!("--service-account-signing-key-file={}", key.display()))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(format!("--token-auth-file={}", tokens.display()))
        .arg("--authorization-mode=RBAC")
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg("--endpoint-reconciler-type=none");
    Process::spawn("kube-apiserver", &mut command, &directory.join("apiserver.log"))
}
