//! HTTP as the tests speak it: a blocking client, and a server in this process.
//!
//! Both run on one small runtime that all tests of the process share.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use axum::Router;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// Longer than any healthy answer on loopback takes; a test that hangs says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime can be built")
});

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a client can be built")
});

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value, if it is there and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.body))
    }
}

pub(crate) fn get(url: &str) -> Result<Answer, reqwest::Error> {
    send(CLIENT.get(url))
}

pub(crate) fn post_json(url: &str, body: &Value) -> Result<Answer, reqwest::Error> {
    send(json(CLIENT.post(url), body))
}

fn json(request: reqwest::RequestBuilder, body: &Value) -> reqwest::RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

/// Sends any request that [`client`] made.
pub(crate) fn send(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    RUNTIME.block_on(async {
        let response = request.send().await?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await?,
        })
    })
}

/// For requests that [`get`] and [`post_json`] cannot make.
pub(crate) fn client() -> &'static reqwest::Client {
    &CLIENT
}

/// A server in this process, on a free loopback port. It ends when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(router: Router) -> Self {
        let listener = RUNTIME
            .block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = RUNTIME.spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("a server on loopback accepts until it is dropped");
        });
        Self { address, task }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
