//! A real Alertmanager, and something that it can tell.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;
use tempfile::TempDir;

use super::clock::unix_now_s;
use super::http::Server;
use super::process::{Process, free_ports, temp_dir, testbed_tool, write_file};

/// A running Alertmanager, alone.
pub(crate) struct Alertmanager {
    _process: Process,
    port: u16,
    _directory: TempDir,
}

impl Alertmanager {
    pub(crate) fn start(configuration: &str) -> Self {
        let directory = temp_dir();
        let [port] = free_ports();
        let file = write_file(directory.path(), "alertmanager.yml", configuration);
        let mut process = Process::spawn(
            "alertmanager",
            Command::new(testbed_tool("alertmanager"))
                .arg("--config.file")
                .arg(file)
                .arg("--storage.path")
                .arg(directory.path().join("data"))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                // No gossip: it would look for peers.
                .arg("--cluster.listen-address=")
                .arg("--log.level=warn"),
            &directory.path().join("alertmanager.log"),
        );
        process
            .wait_for_answer(&format!("http://127.0.0.1:{port}/-/ready"), Duration::from_secs(30));
        Self { _process: process, port, _directory: directory }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// `amtool ARGUMENTS`
pub(crate) fn amtool(arguments: &[&str], directory: &Path) -> Output {
    Command::new(testbed_tool("amtool"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap_or_else(|e| panic!("cannot run amtool: {e}"))
}

/// One alert of a notification.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// When it came, in seconds since 1970.
    pub(crate) at_s: f64,
    /// The path it came to: `page` or `ticket`.
    pub(crate) receiver: &'static str,
    /// The alert as it was sent: `status`, `labels`, `annotations`.
    pub(crate) alert: Value,
}

type Book = Arc<Mutex<Vec<Told>>>;

/// A webhook that remembers what it is told.
pub(crate) struct Webhook {
    server: Server,
    book: Book,
}

impl Webhook {
    pub(crate) fn start() -> Self {
        let book = Book::default();
        let router = Router::new()
            .route("/page", post(|state, body| note("page", state, body)))
            .route("/ticket", post(|state, body| note("ticket", state, body)))
            .with_state(Arc::clone(&book));
        Self { server: Server::start(router), book }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Everything so far, in the order of its coming.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn note(receiver: &'static str, State(book): State<Book>, body: String) {
    let notification: Value = serde_json::from_str(&body).expect("a notification is JSON");
    let at_s = unix_now_s();
    let alerts = notification["alerts"].as_array().expect("alerts").iter();
    let told = alerts.map(|alert| Told { at_s, receiver, alert: alert.clone() });
    book.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
}
