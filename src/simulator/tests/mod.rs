//! The simulator over loopback, and its file.

mod api;
mod faults;
mod file;
mod limits;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{LimitKind, LimitSettings, Simulator, SimulatorSettings, Stats, StatsHandle};
use crate::model::HumanDuration;

/// A simulator on a free port, and a client for it.
struct Running {
    address: SocketAddr,
    client: Client,
    stats: StatsHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(settings: SimulatorSettings) -> Self {
        let simulation = settings.validate().expect("valid settings");
        let anywhere = (Ipv4Addr::LOCALHOST, 0).into();
        let simulator = Simulator::bind(simulation, anywhere).expect("a free port");
        let address = simulator.local_addr().expect("bound");
        let stats = simulator.stats();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(simulator.run(async {
            let _ = stopped.await;
        }));
        let client =
            Client::builder().timeout(Duration::from_secs(5)).retry(reqwest::retry::never());
        Self { address, client: client.build().expect("a client"), stats, stop, task }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The user's own payload, to the generic operation.
    async fn post(&self) -> reqwest::Result<Response> {
        let body = json!({"to": {"id": "participant-id"}, "text": "message"});
        self.client.post(self.url("/messages")).body(body.to_string()).send().await
    }

    async fn post_json(&self, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(self.url(path)).bearer_auth(token).body(body.to_string());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// Stops it, checks that every sum of its counts agrees, and returns them.
    async fn stop(self) -> Stats {
        drop(self.client);
        self.stop.send(()).expect("it still runs");
        self.task.await.expect("it ended well");
        let stats = self.stats.snapshot();
        for (route, r) in &stats.routes {
            let parts = r.reset_before + r.too_large + r.unauthorized + r.refused + r.admitted;
            assert_eq!(r.received, parts, "{route}");
            let parts = r.accepted + r.invalid + r.errors + r.resets + r.stalls;
            assert_eq!(r.admitted, parts, "{route}");
        }
        let login = stats.login;
        assert_eq!(login.received, login.granted + login.refused + login.rejected);
        let by_routes: u64 = stats.routes.values().map(|r| r.refused).sum();
        let by_limits: u64 = stats.limits.values().map(|l| l.refused).sum();
        assert_eq!(by_routes + login.refused, by_limits);
        stats
    }
}

/// A limit that no test outlasts.
fn slow_limit(name: &str, limit: u64) -> LimitSettings {
    LimitSettings {
        name: name.into(),
        kind: LimitKind::SlidingLog,
        limit: Some(limit),
        window: Some(HumanDuration(Duration::from_secs(60))),
        ..LimitSettings::default()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|v| v.to_str().ok())
}
