//! HTTP clients, shared by the endpoints whose connections are made alike.
//!
//! Proxies are reqwest's default: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of the
//! environment apply, except to this machine's own loopback, which no proxy could reach. Servers'
//! certificates are checked against the system's store, which only `https` targets need to exist.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Url, redirect};

use super::settings::HttpVersion;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
/// Shorter than the idle timeouts of common load balancers (60 s and more), so that it is mostly us
/// who close: a connection closed from their side may swallow a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// So that a peer which vanished is noticed on an idle connection before a message is.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// A target that requests cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The HTTP client could not be built; most often, the system has no certificate store.
    #[error("HTTP client: {0}")]
    Build(#[source] reqwest::Error),
    /// The base or token URL is not usable. The text says why, without the URL, because a URL may
    /// hold a password.
    #[error("URL {0}")]
    Url(&'static str),
}

/// HTTP clients by their connect settings.
#[derive(Debug)]
pub struct Connections {
    idle_max: usize,
    clients: HashMap<Route, reqwest::Client>,
}

/// What makes two servers' connections alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Route {
    connect_timeout: Duration,
    http_version: HttpVersion,
    tls: bool,
    loopback: bool,
}

impl Connections {
    /// None yet. Each will keep up to `in_flight_max` idle connections per host, so that a full
    /// load finds them again.
    #[must_use]
    pub fn new(in_flight_max: usize) -> Self {
        Self { idle_max: in_flight_max, clients: HashMap::new() }
    }

    /// The client for connections to this server, built where there is none like it.
    pub(super) fn client(
        &mut self,
        server: &Url,
        http_version: HttpVersion,
        connect_timeout: Duration,
    ) -> Result<reqwest::Client, ClientError> {
        let (tls, loopback) = (server.scheme() == "https", is_loopback(server));
        let route = Route { connect_timeout, http_version, tls, loopback };
        if let Some(client) = self.clients.get(&route) {
            return Ok(client.clone());
        }
        let client = build(route, self.idle_max).map_err(ClientError::Build)?;
        self.clients.insert(route, client.clone());
        Ok(client)
    }
}

fn build(route: Route, idle_max: usize) -> reqwest::Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        // A redirect could carry the token to another host and the message to somebody else.
        .redirect(redirect::Policy::none())
        // Every attempt is ours to count. One retry remains below this, in hyper-util's pool, which
        // reqwest cannot switch off: a request handed to a reused connection that turns out closed
        // goes to another one. It is safe, because hyper hands a request back only if not a byte of
        // it was written, and it is one attempt on the wire.
        .retry(reqwest::retry::never())
        .connect_timeout(route.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max);
    if !route.tls {
        // Trusts nobody, and so does not ask for a certificate store: plain HTTP to a simulator or
        // a sidecar has to work in a container that has none.
        builder = builder.tls_certs_only([]);
    }
    if route.http_version == HttpVersion::Http1 {
        builder = builder.http1_only();
    }
    if route.loopback {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Parses the URL of a server and refuses what must not be in one.
pub(super) fn server_url(text: &str) -> Result<Url, ClientError> {
    let url = Url::parse(text).map_err(|_| ClientError::Url("cannot be parsed"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ClientError::Url("is neither http nor https"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(ClientError::Url("has no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Url("holds a user name or password"));
    }
    if url.fragment().is_some() {
        return Err(ClientError::Url("has a fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_that_connect_alike_share_a_client() {
        let mut connections = Connections::new(10);
        for (url, timeout_s, clients) in [
            ("http://api.example.com", 1, 1),
            ("http://other.example.com/prefix", 1, 1),
            ("http://api.example.com", 2, 2),
            ("http://127.0.0.1:80", 1, 3),
            ("http://[::1]:81", 1, 3),
            ("http://localhost", 1, 3),
        ] {
            let url = server_url(url).expect("a URL");
            let timeout = Duration::from_secs(timeout_s);
            connections.client(&url, HttpVersion::Auto, timeout).expect("a client");
            assert_eq!(connections.clients.len(), clients, "{url}");
        }
    }

    #[test]
    fn unusable_urls_are_refused_without_quoting_them() {
        for text in [
            "",
            "api.example.com",
            "ftp://api.example.com",
            "https://user:canary@api.example.com",
            "https://canary@api.example.com",
            "https://api.example.com/#canary",
            "https://",
        ] {
            let error = server_url(text).expect_err(text);
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
        assert!(server_url("https://api.example.com:8443/prefix").is_ok());
    }
}
