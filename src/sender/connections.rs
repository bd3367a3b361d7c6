//! HTTP clients, shared by the endpoints whose connections are made alike.
//!
//! No client lives long: its connections would never follow a change of DNS, nor the files that it
//! trusts a change of theirs. [`Connections::renew`] puts a fresh one in the place of each that has
//! come of age; requests in flight end on the old one, whose connections then close.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Url, redirect};

use super::clock::Clock;
use super::names::Names;
use super::settings::{ConnectionSettings, HttpVersion, ProxySettings, TlsVersion};
use super::trust::{Material, MaterialError};
use crate::model::Moment;

/// The `User-Agent` of every request.
const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));
/// Shorter than the idle timeouts of common load balancers (60 s and more), so that it is mostly us
/// who close: a connection closed from their side may swallow a request.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// So that a peer which vanished is noticed on an idle connection before a message is.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// A failure with the same reason is not told again before this.
const SAME_FAILURE: Duration = Duration::from_secs(60);
/// Bytes of a response's header fields with HTTP/2. With HTTP/1.1 hyper's own bounds hold, 100 fields
/// and about 400 KiB.
const HTTP2_HEADER_BYTES_MAX: u32 = 64 * 1024;

/// A target that requests cannot be sent to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The HTTP client could not be built; most often, the system has no certificate store.
    #[error("HTTP client cannot be built: {}", causes(.0))]
    Build(#[source] reqwest::Error),
    /// The base or token URL is not usable. The text says why, without the URL, because a URL may
    /// hold a password.
    #[error("URL {0}")]
    Url(&'static str),
    /// Certificates, a key or a password that the connection needs.
    #[error("connections.{0}: {1}")]
    Material(Arc<str>, #[source] MaterialError),
}

/// The causes of an error of the client, without what it says itself: that has the URL in it.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Most say what they are caused by themselves, too.
        let said = error.to_string();
        if !text.ends_with(&said) {
            text += if text.is_empty() { "" } else { ": " };
            text += &said;
        }
        cause = error.source();
    }
    text
}

/// HTTP clients by their connect settings.
#[derive(Debug)]
pub struct Connections {
    idle_max: usize,
    clock: Clock,
    names: Arc<Names>,
    lines: Vec<Arc<Line>>,
}

/// What makes two servers' connections alike.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    settings: ConnectionSettings,
    connect_timeout: Duration,
    http_version: HttpVersion,
    tls: bool,
    loopback: bool,
}

/// The way to servers that are connected to alike: whoever sends asks it for the client of the day.
pub(super) struct Line {
    route: Route,
    current: Mutex<Current>,
    /// The failure that was told last, and when.
    told: Mutex<Option<(String, Moment)>>,
}

struct Current {
    client: reqwest::Client,
    made_at: Moment,
    /// Of what was read from files; two clients of the same material are alike.
    material: u64,
}

impl fmt::Debug for Line {
    /// Not its client, which would show the proxy's password where that comes from the environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("connection", &self.route.settings.name)
            .finish_non_exhaustive()
    }
}

impl Line {
    /// The client to send with now.
    pub(super) fn client(&self) -> reqwest::Client {
        self.locked().client.clone()
    }

    /// Says why a request failed: a new reason at once, the same one now and then. Counting is others'.
    pub(super) fn tell(&self, error: &reqwest::Error, now: Moment) {
        let reason = causes(error);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told
            .as_ref()
            .is_some_and(|(last, at)| *last == reason && now.since(*at) < SAME_FAILURE);
        if !known {
            let connection = &*self.route.settings.name;
            tracing::warn!(connection, reason, "requests fail");
            *told = Some((reason, now));
        }
    }

