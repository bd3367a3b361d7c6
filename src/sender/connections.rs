//! HTTP clients, shared by the endpoints whose connections are made alike.
//!
//! Proxies are reqwest's default: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` of the
//! environment apply. Servers' certificates are checked against the system's store.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::redirect;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
/// Shorter than the idle timeouts of common load balancers (60 s and more), so that it is mostly us
/// who close: a connection closed from their side may swallow a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);

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
    clients: HashMap<Duration, reqwest::Client>,
}

impl Connections {
    /// None yet. Each will keep up to `in_flight_max` idle connections per host, so that a full
    /// load finds them again.
    #[must_use]
    pub fn new(in_flight_max: usize) -> Self {
        Self { idle_max: in_flight_max, clients: HashMap::new() }
    }

    /// The client for connections with this timeout, built where it is new.
    pub(super) fn client(
        &mut self,
        connect_timeout: Duration,
    ) -> Result<reqwest::Client, ClientError> {
        if let Some(client) = self.clients.get(&connect_timeout) {
            return Ok(client.clone());
        }
        let client = build(connect_timeout, self.idle_max).map_err(ClientError::Build)?;
        self.clients.insert(connect_timeout, client.clone());
        Ok(client)
    }
}

fn build(connect_timeout: Duration, idle_max: usize) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        // A redirect could carry the token to another host and the message to somebody else.
        .redirect(redirect::Policy::none())
        // Every attempt is ours to count. One retry remains below this, in hyper-util's pool, which
        // reqwest cannot switch off: a request handed to a reused connection that turns out closed
        // goes to another one. It is safe, because hyper hands a request back only if not a byte of
        // it was written, and it is one attempt on the wire.
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(idle_max)
        .build()
}

/// Parses the URL of a server and refuses what must not be in one.
pub(super) fn server_url(text: &str) -> Result<reqwest::Url, ClientError> {
    let url = reqwest::Url::parse(text).map_err(|_| ClientError::Url("cannot be parsed"))?;
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
        for timeout_s in [1, 2, 1] {
            connections.client(Duration::from_secs(timeout_s)).expect("a client");
        }
        assert_eq!(connections.clients.len(), 2);
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