    /// Held for as long as it takes to copy a pointer.
    fn locked(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// None yet. Each will keep up to `in_flight_max` idle connections per host, so that a full
    /// load finds them again.
    #[must_use]
    pub fn new(in_flight_max: usize, clock: Clock) -> Self {
        let names = Arc::new(Names::new(clock.clone()));
        Self { idle_max: in_flight_max, clock, names, lines: Vec::new() }
    }

    /// The line for connections to this server, made where there is none like it. Files are read anew,
    /// and where they say something else, so is the client.
    pub(super) fn line(
        &mut self,
        server: &Url,
        settings: &ConnectionSettings,
        http_version: HttpVersion,
        connect_timeout: Duration,
    ) -> Result<Arc<Line>, ClientError> {
        let (tls, loopback) = (server.scheme() == "https", is_loopback(server));
        let settings = settings.clone();
        let route = Route { settings, connect_timeout, http_version, tls, loopback };
        if let Some(line) = self.lines.iter().find(|line| line.route == route) {
            let line = Arc::clone(line);
            self.freshen(&line, false)?;
            return Ok(line);
        }
        let material = read(&route)?;
        let client = self.build(&route, &material)?;
        let current =
            Current { client, made_at: self.clock.now(), material: material.fingerprint() };
        let line = Arc::new(Line { route, current: Mutex::new(current), told: Mutex::default() });
        self.lines.push(Arc::clone(&line));
        Ok(line)
    }

    /// Replaces what has come of age, and forgets what nobody sends with any more. Reads files.
    ///
    /// # Errors
    /// What could not be replaced, and goes on as it is.
    pub fn renew(&mut self) -> Result<(), Vec<ClientError>> {
        // One is held here; any other belongs to somebody who sends.
        self.lines.retain(|line| Arc::strong_count(line) > 1);
        let now = self.clock.now();
        let aged =
            |line: &&Arc<Line>| now.since(line.locked().made_at) >= line.route.settings.age_max;
        let due: Vec<Arc<Line>> = self.lines.iter().filter(aged).cloned().collect();
        let renewed = due.iter().map(|line| self.freshen(line, true));
        let errors: Vec<ClientError> = renewed.filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// A new client for a line: always, or only where its files have changed.
    fn freshen(&self, line: &Line, always: bool) -> Result<(), ClientError> {
        let now = self.clock.now();
        let made = read(&line.route).and_then(|material| {
            let fingerprint = material.fingerprint();
            if !always && line.locked().material == fingerprint {
                return Ok(None);
            }
            let client = self.build(&line.route, &material)?;
            Ok(Some(Current { client, made_at: now, material: fingerprint }))
        });
        match made {
            Ok(None) => Ok(()),
            Ok(Some(fresh)) => {
                let old = std::mem::replace(&mut *line.locked(), fresh);
                // Outside of the lock: this may close many connections.
                drop(old);
                Ok(())
            }
            Err(error) => {
                if always {
                    // Not again at once: what is wrong with a file takes a person to put right.
                    line.locked().made_at = now;
                }
                Err(error)
            }
        }
    }

    fn build(&self, route: &Route, material: &Material) -> Result<reqwest::Client, ClientError> {
        let proxy = &route.settings.proxy;
        let meets_tls = route.tls || through_https(proxy);
        // A proxy that the environment names may be spoken to over TLS; only the client knows which it is. Where the
        // system has no certificate store, it is not.
        if meets_tls || (*proxy == ProxySettings::Environment && !route.loopback) {
            let trusting = self.builder(route, material, true).build();
            if meets_tls || trusting.is_ok() {
                return trusting.map_err(ClientError::Build);
            }
        }
        self.builder(route, material, false).build().map_err(ClientError::Build)
    }

    fn builder(&self, route: &Route, material: &Material, trusts: bool) -> reqwest::ClientBuilder {
        let settings = &route.settings;
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
            .pool_max_idle_per_host(self.idle_max)
            .http2_max_header_list_size(HTTP2_HEADER_BYTES_MAX)
            .tls_version_min(match settings.tls_version_min {
                TlsVersion::Tls12 => reqwest::tls::Version::TLS_1_2,
                TlsVersion::Tls13 => reqwest::tls::Version::TLS_1_3,
            })
            .local_address(settings.source_address)
            .dns_resolver(Arc::clone(&self.names));
        if !trusts {
            // Trusts nobody, and so does not ask for a certificate store: plain HTTP to a simulator or
            // a sidecar has to work in a container that has none.
            builder = builder.tls_certs_only([]);
        } else if settings.system_roots {
            builder = builder.tls_certs_merge(material.authorities.iter().cloned());
        } else {
            builder = builder.tls_certs_only(material.authorities.iter().cloned());
        }
        if let Some(identity) = &material.identity {
            builder = builder.identity(identity.clone());
        }
        if route.http_version == HttpVersion::Http1 {
            builder = builder.http1_only();
        }
        match &settings.proxy {
            ProxySettings::Environment if !route.loopback => builder,
            ProxySettings::Environment | ProxySettings::Direct => builder.no_proxy(),
            ProxySettings::Fixed(_) => match &material.proxy {
                Some(proxy) => builder.proxy(proxy.clone()),
                None => builder.no_proxy(),
            },
        }
    }
}

fn read(route: &Route) -> Result<Material, ClientError> {
    Material::read(&route.settings, route.tls)
        .map_err(|error| ClientError::Material(Arc::clone(&route.settings.name), error))
}

/// Whether the proxy itself is certain to be spoken to over TLS.
fn through_https(proxy: &ProxySettings) -> bool {
    matches!(proxy, ProxySettings::Fixed(proxy) if proxy.url.starts_with("https:"))
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::sender::tests::direct;

    /// Connections, and the clock that they go by in milliseconds.
    fn connections() -> (Connections, Arc<AtomicU64>) {
        let ms = Arc::new(AtomicU64::new(0));
        let reading = Arc::clone(&ms);
        let now = move || Moment::ZERO + Duration::from_millis(reading.load(Ordering::Relaxed));
        (Connections::new(10, Clock::new(now, || 0)), ms)
    }

    fn line(connections: &mut Connections, url: &str, timeout_s: u64) -> Arc<Line> {
        let url = server_url(url).expect("a URL");
        let timeout = Duration::from_secs(timeout_s);
        connections.line(&url, &direct(), HttpVersion::Auto, timeout).expect("a client")
    }

    #[test]
    fn endpoints_that_connect_alike_share_a_client() {
        let (mut connections, _) = connections();
        for (url, timeout_s, lines) in [
            ("http://api.example.com", 1, 1),
            ("http://other.example.com/prefix", 1, 1),
            ("http://api.example.com", 2, 2),
            ("http://127.0.0.1:80", 1, 3),
            ("http://[::1]:81", 1, 3),
            ("http://localhost", 1, 3),
        ] {
            line(&mut connections, url, timeout_s);
            assert_eq!(connections.lines.len(), lines, "{url}");
        }
    }

    #[test]
    fn what_has_come_of_age_is_renewed_and_what_nobody_uses_is_forgotten() {
        let (mut connections, ms) = connections();
        let kept = line(&mut connections, "http://api.example.com", 1);
        drop(line(&mut connections, "http://api.example.com", 2));
        let age = direct().age_max.as_millis() as u64;
        for (now, made_at) in [(age - 1, 0), (age, age), (2 * age - 1, age), (2 * age, 2 * age)] {
            ms.store(now, Ordering::Relaxed);
            connections.renew().expect("a client");
            assert_eq!(connections.lines.len(), 1);
            let expected = Moment::ZERO + Duration::from_millis(made_at);
            assert_eq!(kept.locked().made_at, expected, "at {now} ms");
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
